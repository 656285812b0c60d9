# What runs: peers, addresses and the rest of an interface brought to a file.

dial() { echo "$2" >>"${WORK:?}/dial.$1"; }         # INTERFACE PUBLIC_KEY: its configured endpoint is to be loaded
forget() { echo "$2" >>"${WORK:?}/forget.$1"; }     # INTERFACE PUBLIC_KEY: may run without being in a file, goes
unaddress() { echo "$2" >>"${WORK:?}/unaddress.$1"; } # INTERFACE ADDRESS

NO_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

# Input of `wg syncconf`, which clears what it does not find: the private key, port and mark that are not in the file are
# taken from where they are, peers that somebody added to the kernel by hand stay, and the endpoint of a peer that is already
# talking is left out, so that nobody is torn from a learned endpoint and no name has to resolve for others to change.
sync_input() { # INTERFACE CONF OLD_CONF NAMES
    wg show "$1" dump >"${WORK:?}/dump" || return 1
    conf_interface "$2" privatekey | tail -n 1 >"${WORK:?}/private"
    if [ ! -s "${WORK:?}/private" ] && [ -s "$(latest "$1.key")" ]; then cat "$(latest "$1.key")" >"${WORK:?}/private"; fi
    touch "${WORK:?}/dial.$1" "${WORK:?}/forget.$1"
    awk -v names="$4" -v none="$NO_KEY" '
        function flush() {
            if (key == "") { text = ""; endpoint = ""; split("", has); return }
            if (from == "old") known[key] = 1
            if (from == "new") {
                known[key] = 1
                learned = (key in at) && at[key] != "(none)" && !(key in dialled)
                resolves = endpoint ~ /[A-Za-z]/ && endpoint !~ /\[/
                if (endpoint != "" && !learned && !(resolves && names == "without")) text = text "Endpoint = " endpoint "\n"
                # `wg syncconf` leaves these two as they are when the file has none (tools 1.0.20210914); a key of zeros is none.
                if (keepalive[key] && !("persistentkeepalive" in has)) text = text "PersistentKeepalive = off\n"
                if (shared[key] && !("presharedkey" in has)) text = text "PresharedKey = " none "\n"
                peers = peers "[Peer]\n" text
            }
            key = ""; text = ""; endpoint = ""; split("", has)
        }
        what == "private" { private = $1; next }
        what == "dump" {
            split($0, field, "\t")
            if (FNR == 1) { if (private == "" && field[1] != "(none)") private = field[1]; port = field[3]; fwmark = field[4]; next }
            at[field[1]] = field[3]; kernel[++count] = $0
            keepalive[field[1]] = field[8] != "off"; shared[field[1]] = field[2] != "(none)"
            next
        }
        what == "dial" { dialled[$1] = 1; next }
        what == "forget" { known[$1] = 1; next }
        { line = $0; sub(/#.*/, "", line); gsub(/^[ \t\r]+|[ \t\r]+$/, "", line) }
        line == "" { next }
        line ~ /^\[/ { flush(); from = what; section = tolower(line); next }
        {
            mid = index(line, "="); name = tolower(substr(line, 1, mid - 1)); sub(/[ \t]+$/, "", name)
            value = substr(line, mid + 1); sub(/^[ \t]+/, "", value)
        }
        section == "[interface]" && what == "new" && name == "listenport" { port = value }
        section == "[interface]" && what == "new" && name == "fwmark" { fwmark = value }
        section == "[peer]" && name == "publickey" { key = value }
        section == "[peer]" && name == "endpoint" { endpoint = value; next }
        section == "[peer]" { text = text line "\n"; has[name] = 1 }
        END {
            flush()
            print "[Interface]"
            if (private != "") print "PrivateKey = " private
            if (port != "" && port != "0") print "ListenPort = " port
            if (fwmark != "" && fwmark != "off") print "FwMark = " fwmark
            printf "%s", peers
            for (n = 1; n <= count; n++) {
                split(kernel[n], field, "\t")
                if (field[1] in known) continue
                print "[Peer]\nPublicKey = " field[1]
                if (field[2] != "(none)") print "PresharedKey = " field[2]
                if (field[4] != "(none)") print "AllowedIPs = " field[4]
                if (field[8] != "off") print "PersistentKeepalive = " field[8]
            }
        }' what=private "${WORK:?}/private" what=dump "${WORK:?}/dump" what=dial "${WORK:?}/dial.$1" what=forget "${WORK:?}/forget.$1" \
        what=old "$3" what=new "$2" >"${WORK:?}/sync.$1"
}

sync_peers() { # INTERFACE CONF OLD_CONF
    sync_input "$1" "$2" "$3" with || return 1
    WG_ENDPOINT_RESOLUTION_RETRIES=2 wg syncconf "$1" "${WORK:?}/sync.$1" 2>"${WORK:?}/error" && return 0
    grep -qi 'resol\|not known\|no address' "${WORK:?}/error" || return 1
    # A name that does not resolve now is resolved later by the router itself; all else must not wait for it.
    note "$1: $(evidence "${WORK:?}/error")"
    sync_input "$1" "$2" "$3" without && wg syncconf "$1" "${WORK:?}/sync.$1" 2>"${WORK:?}/error"
}

add_addresses() { # INTERFACE CONF
    ip -o addr show dev "$1" | awk '{ print $4 }' >"${WORK:?}/addresses"
    conf_interface "$2" address | tr ',' '\n' | tr -d ' \t' | while read -r address; do
        case $address in '') continue ;; */*) ;; *:*) address=$address/128 ;; *) address=$address/32 ;; esac
        grep -qxF "$address" "${WORK:?}/addresses" || ip addr replace "$address" dev "$1" || return 1
    done
}

# With the first address of a prefix the kernel deletes the others of it, and with the last of all every route through the
# interface, whoever made it; promoting the others keeps both.
del_address() { # INTERFACE ADDRESS
    promote=$ROOT/proc/sys/net/ipv4/conf/$1/promote_secondaries
    kept=$(cat "$promote" 2>/dev/null)
    [ "$kept" != 0 ] || echo 1 >"$promote"
    ip addr del "$2" dev "$1" 2>/dev/null
    [ "$kept" != 0 ] || echo "$kept" >"$promote"
}

converge() { # INTERFACE CONF OLD_CONF LIST
    sync_peers "$1" "$2" "$3" || return 1
    add_addresses "$1" "$2" 2>"${WORK:?}/error" || return 1
    if [ -s "${WORK:?}/unaddress.$1" ]; then
        while read -r address; do del_address "$1" "$address"; done <"${WORK:?}/unaddress.$1"
        # Where nothing is promoted (an old kernel): again what went along.
        add_addresses "$1" "$2" 2>"${WORK:?}/error" || return 1
    fi
    mtu=$(conf_interface "$2" mtu | tail -n 1)
    if [ -n "$mtu" ] && ! ip -o link show dev "$1" | grep -q " mtu $mtu "; then
        ip link set mtu "$mtu" dev "$1" 2>"${WORK:?}/error" || return 1
    fi
    ip link set up dev "$1" 2>"${WORK:?}/error" || return 1
    [ -f "$4" ] || return 0
    routes_apply "$4" "$1" 2>"${WORK:?}/error" || return 1
    firewall_apply "$4" "$(list_overlay "$4")" "$1" 2>"${WORK:?}/error" || return 18
}

missing=
ran=

run() { # INTERFACE
    ran="$ran $1"
    if ! link_exists "$1"; then
        if [ -n "$ARMED" ]; then start_aside "$1"; else missing="$missing $1"; fi
        return 0
    fi
    now=$(latest "$1.conf")
    converge "$1" "$now" "${WORK:?}/was/$1.conf" "$(latest "fleet-$1.list")" && return 0
    code=$? said=$(evidence "${WORK:?}/error")
    [ "$code" = 18 ] || code=16
    if [ -n "$ARMED" ]; then guard_undo; fail "$code" "$1: $said"; fi
    mv "${WORK:?}/new" "${WORK:?}/refused"
    mkdir "${WORK:?}/new"
    rm -rf "${NEXT:?}" "${WORK:?}/unaddress.$1" "${WORK:?}/forget.$1"
    if [ -f "$DIR/$1.conf" ]; then
        [ ! -f "${WORK:?}/refused/$1.conf" ] || now=${WORK:?}/refused/$1.conf
        converge "$1" "$DIR/$1.conf" "$now" "$DIR/fleet-$1.list" 2>/dev/null
    fi
    fail "$code" "$1: $said"
}

# Descriptor 9 is the lock: what stays behind (a userspace WireGuard, a loop) must not hold it.
quick() { WG_ENDPOINT_RESOLUTION_RETRIES=${3:-15} wg-quick "$1" "$2" >"${WORK:?}/error" 2>&1 </dev/null 9>&-; } # up|down INTERFACE|FILE

start() { # INTERFACE
    if ! has bash || ! has wg-quick; then unsave; fail 12 "wg-quick needs bash"; fi
    # Through systemd first, so that the unit knows that it runs; wg-quick itself says why if it does not.
    if has_systemd; then systemctl start "wg-quick@$1" >/dev/null 2>&1; fi
    if ! link_exists "$1"; then quick up "$1"; fi
    if ! link_exists "$1"; then said=$(evidence "${WORK:?}/error"); unsave; fail 17 "$1 does not come up: $said"; fi
    converge "$1" "$DIR/$1.conf" /dev/null "$DIR/fleet-$1.list" && return 0
    code=$?
    said=$(evidence "${WORK:?}/error")
    [ "$code" = 18 ] || { stop "$1"; unsave; code=17; }
    fail "$code" "$1: $said"
}

# An interface that is not up comes up from files that are not saved: without the hooks of ours, which name saved files, and
# without endpoints, which `converge` loads and does not wait for.
start_aside() { # INTERFACE
    aside=${GUARD:?}/up/$1.conf
    if ! has bash || ! has wg-quick; then guard_undo; fail 12 "wg-quick needs bash"; fi
    mkdir -p "${GUARD:?}/up"
    # shellcheck disable=SC2016 # as the line stands in the file
    grep -vE '^(PostUp|PreDown) = .*"\$FLEET_ROOT/etc/wireguard/(fleet-)?%i\.(sh|key)"' "$(latest "$1.conf")" \
        | grep -vi '^[[:space:]]*endpoint[[:space:]]*=' >"$aside"
    quick up "$aside" 2
    if link_exists "$1"; then
        converge "$1" "$(latest "$1.conf")" /dev/null "$(latest "fleet-$1.list")" && return 0
        code=$?
        [ "$code" = 18 ] || code=17
    else
        code=17
    fi
    said=$(evidence "${WORK:?}/error")
    guard_undo
    fail "$code" "$1 does not come up: $said"
}

stop() { # INTERFACE
    if [ -n "$ARMED" ] && [ -f "${GUARD:?}/up/$1.conf" ]; then vanish "$1"; return 0; fi
    if has_systemd; then systemctl stop "wg-quick@$1" >/dev/null 2>&1; fi
    if link_exists "$1" && has bash && has wg-quick; then quick down "$1"; fi
    [ ! -f "$(helper_path "$1")" ] || sh "$(helper_path "$1")" down 9>&-
    if link_exists "$1"; then ip link del dev "$1" 2>"${WORK:?}/error" || fail 17 "$1 does not go: $(evidence "${WORK:?}/error")"; fi
    # Openings of a plan that is not saved are not in the list that the helper closes.
    [ -z "$ARMED" ] || firewall_apply /dev/null "$OVERLAY" "$1" 2>/dev/null
}

# Remove a peer and add it again in one command, so that it starts with a new handshake.
rehandshake() { # INTERFACE PUBLIC_KEY [ENDPOINT]
    wg show "$1" dump | awk -F '\t' -v key="$2" 'NR > 1 && $1 == key' >"${WORK:?}/peer"
    [ -s "${WORK:?}/peer" ] || fail 15 "$1 has no such peer any more"
    cut -f 2 "${WORK:?}/peer" >"${WORK:?}/preshared"
    # Dialled where it is configured: the kernel's own endpoint roams after every packet of the other end.
    endpoint=${3:-$(cut -f 3 "${WORK:?}/peer")}
    allowed=$(cut -f 4 "${WORK:?}/peer")
    keepalive=$(cut -f 8 "${WORK:?}/peer")
    [ "$allowed" != "(none)" ] || allowed=
    interface=$1 key=$2
    set -- allowed-ips "$allowed" persistent-keepalive "$keepalive"
    [ "$endpoint" = "(none)" ] || set -- "$@" endpoint "$endpoint"
    grep -q '(none)' "${WORK:?}/preshared" || set -- "$@" preshared-key "${WORK:?}/preshared"
    wg set "$interface" peer "$key" remove peer "$key" "$@" 2>"${WORK:?}/error" || fail 16 "$interface: $(evidence "${WORK:?}/error")"
}
