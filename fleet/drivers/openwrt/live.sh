# What UCI says and netifd does not do (sheet 3.6): a reload sees neither peers nor addresses. Both are brought to the kernel here,
# one by one, so that tunnels that do not change keep their sessions. OLD is `uci -X show network` from before.

# Peers of an interface as lines: section, public key, ours or theirs, disabled, keepalive, allowed IPs, endpoint, routed,
# preshared key. Separated by blanks, "-" for nothing.
peers_of() { # FILE INTERFACE
    awk -v type="wireguard_$2" -v overlay="$OVERLAY" "$UCI_RECORDS"'
        function bare(text) { gsub(/^'"'"'|'"'"'$/, "", text); gsub(/'"'"' '"'"'/, " ", text); return text }
        name[3] == "" { if (value == type) order[++count] = name[2]; next }
        name[3] == "description" { if (value ~ ("(^|[^A-Za-z0-9_:-])fleet:" overlay ":[a-z]")) ours[name[2]] = 1; next }
        { option[name[2], name[3]] = bare(value) }
        function yes(text) { return text ~ /^(1|on|true|yes|enabled)$/ }
        function dash(text) { return text == "" ? "-" : text }
        END {
            for (n = 1; n <= count; n++) {
                s = order[n]
                if (option[s, "public_key"] == "") continue
                host = option[s, "endpoint_host"]; port = option[s, "endpoint_port"]
                if (host ~ /:/) host = "[" host "]"
                allowed = option[s, "allowed_ips"]; out = ""; m = split(allowed, each, " ")
                for (i = 1; i <= m; i++) {
                    if (each[i] !~ /\//) each[i] = each[i] (each[i] ~ /:/ ? "/128" : "/32")
                    out = out (out == "" ? "" : ",") each[i]
                }
                print s, option[s, "public_key"], (s in ours ? "ours" : "theirs"), yes(option[s, "disabled"]) + 0, \
                    (option[s, "persistent_keepalive"] == "" ? "off" : option[s, "persistent_keepalive"]), dash(out), \
                    (host == "" ? "-" : host ":" (port == "" ? 51820 : port)), yes(option[s, "route_allowed_ips"]) + 0, \
                    dash(option[s, "preshared_key"])
            }
        }' "$1"
}

# What must be said to the kernel about each peer of ours: "set KEY KEEPALIVE ALLOWED ENDPOINT PSK" or "gone KEY".
peer_moves() { # OLD_PEERS NEW_PEERS DUMP DIALLED
    awk '
        function same_set(one, other,    a, b, n, i, seen) {
            n = split(one, a, ","); if (n != split(other, b, ",")) return 0
            for (i = 1; i <= n; i++) seen[a[i]] = 1
            for (i = 1; i <= n; i++) if (!(b[i] in seen)) return 0
            return 1
        }
        FILENAME ~ /old.peers$/ { if ($3 == "ours") was[$2] = 1; old_endpoint[$2] = $7; next }
        FILENAME ~ /new.peers$/ { if (!($2 in want)) order[++count] = $2; want[$2] = $0; if ($3 == "ours") mine[$2] = 1; next }
        FILENAME ~ /dialled$/ { dialled[$1] = 1; next }
        { runs[$1] = $0 }
        END {
            for (n = 1; n <= count; n++) {
                key = order[n]
                if (!(key in mine) && !(key in was)) continue
                split(want[key], w, " ")
                if (w[4] == 1) { if (key in runs) print "gone", key; continue }
                endpoint = w[7]
                if (key in runs) {
                    split(runs[key], r, "\t")
                    psk = r[2] == "(none)" ? "-" : r[2]; allowed = r[4] == "(none)" ? "-" : r[4]
                    moved = endpoint != "-" && (r[3] == "(none)" || old_endpoint[key] != endpoint || (key in dialled))
                    if (moved && r[3] == endpoint && !(key in dialled)) moved = 0
                    cleared = endpoint == "-" && (key in old_endpoint) && old_endpoint[key] != "-"
                    if (cleared) { print "gone", key }
                    else if (same_set(w[6], allowed) && w[5] == r[8] && w[9] == psk && !moved) continue
                    if (!moved) endpoint = "-"
                }
                print "set", key, w[5], w[6], endpoint, w[9]
            }
            for (key in was) if (!(key in want) && (key in runs)) print "gone", key
        }' "$1" "$2" "$4" "$3"
}

set_peer() { # INTERFACE KEY KEEPALIVE ALLOWED ENDPOINT PSK
    allowed=$4
    [ "$allowed" != - ] || allowed=
    if [ "$6" = - ]; then psk_file=/dev/null; else psk_file=/dev/stdin; fi
    printf '%s\n' "$6" | wg set "$1" peer "$2" preshared-key "$psk_file" persistent-keepalive "$3" allowed-ips "$allowed" 2>"$WORK/error" || return 1
    [ "$5" != - ] || return 0
    # Apart: a name that does not resolve must not keep the rest out, the watchdog tries it again.
    wg set "$1" peer "$2" endpoint "$5" 2>"$WORK/error" || say "$1: endpoint $5: $(evidence "$WORK/error")"
}

live_peers() { # INTERFACE OLD NEW
    peers_of "$2" "$1" >"$WORK/old.peers"
    peers_of "$3" "$1" >"$WORK/new.peers"
    wg show "$1" dump 2>"$WORK/error" | sed 1d >"$WORK/dump"
    [ -f "$WORK/dialled" ] || : >"$WORK/dialled"
    peer_moves "$WORK/old.peers" "$WORK/new.peers" "$WORK/dump" "$WORK/dialled" >"$WORK/moves"
    while read -r verb key keepalive allowed endpoint psk; do
        case $verb in
            gone) wg set "$1" peer "$key" remove ;;
            set) set_peer "$1" "$key" "$keepalive" "$allowed" "$endpoint" "$psk" || return 1 ;;
        esac
    done <"$WORK/moves"
}

