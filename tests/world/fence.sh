# shellcheck shell=bash
# No packet for a pod or a Service may leave this machine: where there is another network of the same range, or a proxy
# that answers for every address, a cluster would talk to that. Packets between Docker's own bridges are no concern.

fence_ranges=(10.244.0.0/16 10.96.0.0/16)   # kind's defaults for pods and for Services

fence_rule() { # -C, -I or -D, then the range
  iptables -w 10 "$1" DOCKER-USER --destination "$2" ! --out-interface br-+ \
    --match comment --comment io.stackctl.world --jump REJECT
}

fence_up() {
  local range new=0
  need_root "the fence around the clusters' addresses"
  for range in "${fence_ranges[@]}"; do
    fence_rule -C "$range" > /dev/null 2>&1 && continue
    fence_rule -I "$range" || die "iptables refused the fence's rule for $range"
    new=1
  done
  [ $new = 0 ] || say "fence: up"
}

fence_down() {
  local range
  command -v iptables > /dev/null || return 0
  for range in "${fence_ranges[@]}"; do
    while fence_rule -D "$range" > /dev/null 2>&1; do :; done
  done
}
