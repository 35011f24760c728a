# shellcheck shell=bash
# No packet for a pod or a Service may leave this machine: where there is another network of the same range, or a proxy
# that answers for every address, a cluster would talk to that. Packets between Docker's own bridges are no concern.

fence_ranges=(10.244.0.0/16 10.96.0.0/16)   # kind's defaults for pods and for Services

fence_chains=(DOCKER-USER OUTPUT)             # what containers send, and what this machine answers them

fence_rule() { # -C, -I or -D, then chain and range
  iptables -w 10 "$1" "$2" --destination "$3" ! --out-interface br-+ \
    --match comment --comment io.stackctl.world --jump REJECT
}

fence_up() {
  local chain range new=0
  need_root "the fence around the clusters' addresses"
  for chain in "${fence_chains[@]}"; do
    for range in "${fence_ranges[@]}"; do
      fence_rule -C "$chain" "$range" > /dev/null 2>&1 && continue
      fence_rule -I "$chain" "$range" || die "iptables refused the fence's rule for $range in $chain"
      new=1
    done
  done
  [ $new = 0 ] || say "fence: up"
}

fence_down() {
  local chain range
  command -v iptables > /dev/null || return 0
  for chain in "${fence_chains[@]}"; do
    for range in "${fence_ranges[@]}"; do
      while fence_rule -D "$chain" "$range" > /dev/null 2>&1; do :; done
    done
  done
}
