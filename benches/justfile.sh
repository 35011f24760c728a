#!/usr/bin/env bash
# The peer that stackctl is measured against: the same work with kind, docker, a local registry, kubectl and hey, as a
# good Justfile does it. Each function is a recipe; `up` runs them in the order of their dependencies. What is there
# already is not done again.
#   benches/justfile.sh RECIPE...    cluster registry build push deploy wait test load | up, down
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

cluster=${PEER_CLUSTER:-peer}
registry=${PEER_REGISTRY:-$cluster-registry}
port=${PEER_REGISTRY_PORT:-5001}
service=${PEER_SERVICE:-$root/services/hello}
namespace=hello
work=${PEER_WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/stackctl-bench/$cluster}
mkdir -p "$work"
export KUBECONFIG=$work/kubeconfig

# setting KEY: a scalar of the machine's stackctl configuration: both sides get the same node image and mirrors.
setting() { [ -z "${STACKCTL_CONFIG:-}" ] || sed -n "s/^$1: *//p" "$STACKCTL_CONFIG"; }

# A Docker client that builds with BuildKit: one with the buildx plugin, or one so old that it has BuildKit built in.
docker() {
  if [ -z "${DOCKER:-}" ]; then
    local candidate
    while read -r candidate; do
      if "$candidate" buildx version > /dev/null 2>&1 || "$candidate" --version | grep -qE ' (19|20)\.'; then
        DOCKER=$candidate
        break
      fi
    done < <(type -aP docker)
  fi
  "${DOCKER:?no docker client that has BuildKit}" "$@"
}

cluster() {
  if kind get clusters 2> /dev/null | grep -qx "$cluster"; then return; fi
  local image node mirror
  image=$(setting nodeImage)
  kind create cluster --quiet --name "$cluster" ${image:+--image "$image"} --wait 120s
  for node in $(kind get nodes --name "$cluster"); do
    hosts "$node" "localhost:$port" "http://$registry:5000"
    for mirror in $(setting registryMirrors | tr -d '[]",' ); do
      hosts "$node" "${mirror%%=*}" "${mirror#*=}"
    done
  done
}

hosts() { # NODE HOST URL
  docker exec -i "$1" sh -c "mkdir -p '/etc/containerd/certs.d/$2' && cat > '/etc/containerd/certs.d/$2/hosts.toml'" << END
server = "$3"
[host."$3"]
  capabilities = ["pull", "resolve"]
END
}

registry() {
  if [ "$(docker inspect --format '{{.State.Running}}' "$registry" 2> /dev/null)" = true ]; then return; fi
  docker rm --force "$registry" > /dev/null 2>&1 || true
  docker run --detach --restart always --name "$registry" --network kind \
    --publish "127.0.0.1:$port:5000" registry:2 > /dev/null
  kubectl apply --server-side --filename - > /dev/null << END
apiVersion: v1
kind: ConfigMap
metadata: { name: local-registry-hosting, namespace: kube-public }
data:
  localRegistryHosting.v1: |
    host: "localhost:$port"
END
}

# The tag is the image's own id: the same content is the same tag.
build() {
  local bundle options=()
  bundle=$(setting caBundle)
  [ -z "$bundle" ] || options=(--secret "id=ca-bundle,src=$bundle" --build-arg NODE_EXTRA_CA_CERTS=/run/secrets/ca-bundle)
  DOCKER_BUILDKIT=1 docker build --quiet "${options[@]}" --iidfile "$work/image-id" "$service" > /dev/null
  docker tag "$(cat "$work/image-id")" "$(reference)"
}

reference() { sed 's/^sha256:\(.\{16\}\).*/localhost:'"$port"'\/hello:\1/' "$work/image-id"; }

push() { docker push --quiet "$(reference)" > /dev/null; }

deploy() {
  local values
  values="s|^\( *\)image: hello\$|\1image: $(reference)|"
  values+="; /name: HELLO_UNHEALTHY_RATIO/{n; s/value: .*/value: \"${UNHEALTHY_RATIO:-0}\"/}"
  kubectl get namespace "$namespace" > /dev/null 2>&1 || kubectl create namespace "$namespace" > /dev/null
  kubectl apply --server-side --namespace kube-system --filename - > /dev/null < <(
    sed 's/^\( *\)- --metric-resolution=15s/\1- --metric-resolution=10s\n\1- --kubelet-request-timeout=9s\n\1- --kubelet-insecure-tls/' \
      "$root/manifests/components/metrics-server/metrics-server.yaml")
  kubectl apply --server-side --force-conflicts --namespace "$namespace" --filename - > /dev/null < <(
    sed "$values" "$root/manifests/hello/hello.yaml"
    echo ---
    cat "$root/manifests/hello/autoscaler.yaml")
}

wait() { kubectl rollout status --namespace "$namespace" deployment/hello-service --timeout 300s > /dev/null; }

test() {
  kubectl get --raw "/api/v1/namespaces/$namespace/services/hello-service:8400/proxy/" | grep -qF '{"message":"hello world"}'
}

# Through a forwarded port, for the machine has no way to a cluster's Service.
load() {
  local forward
  kubectl port-forward --namespace "$namespace" service/hello-service 18400:8400 > /dev/null &
  forward=$!
  trap 'kill "$forward" 2> /dev/null' EXIT
  curl --silent --fail --retry 20 --retry-delay 1 --retry-connrefused http://127.0.0.1:18400/healthz > /dev/null
  hey -z "${DURATION:-5m}" -c 20 http://127.0.0.1:18400/
}

up() { cluster; registry; build; push; deploy; wait; test; }

down() {
  kind delete cluster --quiet --name "$cluster"
  docker rm --force --volumes "$registry" > /dev/null 2>&1 || true
  rm -rf "$work"
}

[ $# != 0 ] || set -- up
for recipe in "$@"; do
  case $recipe in
    cluster | registry | build | push | deploy | wait | test | load | up | down) "$recipe" ;;
    *) printf 'no recipe %s; there are cluster registry build push deploy wait test load up down\n' "$recipe" >&2; exit 2 ;;
  esac
done
