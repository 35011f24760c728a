# shellcheck shell=bash
# The load generator of the benchmarks.
part hey 600
link hey "$(out hey)/hey"