# Prefixes that peers say are to be routed; ours only where WHOSE says so.
routed() { # PEERS WHOSE
    awk -v whose="$2" '$4 == 0 && $8 == 1 && $6 != "-" && (whose == "all" || $3 == whose) {
        n = split($6, each, ","); for (i = 1; i <= n; i++) print each[i] }' "$1" | sort -u
}

routes_now() { # INTERFACE
    { ip -4 route show dev "$1" | sed 's/^default/0.0.0.0\/0/'; ip -6 route show dev "$1" | sed 's/^default/::\/0/'; } 2>/dev/null |
        awk '{ print ($1 ~ /\// ? $1 : $1 ($1 ~ /:/ ? "/128" : "/32")) }' | sort -u
}

family() { case $1 in *:*) echo -6 ;; *) echo -4 ;; esac; } # PREFIX

# netifd makes these routes when it sets the interface up, and knows nothing of peers that came later (sheet 3.6).
live_routes() { # INTERFACE
    routes_now "$1" >"$WORK/routes"
    routed "$WORK/new.peers" all >"$WORK/routed"
    routed "$WORK/new.peers" ours | without "$WORK/routes" >"$WORK/missing"
    routed "$WORK/old.peers" ours | without "$WORK/routed" | within "$WORK/routes" >"$WORK/gone"
    while read -r prefix; do ip "$(family "$prefix")" route del "$prefix" dev "$1" proto static 2>/dev/null; done <"$WORK/gone"
    while read -r prefix; do
        ip "$(family "$prefix")" route add "$prefix" dev "$1" proto static 2>"$WORK/error" || { routes_refused=$(evidence "$WORK/error"); return 1; }
    done <"$WORK/missing"
}

