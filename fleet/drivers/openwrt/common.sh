# fleet on OpenWrt: functions shared by every script. busybox ash and awk, nothing that a default image lacks (no timeout, base64,
# stat, nohup, od, diff; no fractions of a second in sleep). Every path starts at ROOT, every command comes from PATH.
umask 077
LC_ALL=C
export LC_ALL
ROOT=${FLEET_ROOT:-}
STATE=$ROOT/tmp/fleet
LOCK=$STATE/lock
GRACE=10
WORK=
# `wg` waits up to a minute for a name that does not resolve; the router's own watchdog tries again.
export WG_ENDPOINT_RESOLUTION_RETRIES=1

say() { printf 'fleet: %s\n' "$*" >&2; }
fail() { code=$1; shift; say "$*"; exit "$code"; }
has() { command -v "$1" >/dev/null 2>&1; }
digest() { if [ -f "$1" ]; then md5sum <"$1" | cut -c1-32; else echo absent; fi; }
# Lines of standard input that are not in a file, or that are; `grep -f` of busybox takes an empty file for everything.
without() { awk -v file="$1" 'BEGIN { while ((getline line <file) > 0) seen[line] = 1 } !($0 in seen)'; }
within() { awk -v file="$1" 'BEGIN { while ((getline line <file) > 0) seen[line] = 1 } $0 in seen'; }
link_exists() { ip link show dev "$1" >/dev/null 2>&1; }
evidence() { tr -d '\r' <"$1" 2>/dev/null | grep -v '^$' | tail -n 1; }

paths() { # OVERLAY
    OVERLAY=$1
    KEPT=$ROOT/etc/fleet
    GUARD=$KEPT/guard-$1
    LAST=$STATE/last-$1
    DUE=$STATE/due-$1
    CONFIG=$ROOT/etc/config
    CRONTAB=$ROOT/etc/crontabs/root
}

# /tmp is memory on OpenWrt: nothing here outlives a restart, and no flash is worn.
state_folder() {
    mkdir -p "$STATE" 2>/dev/null
    chmod 700 "$STATE" 2>/dev/null
}

make_work() {
    state_folder
    WORK=$(mktemp -d "$STATE/work.XXXXXX" 2>/dev/null) || fail 13 "$STATE cannot be written"
    trap 'rm -rf "${WORK:?}"' EXIT
    [ -n "${DETACHED:-}" ] || trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# What is committed. `uci show` mixes in what is staged, and that may be what a killed run of ours left: by another name the package
# has no staged part.
show() { # PACKAGE
    if [ ! -f "$STATE/staging" ]; then uci -X show "$1"; return; fi
    mkdir -p "$WORK/config" && cp "$CONFIG/$1" "$WORK/config/fleet_$1" && uci -c "$WORK/config" -X show "fleet_$1" | sed "s/^fleet_$1\\./$1./"
}

# One logical line of uci per record of awk: a value goes on over newlines while a quote is open. Inside quotes a backslash is one,
# outside it takes the next character as it is.
UCI_LINES='
    function unfinished(text,    n, i, c, inside) {
        if (!index(text, "\\")) return gsub(/'"'"'/, "&", text) % 2
        n = length(text)
        for (i = 1; i <= n; i++) {
            c = substr(text, i, 1)
            if (c == "'"'"'") inside = !inside; else if (c == "\\" && !inside) i++
        }
        return inside + 0
    }
    { record = (open ? record "\n" : "") $0; open = unfinished(record); if (open) next }
'
UCI_RECORDS=$UCI_LINES'
    { at = index(record, "="); path = substr(record, 1, at - 1); value = substr(record, at + 1); split(path, name, ".") }
'
