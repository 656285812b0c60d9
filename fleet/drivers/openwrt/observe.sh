# One read of everything. Sections start with "@", content with "=". Private keys, preshared keys of others and what is staged by
# others never leave the router: keys go as their public half, staged changes by their names.

told() { sed 's/^/=/'; }

frame_system() {
    echo "@system"
    {
        echo "release=$(sed -n "s/^DISTRIB_DESCRIPTION=//p" "$ROOT/etc/openwrt_release" 2>/dev/null | tr -d "'\"" | head -n 1)"
        echo "kernel=$(uname -r)"
        echo "wg=$(wg --version 2>/dev/null | head -n 1)"
        echo "board=$(ubus -S call system board 2>/dev/null | tr -d '\n')"
        echo "user=$(id -u)"
        if has apk; then echo packages=apk; else echo packages=opkg; fi
        tools=
        for tool in wg ubus uci fw4 fw3 nft iptables-save flock setsid; do ! has "$tool" || tools="$tools $tool"; done
        [ ! -x "$ROOT/usr/bin/wireguard_watchdog" ] || tools="$tools wireguard_watchdog"
        for package in network firewall; do [ ! -f "$ROOT/var/run/uci/$package" ] || tools="$tools override.$package"; done
        echo "tools=$tools"
        # By the mount table: trying costs flash, and `test -w` says yes to root whatever is mounted.
        awk '$2 == "/" { how = $4 } END { print "writable=" (how ~ /^ro/ ? "no" : "yes") }' "$ROOT/proc/mounts" 2>/dev/null
        if grep -q syncconf "$ROOT/lib/netifd/proto/wireguard.sh" 2>/dev/null; then echo handler=syncconf
        elif [ -f "$ROOT/lib/netifd/proto/wireguard.uc" ]; then echo handler=ucode
        elif grep -q disabled "$ROOT/lib/netifd/proto/wireguard.sh" 2>/dev/null; then echo handler=disabled
        else echo handler=plain
        fi
        echo "protocol=$(ubus -S call network get_proto_handlers 2>/dev/null | grep -c '"wireguard"')"
    } | told
}

# Interfaces of WireGuard and their peers whole, of everything else the type and the protocol alone: passwords live there.
frame_network() { # OVERLAY
    echo "@network $(cat "$WORK/network" "$WORK/firewall" | md5sum | cut -c1-32)"
    awk -v overlay="$1" "$UCI_RECORDS"'
        turn == 1 && name[3] == "" { type[name[2]] = value; next }
        turn == 1 && name[3] == "proto" && value == "'"'wireguard'"'" { wireguard[name[2]] = 1; next }
        turn == 1 && name[3] == "description" && value ~ ("(^|[^A-Za-z0-9_:-])fleet:" overlay ":[a-z]") { ours[name[2]] = 1; next }
        turn == 1 { next }
        name[3] == "" || name[3] == "proto" { print "=" record; next }
        !(name[2] in wireguard) && type[name[2]] !~ /^wireguard_/ { next }
        name[3] == "preshared_key" && ours[name[2]] { print "=" record; next }
        name[3] == "preshared_key" { print "=" path "='"'(hidden)'"'"; next }
        name[3] != "public_key" && name[3] ~ /key$/ { next }
        { gsub(/\n/, "\n=", record); print "=" record }' turn=1 "$WORK/network" turn=2 "$WORK/network"
    for interface in $(awk "$UCI_RECORDS"' name[3] == "proto" && value == "'"'wireguard'"'" { print name[2] }' "$WORK/network"); do
        for option in private_key fleet_next_key fleet_prev_key; do
            half=$(uci -q get "network.$interface.$option" | wg pubkey 2>/dev/null)
            [ -z "$half" ] || echo "@key $interface $option $half"
        done
    done
}

frame_firewall() {
    if [ -f "$CONFIG/firewall" ]; then echo "@firewall"; told <"$WORK/firewall"; fi
    echo "@rules"
    if has fw4; then nft list table inet fw4 2>/dev/null; else { iptables-save; ip6tables-save; } 2>/dev/null; fi |
        grep -E 'fleet:|jump (input|forward)_|-j zone_' | told
}

