# fleet on Linux: functions shared by observe, apply and the helper that stays on the router.
# POSIX sh and awk, checked with dash and busybox ash. Every path starts at ROOT, every command comes from PATH.
umask 077
LC_ALL=C
export LC_ALL
ROOT=${FLEET_ROOT:-}
DIR=$ROOT/etc/wireguard
# A non-interactive SSH session and sudo may leave the administrator's directories out.
[ -n "$ROOT" ] || PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
WORK=
NEW=

say() { printf 'fleet: %s\n' "$*" >&2; }
fail() { code=$1; shift; say "$*"; exit "$code"; }
has() { command -v "$1" >/dev/null 2>&1; }
digest() { if [ -f "$1" ]; then sha256sum <"$1" | cut -c1-64; else echo absent; fi; }
# Unit names and nftables identifiers take fewer characters than interface names.
plain() { printf '%s' "$1" | tr -c 'A-Za-z0-9_' '_'; }
link_exists() { ip link show dev "$1" >/dev/null 2>&1; }
# The test of sd_booted(3): systemctl may be installed where systemd does not run (containers).
has_systemd() { has systemctl && [ -d "$ROOT/run/systemd/system" ]; }
has_openrc() { has rc-update && [ -f "$ROOT/etc/init.d/wg-quick" ]; }

make_work() {
    for place in "$ROOT/run" "$ROOT/dev/shm" "$ROOT/tmp" "$DIR"; do
        if [ -d "$place" ] && [ -w "$place" ] && WORK=$(mktemp -d "$place/fleet.XXXXXX" 2>/dev/null); then break; fi
        WORK=
    done
    [ -n "$WORK" ] || fail 13 "no writable directory for temporary files (tried /run, /dev/shm, /tmp)"
    trap 'rm -rf "${WORK:?}" ${NEW:+"$NEW"}' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 141' PIPE
    trap 'exit 143' TERM
}

# Value of a setting in the [Interface] section of a wg-quick file, one line per occurrence.
conf_interface() { # FILE KEY
    awk -v want="$2" '
        { line = $0; sub(/#.*/, "", line); gsub(/^[ \t\r]+|[ \t\r]+$/, "", line) }
        line ~ /^\[/ { here = (tolower(line) == "[interface]"); next }
        here && (at = index(line, "=")) {
            key = tolower(substr(line, 1, at - 1)); sub(/[ \t]+$/, "", key)
            if (key == want) { value = substr(line, at + 1); sub(/^[ \t]+/, "", value); print value }
        }' "$1"
}

# The key that an interface loads: in its file, or in the key file of ours that a PostUp line names.
conf_private_key() { # FILE INTERFACE
    key=$(conf_interface "$1" privatekey | tail -n 1)
    if [ -n "$key" ]; then printf '%s\n' "$key"
    elif [ -s "$DIR/$2.key" ]; then cat "$DIR/$2.key"
    fi
}

# Peers of ours: public key, and endpoint if it is set, in the order of the file.
conf_ours() { # FILE OVERLAY
    awk -v overlay="$2" '
        function done() { if (mine && key != "") print key, endpoint; mine = 0; key = ""; endpoint = "" }
        {
            line = $0; comment = ""
            if (at = index(line, "#")) { comment = substr(line, at); line = substr(line, 1, at - 1) }
            gsub(/^[ \t\r]+|[ \t\r]+$/, "", line)
        }
        line ~ /^\[/ { done(); peer = (tolower(line) == "[peer]"); next }
        peer && comment ~ ("(^|[^A-Za-z0-9_:-])fleet:" overlay ":[a-z]") { mine = 1 }
        peer && (at = index(line, "=")) {
            name = tolower(substr(line, 1, at - 1)); sub(/[ \t]+$/, "", name)
            value = substr(line, at + 1); sub(/^[ \t]+/, "", value)
            if (name == "publickey") key = value
            if (name == "endpoint") endpoint = value
        }
        END { done() }' "$1"
}

list_overlay() { awk '$1 == "mark" { split($2, part, ":"); print part[2]; exit }' "$1"; }
list_has() { grep -q "^$2\( \|\$\)" "$1" 2>/dev/null; }

enabled_at_boot() { # INTERFACE
    if has_systemd; then systemctl is-enabled --quiet "wg-quick@$1" >/dev/null 2>&1 && return 0
    elif has_openrc; then [ -e "$ROOT/etc/runlevels/default/wg-quick.$1" ] && return 0
    fi
    grep -q "^[^#]*wg-quick up $1\( \|\$\|)\|;\)" "$ROOT/etc/rc.local" 2>/dev/null
}
