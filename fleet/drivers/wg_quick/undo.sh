# How an interface gets back what it had: ours as it was, what others have done meanwhile as it is.

restore() { # INTERFACE
    was=${GUARD:?}/before/$1 was_conf=${GUARD:?}/old/$1.conf was_list=${GUARD:?}/old/fleet-$1.list new_conf=$(latest "$1.conf") wrong=0
    [ -f "$was_list" ] || was_list=/dev/null
    [ -f "$was_conf" ] || was_conf=/dev/null
    [ -f "$new_conf" ] || new_conf=/dev/null
    if [ ! -f "$was/dump" ]; then vanish "$1"; return; fi
    if ! link_exists "$1"; then
        if has_systemd; then systemctl start "wg-quick@$1" >/dev/null 2>&1; fi
        link_exists "$1" || quick up "$1" 2
        link_exists "$1" || return 1
    fi
    restore_peers "$1" "$was_conf" "$new_conf" "$was/dump" || wrong=1
    restore_addresses "$1" "$was_conf" "$new_conf" "$was/addresses" || wrong=1
    restore_link "$1" "$new_conf" "$was/link" || wrong=1
    routes_apply "$was_list" "$1" 2>/dev/null || wrong=1
    restore_routes "$1" "$was/routes"
    firewall_apply "$was_list" "$OVERLAY" "$1" 2>/dev/null || wrong=1
    return "$wrong"
}

vanish() { # INTERFACE; it came with the plan
    if link_exists "$1"; then
        quick down "${GUARD:?}/up/$1.conf"
        ! link_exists "$1" || ip link del dev "$1" 2>/dev/null
    fi
    rm -f "${GUARD:?}/up/$1.conf"
    firewall_apply /dev/null "$OVERLAY" "$1" 2>/dev/null || return 1
    ! link_exists "$1"
}