# Who else has edits waiting: names only, a value may be a password.
frame_staged() {
    echo "@staged"
    for package in network firewall; do uci changes "$package"; done 2>/dev/null | awk "$UCI_LINES"'{ sub(/[-+]?=.*/, "", record); print "=" record }'
    [ ! -f "$STATE/staging" ] || { echo "@staging"; told <"$STATE/staging"; }
}

# Keys and counters of every interface; private keys and preshared keys of others never leave the router.
frame_kernel() { # OVERLAY
    awk -v overlay="$1" "$UCI_RECORDS"'
        name[3] == "description" && value ~ ("(^|[^A-Za-z0-9_:-])fleet:" overlay ":[a-z]") { ours[name[2]] = 1 }
        name[3] == "public_key" { gsub(/'"'"'/, "", value); key[name[2]] = value }
        END { for (section in ours) print key[section] }' "$WORK/network" >"$WORK/marked"
    echo "@dump $(date +%s)"
    # Through a pipe: no file of fleet holds a private key that fleet did not make.
    wg show all dump 2>"$WORK/error" | awk -F '\t' '
        BEGIN { OFS = "\t" }
        FILENAME ~ /marked$/ { ours[$1] = 1; next }
        NF == 5 { $2 = "(hidden)" }
        NF == 9 && $3 != "(none)" && !($2 in ours) { $3 = "(hidden)" }
        { print "=" $0 }' "$WORK/marked" -
    echo "@links"
    ip -o link show | told
    echo "@addresses"
    ip -o addr show | told
    for interface in $(wg show interfaces 2>/dev/null); do
        echo "@routes $interface"
        { ip -4 route show dev "$interface"; ip -6 route show dev "$interface"; } 2>/dev/null | told
        echo "@status $interface"
        ubus -S call "network.interface.$interface" status 2>/dev/null | tr -d '\n' | told
        echo
    done
}

frame_resolving() {
    echo "@cron"
    [ ! -f "$CRONTAB" ] || grep wireguard_watchdog "$CRONTAB" | told
    if "$ROOT/etc/init.d/cron" enabled 2>/dev/null; then echo "@cron_enabled"; fi
    echo "@cron_service"
    ubus -S call service list '{"name":"cron"}' 2>/dev/null | tr -d '\n' | told
    echo
}

# Something of ours is at work: what is read meanwhile may be half of it.
frame_busy() {
    if has flock && [ -f "$LOCK" ] && ! (flock -n 9) 9<"$LOCK" && holder >/dev/null; then echo "@busy"; fi
}

frame_guard() { # OVERLAY
    plan=$(cat "$GUARD/plan" "$GUARD.undoing/plan" 2>/dev/null | head -n 1)
    if [ -n "$plan" ]; then
        left=0
        if [ -f "$DUE" ] && [ -d "$GUARD" ]; then left=$(($(cat "$DUE") - $(seconds))); fi
        echo "@guard $plan $left"
    fi
    for folder in "$GUARD.new" "$GUARD.confirmed"; do [ ! -d "$folder" ] || echo "@leftover ${folder##*/}"; done
    if [ -f "$STATE/marker-$1" ] && read -r until owner <"$STATE/marker-$1"; then echo "@marker $((until - $(seconds))) $owner"; fi
    case $(cat "$LAST" 2>/dev/null) in undone*not*) echo "@undone"; told <"$LAST" ;; esac
}

observe() { # OVERLAY
    paths "$1"
    has uci || fail 10 "uci is not there: not OpenWrt"
    make_work
    show network >"$WORK/network" 2>"$WORK/error" || fail 11 "$(evidence "$WORK/error")"
    : >"$WORK/firewall"
    [ ! -f "$CONFIG/firewall" ] || show firewall >"$WORK/firewall" 2>"$WORK/error" || fail 11 "$(evidence "$WORK/error")"
    echo "@fleet 1"
    frame_busy
    frame_system
    frame_network "$1"
    frame_firewall
    frame_staged
    frame_guard "$1"
    if has wg; then frame_kernel "$1"; fi
    frame_resolving
    frame_busy
    echo "@end"
}
