# shellcheck shell=bash
# Images in the local engine. Each has a name of ours that holds its key, by which it is found again, and the name
# under which the world knows it, given anew by every run.
#
# A folder with a Dockerfile is an image. Comments at the top of the Dockerfile say more:
#   # tag: node:22-slim             the name it gets
#   # needs: debian images/foo      images its FROM lines name
#   # copy: kubernetes/kubelet ...  files of built parts that join the build context
#   # mirror: library/node:22-slim  the repository of the mirror that serves it, if any
# and beside it may be `context`, run in the build context before the build (for what a Dockerfile can't download), and
# `finish`, which makes the image $TARGET out of the built image $IMAGE.

declare -A KEYS   # lib.sh's
declare -A MIRRORED=()   # repository in the mirror => image of ours

header() { sed -n "s/^# $2: //p" "$WORLD/$1/Dockerfile"; }

# image_ref FOLDER: our own name of an image.
image_ref() {
  printf 'stackctl-world/%s:%s' "${1//\//-}" "${KEYS[$1]:?image $1 must come first}"
}

image_exists() { docker image inspect "$1" > /dev/null 2>&1; }

# image_tag FOLDER TAG: gives an image the name others know. An image that has this name and none of ours is somebody's.
image_tag() {
  local names
  names=$(docker image inspect --format '{{join .RepoTags " "}}' "$2" 2> /dev/null || true)
  if [ -n "$names" ] && [[ " $names" != *" stackctl-world/"* ]]; then
    say "$1: the engine has its own $2, left as it is"
    return
  fi
  docker tag "$(image_ref "$1")" "$2"
}

# image_base FOLDER TAG: the image of a part that is a Debian root.
image_base() {
  image_exists "$(image_ref "$1")" \
    || logged "import-$1" 120 docker import -c 'CMD ["bash"]' "$(out "$1")/root.tar" "$(image_ref "$1")"
  image_tag "$1" "$2"
}

image_context() { # FOLDER DIRECTORY
  local file from
  rm -rf "$2"
  mkdir -p "$2"
  cp -a "$WORLD/$1/." "$2/"
  for file in $(header "$1" copy); do
    from=$(out "${file%/*}")/${file##*/}
    ln "$from" "$2/" 2> /dev/null || cp "$from" "$2/"
  done
  [ ! -x "$2/context" ] || (cd "$2" && ./context)
}

image_build() { # FOLDER REFERENCE
  local context=$CACHE/context/${1//\//-} built=$2
  [ ! -x "$WORLD/$1/finish" ] || built=stackctl-world/unfinished:latest
  image_context "$1" "$context"
  # The engine's own builder: BuildKit's front end in the command line is a plugin that may not be there.
  DOCKER_BUILDKIT=0 docker build -t "$built" "$context"
  rm -rf "$context"
  if [ -x "$WORLD/$1/finish" ]; then
    IMAGE=$built TARGET=$2 "$WORLD/$1/finish"
    docker rmi "$built" > /dev/null
  fi
}

# image FOLDER: makes an image, and before it those it needs, unless the engine has them.
image() {
  local name=$1 begin=$SECONDS needed file depends=() ref target
  [ -z "${KEYS[$name]:-}" ] || return 0
  for needed in $(header "$name" needs); do
    image "$needed"
    depends+=("$(keys "$needed")")
  done
  for file in $(header "$name" copy); do depends+=("$(keys "${file%/*}")"); done
  KEYS[$name]=$(key_of "$name" "${depends[@]}")
  ref=$(image_ref "$name")
  if image_exists "$ref"; then
    say "$name: cached"
  else
    say "$name: building ..."
    # A shell of its own, so that it can have a deadline.
    logged "${name//\//-}" 600 bash -c "$(declare -p KEYS WORLD CACHE PARTS); $(declare -f); set -euo pipefail; export DEADLINE=600; image_build $name $ref"
    say "$name: built in $((SECONDS - begin)) s"
  fi
  image_tag "$name" "$(header "$name" tag)"
  for target in $(header "$name" mirror); do MIRRORED[$target]=$ref; done
}

# image_prune: removes images of ours that this run did not name. Those of an option that this run was not given stay.
image_prune() {
  local ref name option
  local -A named=()
  for name in "${!KEYS[@]}"; do named[$(image_ref "$name")]=1; done
  while read -r ref; do
    for option in "$WORLD"/*/with.sh; do
      option=$(basename "${option%/with.sh}")
      [[ $ref != stackctl-world/$option-* || " ${WITH[*]} " == *" $option "* ]] || continue 2
    done
    [ -n "${named[$ref]:-}" ] || { docker rmi "$ref" > /dev/null 2>&1 && say "pruned image $ref"; } || true
  done < <(docker images --format '{{.Repository}}:{{.Tag}}' 'stackctl-world/*')
}
