# shellcheck shell=bash
# What the world leaves for its users: programs for the PATH, and a configuration file for stackctl.

config=$STATE/config.yaml
WITH=()

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --with)
        [ -f "$WORLD/${2:-}/with.sh" ] || die "--with takes the name of something optional: hey, minikube or aws"
        WITH+=("$2")
        shift 2
        ;;
      *) die "unknown option $1; usage: up [--with hey] [--with minikube] [--with aws]" ;;
    esac
  done
}

# with_built: what was built in an earlier run of the same files stays part of the world without being asked for again.
with_built() {
  local name
  for name in "$WORLD"/*/with.sh; do
    name=$(basename "${name%/with.sh}")
    [[ " ${WITH[*]} " != *" $name "* && $(cat "$CACHE/with/$name" 2> /dev/null) == "$(key_of "$name")" ]] || continue
    WITH+=("$name")
  done
}

# lock: two runs at once would build the same things into the same places.
lock() {
  mkdir -p "$CACHE"
  exec 9> "$CACHE/lock"
  flock --nonblock 9 && return 0
  say "another run is at work, waiting for it"
  flock --timeout 2400 9 || die "another run held $CACHE/lock for 40 minutes"
}

# online: can the engine pull what a cluster is made of?
online() {
  case ${STACKCTL_WORLD:-auto} in
    online) return 0 ;;
    offline) return 1 ;;
    auto) ;;
    *) die "STACKCTL_WORLD is one of online, offline, auto" ;;
  esac
  local image jobs=() job rc=0
  # The probe removes what it pulled; an image that was there before is not evidence, so it asks the registry anyway.
  for image in registry.k8s.io/pause:3.9 docker.io/library/hello-world:linux; do
    (
      had=$(docker image inspect --format '{{.Id}}' "$image" 2> /dev/null || true)
      timeout 20 docker pull --quiet "$image" > /dev/null 2>&1 || exit 1
      [ -n "$had" ] || docker rmi "$image" > /dev/null 2>&1 || true
    ) &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || rc=1; done
  if [ $rc = 0 ]; then say "registries: answer, images are pulled"; else say "registries: out of reach, images are built"; fi
  return $rc
}

link() { # NAME FILE
  ln -sfn "$2" "$BIN/$1.tmp"
  mv -T "$BIN/$1.tmp" "$BIN/$1"
}

# tool NAME PART SECONDS: a program that the machine has, or the one we build.
tool() {
  rm -f "$BIN/$1"
  if command -v "$1" > /dev/null; then
    say "$1: $(command -v "$1")"
  else
    need_go
    part "$2" "$3"
    link "$1" "$(out "$2")/$1"
  fi
}

config_online() { rm -f "$config"; }

config_offline() {
  local bundle
  bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
  {
    echo "# Written by tests/world/up."
    echo "nodeImage: $(header node tag)"
    echo "registryMirrors: [\"docker.io=http://$MIRROR\", \"registry.k8s.io=http://$MIRROR\"]"
    [ ! -f "$bundle" ] || echo "caBundle: $bundle"
    # There is no Go module, Debian package or npm package that has it.
    echo "without: [grafana]"
  } | write "$config"
}