addresses_of() { # FILE INTERFACE
    awk -v interface="$2" "$UCI_RECORDS"'
        name[2] == interface && name[3] == "addresses" {
            gsub(/'"'"'/, "", value); n = split(value, each, " ")
            for (i = 1; i <= n; i++) print each[i] (each[i] ~ /\// ? "" : (each[i] ~ /:/ ? "/128" : "/32"))
        }' "$1"
}

addresses_now() { ip -o addr show dev "$1" | awk '{ print $4 }'; } # INTERFACE

live_addresses() { # INTERFACE OLD NEW
    addresses_of "$3" "$1" >"$WORK/wanted"
    addresses_of "$2" "$1" | without "$WORK/wanted" >"$WORK/leaving"
    for turn in 1 2; do # again after removals: with the first address of a prefix the kernel drops the others
        addresses_now "$1" >"$WORK/has"
        while read -r address; do
            grep -qxF "$address" "$WORK/has" || ip addr add "$address" dev "$1" 2>"$WORK/error" || return 1
        done <"$WORK/wanted"
        [ "$turn" = 1 ] || break
        while read -r address; do
            ! grep -qxF "$address" "$WORK/has" || ip addr del "$address" dev "$1" 2>/dev/null
        done <"$WORK/leaving"
    done
}

# The first address of a prefix is the one that the router speaks from: an undo that brings it back behind another one would let
# peers refuse what comes from there. Those behind the first go and come again, in the order of before.
in_order() { # INTERFACE ADDRESSES_BEFORE
    [ -s "$2" ] || return 0
    addresses_now "$1" | within "$2" >"$WORK/now.order"
    within "$WORK/now.order" <"$2" >"$WORK/was.order"
    ! cmp -s "$WORK/now.order" "$WORK/was.order" || return 0
    first=$(head -n 1 "$WORK/was.order")
    sed 1d "$WORK/was.order" | while read -r address; do
        ip addr del "$address" dev "$1" 2>/dev/null
        addresses_now "$1" | grep -qxF "$first" || ip addr add "$first" dev "$1" 2>/dev/null
        ip addr add "$address" dev "$1" 2>/dev/null
    done
}

enabled_in() { # FILE INTERFACE
    awk -v interface="$2" "$UCI_RECORDS"'
        name[2] == interface && name[3] == "" { found = 1 }
        name[2] == interface && name[3] == "disabled" && value ~ /1|true/ { off = 1 }
        END { exit !(found && !off) }' "$1"
}

is_up() { ubus -S call "network.interface.$1" status 2>/dev/null | grep -q '"up": *true'; } # INTERFACE

# netifd returns at once and works on: the state is asked for until it is up, or until its setup has failed for good.
wait_up() { # INTERFACE
    tries=0
    until is_up "$1" && link_exists "$1"; do
        tries=$((tries + 1))
        [ "$tries" -le "${FLEET_UP_PATIENCE:-15}" ] || return 1
        sleep 1
    done
}

# Bring what runs of an interface to what is committed. RESTART says how: no, reload (netifd sees the change), ifup.
live() { # INTERFACE RESTART [KEY...]; the endpoints of these peers are to be dialled anew
    interface=$1 how=$2
    shift 2
    printf '%s\n' "$@" >"$WORK/dialled"
    if ! enabled_in "$WORK/new.network" "$interface"; then
        if link_exists "$interface"; then ubus -S call network reload >/dev/null; wait_gone "$interface"; fi
        return 0
    fi
    case $how in
        reload)
            ubus -S call network reload >/dev/null || fail 17 "netifd does not answer"
            sleep 1
            ;;
        ifup) ifup "$interface" >/dev/null 2>&1; sleep 1 ;;
    esac
    if ! link_exists "$interface" || ! is_up "$interface"; then
        wait_up "$interface" || { ifup "$interface" >/dev/null 2>&1; wait_up "$interface"; } || fail 17 "$interface: $(why_down "$interface")"
    fi
    live_addresses "$interface" "$WORK/old.network" "$WORK/new.network" || fail 17 "$interface: $(evidence "$WORK/error")"
    live_peers "$interface" "$WORK/old.network" "$WORK/new.network" || fail 17 "$interface: $(evidence "$WORK/error")"
    live_routes "$interface" || fail 17 "$interface: $routes_refused"
}

wait_gone() { # INTERFACE
    tries=0
    while link_exists "$1" && [ "$tries" -lt 10 ]; do tries=$((tries + 1)); sleep 1; done
}

why_down() { # INTERFACE; setup errors are in the log only (sheet 3.2)
    said=$(logread -e "$1" 2>/dev/null | grep 'netifd: ' | grep -v 'Interface\|Network device' | tail -n 1 | sed 's/.*netifd: //')
    echo "${said:-does not come up}"
}

reload_firewall() {
    "$ROOT/etc/init.d/firewall" reload >"$WORK/check" 2>&1 || "$ROOT/etc/init.d/firewall" restart >"$WORK/check" 2>&1 || fail 18 "$(evidence "$WORK/check")"
}

# The handshake anew: the peer goes and comes with everything that UCI says of it.
rehandshake() { # INTERFACE KEY
    read_now "$WORK/new"
    cp "$WORK/new.network" "$WORK/old.network"
    wg set "$1" peer "$2" remove 2>"$WORK/error" || fail 17 "$(evidence "$WORK/error")"
    live "$1" no
}
