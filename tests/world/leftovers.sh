# shellcheck shell=bash
# What tests leave behind when they are killed: Docker brings their containers back whenever the engine starts.

# leftovers: removes containers, volumes and networks that carry a label of ours, and clusters of kind and minikube: in an
# engine of ours all of them, in somebody else's those on a network of stackctl's.
leftovers() {
  local id name labels ids=() networks=() volumes='io\.stackctl[.=]'
  engine_answers || return 0

  docker rm --force --volumes stackctl-world-build > /dev/null 2>&1 || true
  while IFS='|' read -r id labels name; do
    if [[ ,$labels =~ ,io\.stackctl[.=] && $labels != *io.stackctl.world=mirror* ]]; then
      ids+=("$id")
    elif [[ ,$labels =~ ,(io\.x-k8s\.kind\.cluster|created_by\.minikube\.sigs\.k8s\.io)= ]]; then
      if engine_pid > /dev/null || [[ ,$name =~ ,stackctl ]]; then ids+=("$id"); fi
    fi
  done < <(docker ps --all --no-trunc --format '{{.ID}}|{{.Labels}}|{{.Networks}}')
  if [ ${#ids[@]} -gt 0 ]; then
    DEADLINE=180 docker rm --force --volumes "${ids[@]}" > /dev/null || die "these containers can't be removed: ${ids[*]}"
    say "leftovers: removed ${#ids[@]} containers"
  fi

  while IFS='|' read -r name labels; do
    if [[ ,$labels =~ ,io\.stackctl[.=] || $name =~ ^stackctl($|-) ]]; then
      networks+=("$name")
    elif [[ ,$labels == *,created_by.minikube.sigs.k8s.io=* ]] && engine_pid > /dev/null; then
      networks+=("$name")
    fi
  done < <(docker network ls --format '{{.Name}}|{{.Labels}}')
  for name in "${networks[@]}"; do
    docker network rm "$name" > /dev/null 2>&1 || say "leftovers: network $name is in use and stays"
  done

  ! engine_pid > /dev/null || volumes+='|created_by\.minikube\.sigs\.k8s\.io='
  while read -r name; do
    docker volume rm "$name" > /dev/null 2>&1 || say "leftovers: volume $name is in use and stays"
  done < <(docker volume ls --format '{{.Name}}|{{.Labels}}' | grep -E "[|,]($volumes)" | cut -d'|' -f1)
  # What is left of these clusters outside the engine.
  rm -rf "$MINIKUBE_WORLD"/.minikube/{profiles,machines}
}
