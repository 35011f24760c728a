# shellcheck shell=bash
# Finding a Docker engine, or starting one of our own.

engine_pidfile=$STATE/dockerd.pid
engine_config=$STATE/daemon.json
engine_log=$LOGS/dockerd.log
engine_containerd=/var/run/docker/containerd

engine_answers() { timeout 10 docker info --format '{{.ServerVersion}}' > /dev/null 2>&1; }

# running PIDFILE WORDS: prints the process id in a file if its command line holds these words. An id left from an earlier
# boot may belong to anything by now.
running() {
  local pid
  pid=$(cat "$1" 2> /dev/null) || return 1
  tr '\0' ' ' 2> /dev/null < "/proc/$pid/cmdline" | grep -qF -- "$2" || return 1
  printf '%s\n' "$pid"
}

# engine_pid: the process id of the engine we started, if it runs.
engine_pid() { running "$engine_pidfile" "--config-file $engine_config"; }

has_cap_sys_resource() {
  local caps
  caps=$(sed -n 's/^CapBnd:\t//p' /proc/self/status)
  ((16#$caps >> 24 & 1))
}

engine_configure() {
  local runtime=''
  if ! has_cap_sys_resource; then
    install -D -m 755 "$WORLD/docker/runc-capfit" "$STATE/runc-capfit"
    runtime='"default-runtime": "capfit", "runtimes": {"capfit": {"path": "'$STATE'/runc-capfit"}},'
  fi
  # The images live in the cache folder, so that they outlast the engine and go with the cache.
  jq . <<< "{$runtime
    \"data-root\": \"$CACHE/engine\",
    \"pidfile\": \"$engine_pidfile\",
    \"builder\": {\"gc\": {\"enabled\": true, \"defaultKeepStorage\": \"5GB\"}},
    \"log-driver\": \"json-file\", \"log-opts\": {\"max-size\": \"20m\", \"max-file\": \"2\"}}" | write "$engine_config"
}

engine_launch() {
  mkdir -p "$LOGS"
  # Where these outlast a boot, dockerd takes any process of that number for itself or for its containerd.
  rm -f "$engine_pidfile"
  running "$engine_containerd/containerd.pid" containerd > /dev/null || rm -f "$engine_containerd"/*.{pid,sock}
  (
    cd /
    # Nothing of the caller may be held open by a process that outlives it: no pipe of a test run, no lock.
    local fd
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      ((fd > 2)) && eval "exec $fd>&-"
    done
    exec setsid dockerd --config-file "$engine_config" --host unix:///var/run/docker.sock \
      < /dev/null > "$engine_log" 2>&1
  ) &
  disown
  until_true 60 docker info || {
    tail -n 25 "$engine_log" | sed 's/^/world: | /' >&2
    die "dockerd did not answer within 60 s; its whole output: $engine_log"
  }
}

# engine_start: leaves ENGINE=found (somebody's), kept (ours, was running) or started.
engine_start() {
  local begin=$SECONDS
  ENGINE=found
  if engine_answers; then
    engine_pid > /dev/null && ENGINE=kept
    say "engine: version $(docker info --format '{{.ServerVersion}}') runs already"
    return
  fi
  [ -z "${DOCKER_HOST:-}" ] || die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST"
  need_root "starting a Docker engine"
  packages docker=docker.io dockerd=docker.io containerd=containerd runc=runc iptables=iptables jq=jq
  if ! engine_answers; then   # on a machine with an init, installing it may have started it
    engine_configure
    engine_launch
    ENGINE=started
  fi
  say "engine: version $(docker info --format '{{.ServerVersion}}') started in $((SECONDS - begin)) s"
}

# engine_stop: ends the engine we started, and nobody else's.
engine_stop() {
  local pid end=$((SECONDS + 60))
  pid=$(engine_pid) || return 0
  kill "$pid"
  while engine_pid > /dev/null && ((SECONDS < end)); do sleep 0.2; done
  if engine_pid > /dev/null; then
    say "engine: did not end within 60 s, killing it"
    kill -9 "$pid"
  fi
  rm -f "$engine_pidfile"
  say "engine: stopped"
}
