# One write. The calls at the end of the script say what changes; nothing runs before the whole script has arrived.
# New files are built aside and checked first, then run, then saved; a step that fails leaves what was.

begin() {
    has wg || fail 10 "wg is not there"
    [ -d "$DIR" ] || mkdir -m 700 "$DIR" 2>/dev/null || not_writable "$ROOT/etc"
    [ -w "$DIR" ] || not_writable "$DIR"
    make_work
    mkdir "$WORK/new" "$WORK/old"
    rm -f "$DIR"/*.fleet-new
}

not_writable() { # PLACE
    if touch "$1/.fleet-write" 2>"$WORK/touch"; then rm -f "$1/.fleet-write"; fail 11 "$1 is not writable for this account"; fi
    if [ "$(id -u)" = 0 ]; then fail 13 "$1 is read-only"; fi
    fail 11 "$1 is not writable for user $(id -un)"
}

# Words of a tool without anything that could be a key.
evidence() { grep -v '^\[#\]' "$1" | sed 's#[A-Za-z0-9+/]\{30,\}=*#***#g' | tail -n 1; }

# ---- files: a recipe of "!N-M" (lines of the old file, whatever they hold) and "=text" (new lines)
file() { # NAME MODE DIGEST_OF_OLD <recipe
    cat >"$WORK/recipe"
    [ "$(digest "$DIR/$1")" = "$3" ] || fail 15 "$1 changed while we looked"
    old=$DIR/$1
    [ -f "$old" ] || old=/dev/null
    awk '
        reading == "old" { line[FNR] = $0; next }
        /^=/ { print substr($0, 2); next }
        /^!/ {
            split(substr($0, 2), range, "-")
            for (n = range[1]; n <= range[2]; n++) { if (!(n in line)) exit 1; print line[n] }
        }' reading=old "$old" reading=recipe "$WORK/recipe" >"$WORK/new/$1" || fail 15 "$1 has not the lines that were read"
    rm -f "$WORK/recipe"
    chmod "$2" "$WORK/new/$1"
}

helper() { # INTERFACE <text
    cat >"$WORK/new/fleet-$1.sh"
    chmod 700 "$WORK/new/fleet-$1.sh"
}

latest() { if [ -f "$WORK/new/$1" ]; then echo "$WORK/new/$1"; else echo "$DIR/$1"; fi; } # NAME

# ---- keys: made here, or given on standard input; never on a command line
key_make() { # INTERFACE; an interface that already has a key keeps it
    if [ -s "$DIR/$1.key" ]; then return 0; fi
    if link_exists "$1"; then wg show "$1" private-key | grep -v '^(none)$' >"$WORK/new/$1.key"; fi
    [ -s "$WORK/new/$1.key" ] || wg genkey >"$WORK/new/$1.key" || fail 10 "wg genkey failed"
}
key_given() { cat >"$WORK/new/$1.key"; } # INTERFACE <key
stage_make() { [ -s "$DIR/$1.key.next" ] || wg genkey >"$WORK/new/$1.key.next" || fail 10 "wg genkey failed"; } # INTERFACE
stage_given() { cat >"$WORK/new/$1.key.next"; } # INTERFACE <key
stage_drop() { gone="$gone $1.key.next"; } # INTERFACE
key_activate() { # INTERFACE PUBLIC_KEY; the pair in use stays as .key.prev until confirm
    next=$(latest "$1.key.next")
    [ "$(wg pubkey <"$next" 2>/dev/null)" = "$2" ] || fail 15 "the staged key of $1 changed while we looked"
    conf_private_key "$DIR/$1.conf" "$1" >"$WORK/new/$1.key.prev"
    cp "$next" "$WORK/new/$1.key"
    rm -f "$WORK/new/$1.key.next"
    gone="$gone $1.key.next"
}

# ---- running
dial() { echo "$2" >>"$WORK/dial.$1"; }         # INTERFACE PUBLIC_KEY: its configured endpoint is to be loaded
forget() { echo "$2" >>"$WORK/forget.$1"; }     # INTERFACE PUBLIC_KEY: may run without being in a file, goes
unaddress() { echo "$2" >>"$WORK/unaddress.$1"; } # INTERFACE ADDRESS

# Input of `wg syncconf`, which clears what it does not find: the private key, port and mark that are not in the file are
# taken from where they are, peers that somebody added to the kernel by hand stay, and the endpoint of a peer that is already
# talking is left out, so that nobody is torn from a learned endpoint and no name has to resolve for others to change.
sync_input() { # INTERFACE CONF OLD_CONF NAMES
    wg show "$1" dump >"$WORK/dump" || return 1
    conf_interface "$2" privatekey | tail -n 1 >"$WORK/private"
    if [ ! -s "$WORK/private" ] && [ -s "$(latest "$1.key")" ]; then cat "$(latest "$1.key")" >"$WORK/private"; fi
    touch "$WORK/dial.$1" "$WORK/forget.$1"
    awk -v names="$4" '
        function flush() {
            if (key == "") { text = ""; endpoint = ""; return }
            if (from == "old") known[key] = 1
            if (from == "new") {
                known[key] = 1
                learned = (key in at) && at[key] != "(none)" && !(key in dialled)
                resolves = endpoint ~ /[A-Za-z]/ && endpoint !~ /\[/
                if (endpoint != "" && !learned && !(resolves && names == "without")) text = text "Endpoint = " endpoint "\n"
                peers = peers "[Peer]\n" text
            }
            key = ""; text = ""; endpoint = ""
        }
        what == "private" { private = $1; next }
        what == "dump" {
            split($0, field, "\t")
            if (FNR == 1) { if (private == "" && field[1] != "(none)") private = field[1]; port = field[3]; fwmark = field[4]; next }
            at[field[1]] = field[3]; kernel[++count] = $0; next
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
        section == "[peer]" { text = text line "\n" }
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
        }' what=private "$WORK/private" what=dump "$WORK/dump" what=dial "$WORK/dial.$1" what=forget "$WORK/forget.$1" \
        what=old "$3" what=new "$2" >"$WORK/sync.$1"
}

sync_peers() { # INTERFACE CONF OLD_CONF
    sync_input "$1" "$2" "$3" with || return 1
    WG_ENDPOINT_RESOLUTION_RETRIES=2 wg syncconf "$1" "$WORK/sync.$1" 2>"$WORK/error" && return 0
    grep -qi 'resol\|not known\|no address' "$WORK/error" || return 1
    # A name that does not resolve now is resolved later by the router itself; all else must not wait for it.
    note "$1: $(evidence "$WORK/error")"
    sync_input "$1" "$2" "$3" without && wg syncconf "$1" "$WORK/sync.$1" 2>"$WORK/error"
}

add_addresses() { # INTERFACE CONF
    ip -o addr show dev "$1" | awk '{ print $4 }' >"$WORK/addresses"
    conf_interface "$2" address | tr ',' '\n' | tr -d ' \t' | while read -r address; do
        case $address in '') continue ;; */*) ;; *:*) address=$address/128 ;; *) address=$address/32 ;; esac
        grep -qxF "$address" "$WORK/addresses" || ip addr replace "$address" dev "$1" || return 1
    done
}

