# One read of everything. Sections start with "@", lines of files with "=", lines that stay on the router with "!":
# a line that holds a secret is told by its number and kind only.

frame_file() { # FILE NAME OVERLAY
    printf '@file %s %s\n' "$2" "$(digest "$1")"
    awk -v overlay="$3" '
        function setting(    at) {
            line = $0; comment = ""
            if (at = index(line, "#")) { comment = substr(line, at); line = substr(line, 1, at - 1) }
            gsub(/^[ \t\r]+|[ \t\r]+$/, "", line)
            name = tolower(line)
            if (at = index(name, "=")) { name = substr(name, 1, at - 1); sub(/[ \t]+$/, "", name) }
        }
        BEGIN { c = "[A-Za-z0-9+/]"; for (n = 0; n < 43; n++) key = key c; key = key "=" }
        { setting() }
        line ~ /^\[/ { section[pass]++ }
        pass == 1 { if (comment ~ ("(^|[^A-Za-z0-9_:-])fleet:" overlay ":[a-z]")) ours[section[1]] = 1; next }
        name == "privatekey" { print "!" FNR " PrivateKey"; next }
        name == "presharedkey" && (!ours[section[2]] || comment ~ key) { print "!" FNR " PresharedKey"; next }
        # A key in a comment or in a hand-written command may be a private one; only public keys are told.
        $0 ~ key && ((name != "publickey" && name != "presharedkey") || comment ~ key) { print "!" FNR " Other"; next }
        { print "=" $0 }' pass=1 "$1" pass=2 "$1"
}

public_half() { # prints nothing for no key or a broken one
    key=$(cat)
    [ -n "$key" ] || return 0
    printf '%s\n' "$key" | wg pubkey 2>/dev/null
}

frame_interface() { # FILE INTERFACE OVERLAY
    if enabled_at_boot "$2"; then echo "@boot $2 enabled"; else echo "@boot $2 disabled"; fi
    printf '@key %s conf %s\n' "$2" "$(conf_interface "$1" privatekey | tail -n 1 | public_half)"
    for kind in key key.next key.prev; do
        [ ! -s "$DIR/$2.$kind" ] || printf '@key %s %s %s\n' "$2" "$kind" "$(public_half <"$DIR/$2.$kind")"
    done
    list=$(list_path "$2")
    [ -f "$list" ] || list=/dev/null
    [ "$list" = /dev/null ] || frame_file "$list" "${list##*/}" "$3"
    echo "@helper $2 $(digest "$(helper_path "$2")")"
    [ "$list" != /dev/null ] || grep -q "fleet:$3:" "$1" || return 0
    overlay_of_list=$(list_overlay "$list")
    if [ "${overlay_of_list:-$3}" = "$3" ] && link_exists "$2"; then
        echo "@openings $2"
        firewall_live "$list" "$3" "$2"
        ! resolving "$2" || echo "@resolving $2"
    fi
}

# Keys and counters of every interface; private keys and preshared keys of others never leave the router.
frame_dump() { # OVERLAY
    : >"$WORK/marked"
    for conf in "$DIR"/*.conf; do
        [ ! -f "$conf" ] || conf_ours "$conf" "$1" | awk -v i="$(basename "$conf" .conf)" '{ print i "\t" $1 }' >>"$WORK/marked"
    done
    echo "@dump $(date +%s)"
    # Through a pipe: not even a temporary file of fleet's ever holds a private key that fleet did not make.
    wg show all dump 2>"$WORK/error" | awk -F '\t' '
        BEGIN { OFS = "\t" }
        FILENAME ~ /marked$/ { ours[$1 "\t" $2] = 1; next }
        NF == 5 { $2 = "(hidden)" }
        NF == 9 && $3 != "(none)" && !(($1 "\t" $2) in ours) { $3 = "(hidden)" }
        { print }' "$WORK/marked" -
    [ ! -s "$WORK/error" ] || fail 11 "$(head -n 1 "$WORK/error")"
}

frame_network() {
    echo "@link"
    ip -o link show
    echo "@address"
    ip -o addr show
    for i in $(wg show interfaces); do
        echo "@route $i"
        routes_now "$i"
    done
}

first_line() { head -n 1 "$1" 2>/dev/null | tr -d '\0'; }

frame_system() {
    echo "@system"
    echo "kernel=$(uname -srm)"
    echo "os=$(sed -n 's/^PRETTY_NAME=//p' "$ROOT/etc/os-release" 2>/dev/null | tr -d '"' | head -n 1)"
    echo "wg=$(wg --version 2>/dev/null | head -n 1)"
    echo "model=$(first_line "$ROOT/sys/class/dmi/id/product_name")$(first_line "$ROOT/proc/device-tree/model")"
    if has_systemd; then echo init=systemd; elif has_openrc; then echo init=openrc; else echo init=rc.local; fi
    tools=
    for tool in wg-quick bash nft iptables ufw firewall-cmd; do ! has "$tool" || tools="$tools $tool"; done
    nft_works || tools="$tools no-nft"
    echo "tools=$tools"
    writable=yes
    if [ -d "$DIR" ]; then place=$DIR; else place=$ROOT/etc; fi
    [ -w "$place" ] || writable=no
    echo "writable=$writable"
}

observe() { # OVERLAY
    has wg || fail 10 "wg is not there"
    if [ -e "$DIR" ] && ! { [ -r "$DIR" ] && [ -x "$DIR" ]; }; then fail 11 "$DIR cannot be read"; fi
    make_work
    echo "@fleet 1"
    frame_system
    for conf in "$DIR"/*.conf; do
        [ -f "$conf" ] || continue
        [ -r "$conf" ] || fail 11 "$conf cannot be read"
        frame_file "$conf" "${conf##*/}" "$1"
        frame_interface "$conf" "$(basename "$conf" .conf)" "$1"
    done
    frame_dump "$1"
    frame_network
    echo "@end"
}
