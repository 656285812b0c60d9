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

# The files of an interface as they are saved, or as they wait to be confirmed (VIEW says which).
place() { if [ "$VIEW" = pending ]; then latest "$1"; else echo "$DIR/$1"; fi; } # NAME

frame_interface() { # INTERFACE OVERLAY
    conf=$(place "$1.conf")
    [ -f "$conf" ] || return 0
    frame_file "$conf" "$1.conf" "$2"
    printf '@key %s conf %s\n' "$1" "$(conf_interface "$conf" privatekey | tail -n 1 | public_half)"
    for kind in key key.next key.prev; do
        half=$(place "$1.$kind")
        [ ! -s "$half" ] || printf '@key %s %s %s\n' "$1" "$kind" "$(public_half <"$half")"
    done
    list=$(place "fleet-$1.list")
    [ -f "$list" ] || list=/dev/null
    [ "$list" = /dev/null ] || frame_file "$list" "fleet-$1.list" "$2"
    echo "@helper $1 $(digest "$(place "fleet-$1.sh")")"
    [ "$VIEW" = pending ] || ! touched "$1" || return 0
    [ "$list" != /dev/null ] || grep -q "fleet:$2:" "$conf" || return 0
    overlay_of_list=$(list_overlay "$list")
    if [ "${overlay_of_list:-$2}" = "$2" ] && link_exists "$1"; then
        echo "@openings $1"
        firewall_live "$list" "$2" "$1"
        ! resolving "$1" || echo "@resolving $1"
    fi
}

touched() { [ -d "$GUARD" ] && grep -qsxF "$1" "${GUARD:?}/interfaces"; } # INTERFACE

# Something of ours is at work: what is read meanwhile may be half of it.
frame_busy() {
    if has flock && [ -f "$LOCK" ] && ! (flock -n 9) 9<"$LOCK" && holder >/dev/null; then echo "@busy"; fi
}

# An undo that is armed, or was cut off; then what its plan has changed and not saved.
frame_guard() { # OVERLAY
    frame_busy
    seen=$(guard_found) || seen=${STATE:?}/none
    plan=$(cat "$seen/plan" 2>/dev/null) due=$(cat "$seen/due" 2>/dev/null)
    if [ -n "$due" ]; then
        left=$((due - $(seconds)))
        [ "$seen" = "$GUARD" ] || left=0
        echo "@guard $plan $left"
    elif [ -d "$NEXT" ]; then echo "@leftover ${NEXT##*/}"
    fi
    if [ -f "${STATE:?}/marker-$1" ] && read -r until owner <"${STATE:?}/marker-$1"; then echo "@marker $((until - $(seconds))) $owner"; fi
    case $(cat "$LAST" 2>/dev/null) in undone*not*) echo "@undone"; sed 's/^/=/' "$LAST" ;; esac
    [ -d "$GUARD" ] || return 0
    VIEW=pending
    while read -r name; do
        echo "@pending $name"
        grep -qsxF "$name" "${GUARD:?}/removed" && continue
        if grep -qs "^boot_off $name\$" "${GUARD:?}/after"; then echo "@off $name"; fi
        frame_interface "$name" "$1"
    done <"${GUARD:?}/interfaces"
    VIEW=saved
}

# Keys and counters of every interface; private keys and preshared keys of others never leave the router.
frame_dump() { # OVERLAY
    : >"${WORK:?}/marked"
    for conf in "$DIR"/*.conf "$NEXT"/*.conf; do
        [ ! -f "$conf" ] || conf_ours "$conf" "$1" | awk -v i="$(basename "$conf" .conf)" '{ print i "\t" $1 }' >>"${WORK:?}/marked"
    done
    echo "@dump $(date +%s)"
    # Through a pipe: not even a temporary file of fleet's ever holds a private key that fleet did not make.
    wg show all dump 2>"${WORK:?}/error" | awk -F '\t' '
        BEGIN { OFS = "\t" }
        FILENAME ~ /marked$/ { ours[$1 "\t" $2] = 1; next }
        NF == 5 { $2 = "(hidden)" }
        NF == 9 && $3 != "(none)" && !(($1 "\t" $2) in ours) { $3 = "(hidden)" }
        { print }' "${WORK:?}/marked" -
    [ ! -s "${WORK:?}/error" ] || fail 11 "$(head -n 1 "${WORK:?}/error")"
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
    for tool in wg-quick bash nft iptables ufw firewall-cmd flock; do ! has "$tool" || tools="$tools $tool"; done
    nft_works || tools="$tools no-nft"
    echo "tools=$tools"
    writable=yes
    if [ -d "$DIR" ]; then place=$DIR; else place=$ROOT/etc; fi
    [ -w "$place" ] || writable=no
    echo "writable=$writable"
}

VIEW=saved

observe() { # OVERLAY
    has wg || fail 10 "wg is not there"
    if [ -e "$DIR" ] && ! { [ -r "$DIR" ] && [ -x "$DIR" ]; }; then fail 11 "$DIR cannot be read"; fi
    guard_paths "$1"
    make_work
    echo "@fleet 1"
    frame_system
    for conf in "$DIR"/*.conf; do
        [ -f "$conf" ] || continue
        [ -r "$conf" ] || fail 11 "$conf cannot be read"
        name=$(basename "$conf" .conf)
        if enabled_at_boot "$name"; then echo "@boot $name enabled"; fi
        frame_interface "$name" "$1"
    done
    frame_guard "$1"
    frame_dump "$1"
    frame_network
    frame_busy
    [ "$(guard_found || echo "${STATE:?}/none")" = "$seen" ] || echo "@busy"
    echo "@end"
}