converge() { # INTERFACE CONF OLD_CONF LIST
    sync_peers "$1" "$2" "$3" || return 1
    add_addresses "$1" "$2" 2>"$WORK/error" || return 1
    if [ -s "$WORK/unaddress.$1" ]; then
        while read -r address; do ip addr del "$address" dev "$1" 2>/dev/null; done <"$WORK/unaddress.$1"
        # The kernel deletes the other addresses of a prefix with its first one (promote_secondaries is off).
        add_addresses "$1" "$2" 2>"$WORK/error" || return 1
    fi
    mtu=$(conf_interface "$2" mtu | tail -n 1)
    if [ -n "$mtu" ] && ! ip -o link show dev "$1" | grep -q " mtu $mtu "; then
        ip link set mtu "$mtu" dev "$1" 2>"$WORK/error" || return 1
    fi
    ip link set up dev "$1" 2>"$WORK/error" || return 1
    [ -f "$4" ] || return 0
    routes_apply "$4" "$1" 2>"$WORK/error" || return 1
    firewall_apply "$4" "$(list_overlay "$4")" "$1" 2>"$WORK/error" || return 18
}

# ---- phases
notes=
note() { notes="$notes@note $*
"; }
gone=
missing=
ran=

stage() {
    for new in "$WORK"/new/*; do
        [ -f "$new" ] || continue
        cp -p "$new" "$DIR/${new##*/}.fleet-new" 2>"$WORK/error" && continue
        rm -f "$DIR"/*.fleet-new
        if grep -qi 'no space' "$WORK/error"; then fail 14 "$DIR: no space left"; fi
        fail 13 "$(evidence "$WORK/error")"
    done
}

unstage() { rm -f "$DIR"/*.fleet-new; }

run() { # INTERFACE
    if ! link_exists "$1"; then missing="$missing $1"; return 0; fi
    old=$DIR/$1.conf
    [ -f "$old" ] || old=/dev/null
    ran="$ran $1"
    converge "$1" "$(latest "$1.conf")" "$old" "$(latest "fleet-$1.list")" && return 0
    code=$?
    said=$(evidence "$WORK/error")
    rm -rf "$WORK/new" "$WORK/unaddress.$1"
    unstage
    [ "$old" = /dev/null ] || converge "$1" "$old" "$old" "$DIR/fleet-$1.list" 2>/dev/null
    [ "$code" = 18 ] || code=16
    fail "$code" "$1: $said"
}

save() {
    for new in "$DIR"/*.fleet-new; do
        [ -f "$new" ] || continue
        name=${new##*/}
        name=${name%.fleet-new}
        [ ! -f "$DIR/$name" ] || cp -p "$DIR/$name" "$WORK/old/$name"
        mv -f "$new" "$DIR/$name" || fail 13 "$DIR/$name could not be replaced"
    done
    for name in $gone; do rm -f "$DIR/$name"; done
    for name in $missing; do start "$name"; done
    for name in $ran $missing; do
        list=$(list_path "$name")
        [ ! -f "$list" ] || resolve_apply "$list" "$name" || note "$name: named endpoints are not resolved again"
    done
    sync "$DIR" 2>/dev/null
}

