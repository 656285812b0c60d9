#!/bin/bash
# Made by fleet: a peer of ours whose endpoint is a name, and whose last handshake is old, is dialled at what the name says now.
# Only the kernel is told; the configuration keeps the name.
ROOT=${FLEET_ROOT:-}
[ -n "$ROOT" ] || PATH=$PATH:/opt/vyatta/bin:/opt/vyatta/sbin:/usr/sbin:/sbin
export PATH WG_ENDPOINT_RESOLUTION_RETRIES=1
OVERLAY=@OVERLAY@
cli-shell-api showCfg --show-active-only | awk -v overlay="$OVERLAY" '
    { gsub(/^ +| +$/, "") }
    /^wireguard wg[0-9]+ \{$/ { interface = $2; depth = 1; next }
    interface == "" { next }
    /\{$/ { depth++; if ($1 == "peer") { peer = $2; endpoint = ""; ours = 0 } next }
    $0 == "}" {
        depth--
        if (peer != "" && depth == 1) { if (ours && endpoint ~ /[A-Za-z]/ && endpoint !~ /^\[/) print interface, peer, endpoint; peer = "" }
        if (depth == 0) interface = ""
        next
    }
    peer != "" && $1 == "endpoint" { endpoint = $2; gsub(/"/, "", endpoint) }
    peer != "" && $1 == "description" && index($0, "fleet:" overlay ":") { ours = 1 }
' | while read -r interface peer endpoint; do
    last=$(wg show "$interface" latest-handshakes | awk -v peer="$peer" '$1 == peer { print $2 }')
    [ -n "$last" ] && [ "$(($(date +%s) - last))" -gt 150 ] || continue
    wg set "$interface" peer "$peer" endpoint "$endpoint"
done
