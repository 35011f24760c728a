# shellcheck shell=bash
# What every script of the test world shares: where things are, what is said, how a part is cached.
set -euo pipefail

WORLD=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/stackctl-world
PARTS=$CACHE/parts   # one folder per built part, named <part>-<key>
LOGS=$CACHE/logs
STATE=$CACHE/state   # what describes the running world: pid, generated configuration
BIN=$CACHE/bin       # goes on the PATH
MINIKUBE_WORLD=$STATE/minikube   # the tests' MINIKUBE_HOME
MIRROR_PORT=${STACKCTL_WORLD_MIRROR_PORT:-5555}
export WORLD CACHE PARTS LOGS STATE BIN MINIKUBE_WORLD MIRROR_PORT

declare -A KEYS=()
declare -A USED=()   # cache entries this run names; prune() removes the others

say() { printf 'world: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# need_root WHAT: the world changes the machine (packages, engine, firewall), which takes root.
need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root, and this is user $(id -un)"; }

# No question to the engine may hang; whoever asks for something that takes its time sets DEADLINE.
docker() { timeout --kill-after=5 "${DEADLINE:-60}" docker "$@"; }

# Whoever interrupts a script also ends the command it waits for.
child=''
trap '[ -z "$child" ] || kill "$child" 2> /dev/null; exit 130' INT TERM HUP

# logged NAME SECONDS COMMAND...: runs COMMAND with a deadline and its output in a file; a failure shows the file's end.
logged() {
  local name=$1 limit=$2 log=$LOGS/$1.log rc=0
  shift 2
  mkdir -p "$LOGS"
  timeout --kill-after=10 "$limit" "$@" > "$log" 2>&1 < /dev/null &
  child=$!
  wait "$child" || rc=$?
  child=''
  [ $rc = 0 ] && return 0
  tail -n 25 "$log" | sed 's/^/world: | /' >&2
  if [ $rc = 124 ] || [ $rc = 137 ]; then die "$name did not end within $limit s; its whole output: $log"; fi
  die "$name failed with status $rc; its whole output: $log"
}

# until_true SECONDS COMMAND...: repeats COMMAND until it succeeds or the time is over.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until timeout 10 "$@" > /dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.3
  done
}

# key_of FOLDER [WORD...]: what a part depends on: its files (but not how they are refreshed) and the given words.
key_of() {
  local folder=$1
  shift
  {
    (cd "$WORLD/$folder" && find . -type f ! -name refresh ! -name '*.md' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
    printf '%s\n' "$@"
  } | sha256sum | cut -c1-16
}

# keys PART...: the keys of parts made earlier in this run.
keys() {
  local part
  for part in "$@"; do printf '%s=%s\n' "$part" "${KEYS[$part]:?part $part must come first}"; done
}

# out PART: the folder that holds what a part built.
out() { printf '%s/%s-%s' "$PARTS" "${1//\//-}" "${KEYS[$1]:?part $1 must come first}"; }

# part FOLDER SECONDS [NEEDED PART...]: runs FOLDER/build, which leaves files in $OUT, unless the cache has them.
# The folder gets its name only when it is complete, so that a killed run leaves nothing half done under it.
part() {
  local name=$1 limit=$2 begin=$SECONDS dir
  shift 2
  # shellcheck disable=SC2046 # one word per needed part
  KEYS[$name]=$(key_of "$name" $(keys "$@"))
  dir=$(out "$name")
  USED[${dir##*/}]=1
  if [ -d "$dir" ]; then
    say "$name: cached"
    return
  fi
  say "$name: building ..."
  rm -rf "$dir.tmp"
  mkdir -p "$dir.tmp"
  OUT=$dir.tmp logged "${name//\//-}" "$limit" bash "$WORLD/$name/build"
  mv "$dir.tmp" "$dir"
  say "$name: built in $((SECONDS - begin)) s"
}

# write FILE: standard input becomes FILE, wholly or not at all.
write() {
  mkdir -p "$(dirname "$1")"
  cat > "$1.tmp"
  mv "$1.tmp" "$1"
}

# prune: removes from the cache what no run has named for two days (so that going back and forth between two states of
# these files costs nothing), and what Go downloaded and compiled on the way to parts that are now there.
prune() {
  local name
  for name in "${!USED[@]}"; do touch "$PARTS/$name"; done
  find "$PARTS" -mindepth 1 -maxdepth 1 -mtime +1 -exec rm -rf {} +
  rm -rf "$CACHE/go" "$CACHE/context"
  find -L "$BIN" -type l -delete   # links to what is gone
}