unsave() { # a new interface that does not come up leaves nothing behind
    for new in "$WORK"/new/*; do
        name=${new##*/}
        if [ -f "$WORK/old/$name" ]; then mv -f "$WORK/old/$name" "$DIR/$name"
        else case $name in *.key) ;; *) rm -f "$DIR/$name" ;; esac
        fi
    done
}

start() { # INTERFACE
    if ! has bash || ! has wg-quick; then unsave; fail 12 "wg-quick needs bash"; fi
    # Through systemd first, so that the unit knows that it runs; wg-quick itself says why if it does not.
    if has_systemd; then systemctl start "wg-quick@$1" >/dev/null 2>&1; fi
    if ! link_exists "$1"; then wg-quick up "$1" >"$WORK/error" 2>&1 </dev/null; fi
    if ! link_exists "$1"; then said=$(evidence "$WORK/error"); unsave; fail 17 "$1 does not come up: $said"; fi
    converge "$1" "$DIR/$1.conf" /dev/null "$DIR/fleet-$1.list" && return 0
    code=$?
    said=$(evidence "$WORK/error")
    [ "$code" = 18 ] || { stop "$1"; unsave; code=17; }
    fail "$code" "$1: $said"
}

stop() { # INTERFACE
    if has_systemd; then systemctl stop "wg-quick@$1" >/dev/null 2>&1; fi
    if link_exists "$1" && has bash && has wg-quick; then wg-quick down "$1" >/dev/null 2>&1 </dev/null; fi
    [ ! -f "$(helper_path "$1")" ] || sh "$(helper_path "$1")" down
    if link_exists "$1"; then ip link del dev "$1" 2>"$WORK/error" || fail 17 "$1 does not go: $(evidence "$WORK/error")"; fi
}

