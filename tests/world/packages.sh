# shellcheck shell=bash
# Tools of the machine itself.

# need_go: Debian's is too old for what is built, and Go brings newer versions of itself, if it is new enough to know how.
need_go() { command -v go > /dev/null || die "please install Go 1.26 or newer"; }

# packages PROGRAM=PACKAGE...: installs the package of every program that isn't there.
packages() {
  local pair missing=() begin=$SECONDS
  for pair in "$@"; do
    type -P "${pair%%=*}" > /dev/null || [[ " ${missing[*]} " == *" ${pair#*=} "* ]] || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} = 0 ] && return 0
  command -v apt-get > /dev/null || die "please install ${missing[*]}: this machine has no apt-get to do it"
  need_root "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  logged apt-update 120 apt-get -o DPkg::Lock::Timeout=60 update
  logged apt-install 300 apt-get -o DPkg::Lock::Timeout=60 install -y --no-install-recommends "${missing[@]}"
  say "packages: installed ${missing[*]} in $((SECONDS - begin)) s"
}
