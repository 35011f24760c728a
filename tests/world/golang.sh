# shellcheck shell=bash
# Building the commands that a go.mod names as tools. The go.sum beside it is complete: nothing is looked up, and
# what is downloaded is checked.
set -euo pipefail

export GOMODCACHE=$CACHE/go/mod GOCACHE=$CACHE/go/build GOWORK=off GOFLAGS="-mod=readonly -modcacherw" CGO_ENABLED=0

# go_tools FOLDER [LDFLAGS]: builds every tool of FOLDER's module into $OUT.
go_tools() {
  (cd "$1" && go build -trimpath -buildvcs=false -ldflags "-s -w ${2:-}" -o "$OUT/" tool)
}