# ---- coming up at boot, as the init system has it
boot_on() { # INTERFACE MARK
    ! enabled_at_boot "$1" || return 0
    if has_systemd; then systemctl enable "wg-quick@$1" >/dev/null 2>"$WORK/error" || fail 19 "$(evidence "$WORK/error")"; return 0; fi
    if has_openrc; then
        ln -sf wg-quick "$ROOT/etc/init.d/wg-quick.$1" && rc-update add "wg-quick.$1" default >/dev/null 2>&1 && return 0
    fi
    rc=$ROOT/etc/rc.local
    if [ -f "$rc" ]; then cat "$rc" >"$WORK/rc"; else echo '#!/bin/sh' >"$WORK/rc"; fi
    # In the background and without end: the network that resolves the endpoints may come later than rc.local.
    awk -v line="(WG_ENDPOINT_RESOLUTION_RETRIES=infinity wg-quick up $1) & # $2" '
        { text[NR] = $0 }
        END {
            last = NR + 1
            for (n = NR; n > 0; n--) if (text[n] ~ /^[ \t]*exit( |$)/) { last = n; break } else if (text[n] !~ /^[ \t]*(#.*)?$/) break
            for (n = 1; n < last; n++) print text[n]
            print line
            for (n = last; n <= NR; n++) print text[n]
        }' "$WORK/rc" >"$rc.fleet-new" || fail 13 "$rc could not be written"
    chmod 755 "$rc.fleet-new"
    mv -f "$rc.fleet-new" "$rc"
}

boot_off() { # INTERFACE
    if has_systemd; then systemctl disable "wg-quick@$1" >/dev/null 2>&1; fi
    if [ -e "$ROOT/etc/runlevels/default/wg-quick.$1" ]; then rc-update del "wg-quick.$1" default >/dev/null 2>&1; fi
    rc=$ROOT/etc/rc.local
    if grep -q "wg-quick up $1).*# fleet:" "$rc" 2>/dev/null; then
        grep -v "wg-quick up $1).*# fleet:" "$rc" >"$rc.fleet-new"
        chmod 755 "$rc.fleet-new" && mv -f "$rc.fleet-new" "$rc"
    fi
}

remove() { # INTERFACE KEEP; "keep" leaves the file of an interface that holds peers of others, without ours
    resolve_stop "$1"
    stop "$1"
    boot_off "$1"
    if [ -f "$DIR/fleet-$1.firewalld" ]; then firewalld_remove "$1"; firewall-cmd -q --reload; fi
    if [ "$2" = keep ]; then mv -f "$DIR/$1.conf" "$DIR/$1.conf.fleet-removed"; fi
    rm -f "$DIR/$1.conf" "$DIR/$1.key" "$DIR/$1.key.next" "$DIR/$1.key.prev" "$(list_path "$1")" "$(helper_path "$1")"
}

forget_previous() { rm -f "$DIR/$1.key.prev"; } # INTERFACE

# Remove a peer and add it again in one command, so that it starts with a new handshake.
rehandshake() { # INTERFACE PUBLIC_KEY
    wg show "$1" dump | awk -F '\t' -v key="$2" 'NR > 1 && $1 == key' >"$WORK/peer"
    [ -s "$WORK/peer" ] || fail 15 "$1 has no such peer any more"
    cut -f 2 "$WORK/peer" >"$WORK/preshared"
    endpoint=$(cut -f 3 "$WORK/peer")
    allowed=$(cut -f 4 "$WORK/peer")
    keepalive=$(cut -f 8 "$WORK/peer")
    [ "$allowed" != "(none)" ] || allowed=
    interface=$1 key=$2
    set -- allowed-ips "$allowed" persistent-keepalive "$keepalive"
    [ "$endpoint" = "(none)" ] || set -- "$@" endpoint "$endpoint"
    grep -q '(none)' "$WORK/preshared" || set -- "$@" preshared-key "$WORK/preshared"
    wg set "$interface" peer "$key" remove peer "$key" "$@" 2>"$WORK/error" || fail 16 "$interface: $(evidence "$WORK/error")"
}

finish() {
    printf '%s@done\n' "$notes"
}