# Peers of ours as the kernel had them; peers of others as it has them now. Who did not change keeps his session, who comes
# back or was dialled elsewhere gets the endpoint he had, so that nothing has to be resolved and nobody waits to be heard.
restore_peers() { # INTERFACE OLD_CONF NEW_CONF DUMP_BEFORE
    wg show "$1" dump >"${WORK:?}/dump" || return 1
    touch "${GUARD:?}/dial.$1" "${GUARD:?}/forget.$1"
    awk -v again="${WORK:?}/again" -v none="$NO_KEY" '
        function print_peer(field, allowed, endpoint) {
            text = text "[Peer]\nPublicKey = " field[1] "\n"
            text = text "PresharedKey = " (field[2] == "(none)" ? none : field[2]) "\n"
            if (allowed != "(none)") text = text "AllowedIPs = " allowed "\n"
            if (endpoint != "(none)") text = text "Endpoint = " endpoint "\n"
            text = text "PersistentKeepalive = " field[8] "\n"
        }
        what == "before" { if (FNR == 1) { split($0, us, "\t"); next } split($0, field, "\t"); was[field[1]] = $0; next }
        what == "dump" { if (FNR == 1) next; split($0, field, "\t"); is[field[1]] = $0; next }
        what == "dial" { dialled[$1] = 1; next }
        what == "forget" { ours[$1] = 1; next }
        {
            line = $0; sub(/#.*/, "", line)
            mid = index(line, "="); name = tolower(substr(line, 1, mid - 1)); gsub(/[ \t\r]/, "", name)
            value = substr(line, mid + 1); gsub(/[ \t\r]/, "", value)
            if (name == "publickey") ours[value] = 1
        }
        END {
            print "[Interface]"
            if (us[1] != "(none)") print "PrivateKey = " us[1]
            if (us[3] != "0") print "ListenPort = " us[3]
            if (us[4] != "off") print "FwMark = " us[4]
            for (key in is) if (key in ours) {
                split(is[key], field, "\t"); count = split(field[4], item, ",")
                for (n = 1; n <= count; n++) taken[item[n]] = 1
            }
            for (key in was) if (key in ours) {
                split(was[key], field, "\t"); endpoint = field[3]
                if (key in is && !(key in dialled)) endpoint = "(none)"
                # An endpoint cannot be taken away again, only with its peer; one that had none never spoke to anybody.
                if (key in is && key in dialled && endpoint == "(none)") print key >again
                print_peer(field, field[4], endpoint)
            }
            for (key in is) if (!(key in ours)) {
                split(is[key], field, "\t"); allowed = field[4]
                if (key in was) {
                    split(was[key], old, "\t"); count = split(old[4], item, ",")
                    for (n = 1; n <= count; n++)
                        if (item[n] in taken) allowed = (allowed == "(none)" ? "" : allowed ",") item[n]
                }
                print_peer(field, allowed, "(none)")
            }
            printf "%s", text
        }' what=before "$4" what=dump "${WORK:?}/dump" what=dial "${GUARD:?}/dial.$1" what=forget "${GUARD:?}/forget.$1" \
        what=old "$2" what=new "$3" >"${WORK:?}/sync.$1"
    if [ -f "${WORK:?}/again" ]; then
        while read -r key; do wg set "$1" peer "$key" remove; done <"${WORK:?}/again"
        rm -f "${WORK:?}/again"
    fi
    wg syncconf "$1" "${WORK:?}/sync.$1" 2>"${WORK:?}/error"
}

restore_addresses() { # INTERFACE OLD_CONF NEW_CONF ADDRESSES_BEFORE
    for each_conf in "$2" "$3"; do conf_interface "$each_conf" address | tr ',' '\n' | tr -d ' \t'; done >"${WORK:?}/ours"
    [ ! -f "${GUARD:?}/unaddress.$1" ] || cat "${GUARD:?}/unaddress.$1" >>"${WORK:?}/ours"
    addresses_now "$1" >"${WORK:?}/addresses"
    # Gone again: ours that came with the plan. Here again: ours that went, and what the kernel deletes with the first of a prefix.
    awk '
        FILENAME ~ /ours$/ { if (!/\//) $0 = $0 (/:/ ? "/128" : "/32"); ours[$0] = 1; next }
        FILENAME ~ /before/ { was[$0] = 1; next }
        { is[$0] = 1 }
        END {
            for (address in is) if (address in ours && !(address in was)) print "del", address; else print "add", address
            for (address in was) if (address in ours && !(address in is)) print "add", address
        }' "${WORK:?}/ours" "$4" "${WORK:?}/addresses" >"${WORK:?}/moves"
    # Never without an address, see del_address; the second time for kernels that promote nothing.
    for verb in add del add; do
        sed -n "s/^$verb //p" "${WORK:?}/moves" >"${WORK:?}/moving"
        while read -r address; do
            if [ "$verb" = del ]; then del_address "$1" "$address"
            elif ! addresses_now "$1" | grep -qxF "$address"; then ip addr replace "$address" dev "$1" 2>/dev/null
            fi
        done <"${WORK:?}/moving"
    done
    in_order "$1" "$4"
}

# The first address of a prefix is the one that the router speaks from: an undo that brings it back behind another one would let
# peers refuse what comes from there. Those behind the first go and come again, in the order of before.
in_order() { # INTERFACE ADDRESSES_BEFORE
    addresses_now "$1" >"${WORK:?}/addresses"
    grep -xF -f "$2" "${WORK:?}/addresses" >"${WORK:?}/order.now"
    grep -xF -f "${WORK:?}/addresses" "$2" >"${WORK:?}/order.was"
    ! cmp -s "${WORK:?}/order.now" "${WORK:?}/order.was" || return 0
    first=$(head -n 1 "${WORK:?}/order.was")
    sed 1d "${WORK:?}/order.was" >"${WORK:?}/moving"
    while read -r address; do
        del_address "$1" "$address"
        addresses_now "$1" | grep -qxF "$first" || ip addr add "$first" dev "$1" 2>/dev/null
        ip addr add "$address" dev "$1" 2>/dev/null
    done <"${WORK:?}/moving"
}

restore_link() { # INTERFACE NEW_CONF LINK_BEFORE
    mtu=$(sed 's/.* mtu \([0-9]*\) .*/\1/' "$3")
    if [ -n "$(conf_interface "$2" mtu)" ] && ! ip -o link show dev "$1" | grep -q " mtu $mtu "; then
        ip link set mtu "$mtu" dev "$1" 2>/dev/null || return 1
    fi
    if grep -q '[<,]UP[,>]' "$3"; then ip link set up dev "$1" 2>/dev/null; else ip link set down dev "$1" 2>/dev/null; fi
}

# `ip route replace` of the plan may have put a route of somebody else out of the way.
restore_routes() { # INTERFACE ROUTES_BEFORE
    { ip -4 route show; ip -6 route show; } >"${WORK:?}/now" 2>/dev/null
    awk '$1 == "route" { print $2 }' "${NEXT:?}/fleet-$1.list" 2>/dev/null | sed 's#/32$##; s#/128$##' >"${WORK:?}/prefixes"
    awk -v i="dev $1 " 'FILENAME ~ /prefixes$/ { want[$1] = 1; next }
        FILENAME ~ /now$/ { have[$1] = 1; next }
        $1 in want && !($1 in have) && index($0 " ", i) == 0 { gsub(/ (linkdown|dead|offload|trap|rt_offload|rt_trap)/, ""); print }' "${WORK:?}/prefixes" "${WORK:?}/now" "$2" >"${WORK:?}/missing"
    while read -r words; do
        # shellcheck disable=SC2086 # words of ip itself
        ip route add $words 2>/dev/null
    done <"${WORK:?}/missing"
}

unswitch() {
    [ -f "${GUARD:?}/sysctl" ] || return 0
    while read -r path old new; do [ "$(cat "$path" 2>/dev/null)" != "$new" ] || echo "$old" >"$path"; done <"${GUARD:?}/sysctl"
}
