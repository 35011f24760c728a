# shellcheck shell=bash
# A registry that serves nodes what their manifests name. It listens where containers reach this machine, and not on
# the machine's other addresses.

mirror_name=stackctl-world-mirror

mirror_address() {
  local address
  # An engine that has just made this network doesn't say its gateway yet.
  address=$(docker network inspect bridge --format '{{range .IPAM.Config}}{{.Gateway}} {{end}}' | grep -oE '[0-9]+(\.[0-9]+){3}' | head -n 1 || true)
  [ -n "$address" ] || address=$(ip -4 -o address show docker0 | sed -n 's/.* inet \([0-9.]*\)\/.*/\1/p')
  [ -n "$address" ] || die "Docker's default network has no gateway address for the mirror to listen on"
  printf '%s:%s\n' "$address" "$MIRROR_PORT"
}

# mirror_serves REPOSITORY:TAG
mirror_serves() {
  curl --silent --fail --output /dev/null --max-time 5 --noproxy '*' --head \
    --header 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
    "http://$MIRROR/v2/${1%:*}/manifests/${1##*:}"
}

mirror_run() { # DATA
  docker rm --force "$mirror_name" > /dev/null 2>&1 || true
  # On the loopback address as well, because the engine pushes over plain HTTP to that alone.
  docker run --detach --name "$mirror_name" --label io.stackctl.world=mirror --restart unless-stopped \
    --publish "$MIRROR:5000" --publish "127.0.0.1:$MIRROR_PORT:5000" \
    --volume "$1:/var/lib/registry" "$(image_ref images/registry)" > /dev/null
  until_true 30 curl --silent --fail --max-time 2 --noproxy '*' "http://$MIRROR/v2/" || {
    docker logs --tail 20 "$mirror_name" 2>&1 | sed 's/^/world: | /' >&2
    die "the mirror did not answer at $MIRROR within 30 s"
  }
}

# mirror_start: serves every image that has a mirror line. What it holds depends on those images, so each set of images
# has a folder of its own, and a push that was cut short is repeated.
mirror_start() {
  local begin=$SECONDS target data pushed=0 running
  MIRROR=$(mirror_address)
  # shellcheck disable=SC2046 # one word per image
  KEYS[mirror]=$(key_of mirror $(for target in "${!MIRRORED[@]}"; do echo "$target=${MIRRORED[$target]}"; done | sort))
  data=$(out mirror)
  USED[${data##*/}]=1
  mkdir -p "$data"
  running=$(docker inspect --format '{{.State.Running}} {{range .Mounts}}{{.Source}} {{end}}' "$mirror_name" 2> /dev/null || true)
  [ "$running" = "true $data " ] || mirror_run "$data"
  for target in "${!MIRRORED[@]}"; do
    mirror_serves "$target" && continue
    docker tag "${MIRRORED[$target]}" "127.0.0.1:$MIRROR_PORT/$target"
    logged mirror-push 300 docker push "127.0.0.1:$MIRROR_PORT/$target"
    docker rmi "127.0.0.1:$MIRROR_PORT/$target" > /dev/null
    mirror_serves "$target" || die "the mirror does not serve $target, which was just pushed"
    pushed=$((pushed + 1))
  done
  say "mirror: ${#MIRRORED[@]} images at $MIRROR, $pushed of them new, in $((SECONDS - begin)) s"
}

mirror_stop() { docker rm --force "$mirror_name" > /dev/null 2>&1 || true; }
