# fleet on EdgeOS: functions shared by every script. bash, and mawk as awk (no intervals, no gensub). Every path starts at ROOT,
# every command comes from PATH or the vendor's directories. The group is vyattacfg: new files belong to it (sheet 6).
umask 027
LC_ALL=C
export LC_ALL
ROOT=${FLEET_ROOT:-}
[ -n "$ROOT" ] || PATH=$PATH:/opt/vyatta/bin:/opt/vyatta/sbin:/usr/sbin:/sbin
export PATH
W=$ROOT/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper
TEMPLATES=$ROOT/opt/vyatta/share/vyatta-cfg/templates/interfaces/wireguard
BOOT=$ROOT/config/config.boot
AUTH=$ROOT/config/auth
KEPT=$ROOT/config/user-data/fleet
STATE=$ROOT/tmp/fleet
LOCK=$STATE/lock
GRACE=20
WORK=

say() { printf 'fleet: %s\n' "$*" >&2; }
fail() { code=$1; shift; say "$*"; exit "$code"; }
has() { command -v "$1" >/dev/null 2>&1; }
evidence() { tr -d '\r' <"$1" 2>/dev/null | grep -v '^ *$' | grep -v '^\(Commit failed\|Set failed\|Delete failed\|Value validation failed\)$' | tail -n 1; }
link_exists() { ip link show dev "$1" >/dev/null 2>&1; }
without() { awk -v file="$1" 'BEGIN { while ((getline line <file) > 0) seen[line] = 1 } !($0 in seen)'; }

paths() { # OVERLAY
    OVERLAY=$1
    GUARD=$KEPT/guard-$1
    LAST=$STATE/last-$1
    DUE=$STATE/due-$1
    TASK=fleet-$1
    RESOLVER=config/scripts/fleet-resolve-$1.sh
    HOOK=$ROOT/config/scripts/post-config.d/fleet-$1.sh
}

# /tmp is memory: nothing in it outlives a restart.
state_folder() { mkdir -p "$STATE" 2>/dev/null && chmod 2770 "$STATE" 2>/dev/null; }

make_work() {
    state_folder
    WORK=$(mktemp -d "$STATE/work.XXXXXX" 2>/dev/null) || fail 13 "$STATE cannot be written"
    trap 'rm -rf "${WORK:?}"' EXIT
    [ -n "${DETACHED:-}" ] || trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# A configuration in braces as lines of words, separated by tabs: what `set` would take.
flat() {
    awk '
        /^[ \t]*\/\*/ { if (!/\*\//) inside = 1; next }
        inside { if (/\*\//) inside = 0; next }
        { gsub(/\t/, " "); sub(/^ +/, ""); sub(/[ \r]+$/, "") }
        $0 == "" { next }
        $0 == "}" { if (!filled[depth]) print path[depth]; depth--; next }
        {
            opens = / \{$/
            if (opens) sub(/ \{$/, "")
            at = index($0, " "); word = $0
            if (at) {
                value = substr($0, at + 1)
                if (value ~ /^".*"$/) value = substr(value, 2, length(value) - 2)
                word = substr($0, 1, at - 1) "\t" value
            }
            filled[depth] = 1; word = (depth ? path[depth] "\t" : "") word
            if (opens) { depth++; path[depth] = word; filled[depth] = 0 } else print word
        }'
}

# What of a configuration concerns us. Keys that stand in it themselves are for nobody (sheet 6).
concerning() {
    awk -F '\t' '
        $1 == "interfaces" && $2 == "wireguard" { if ($0 !~ /\t(private|preshared)-key\t\//) sub(/-key\t.*/, "-key\t(inline)"); print; next }
        $1 == "interfaces" && /\tfirewall\t/ { print; next }
        $1 == "protocols" && $2 == "static" && $3 ~ /^interface-route6?$/ { print; next }
        $1 == "firewall" && ($2 == "name" || $2 == "ipv6-name" || $2 == "options") { print; next }
        $1 == "zone-policy" || ($1 == "service" && $2 == "nat") { print; next }
        $1 == "system" && ($2 == "offload" || $2 == "task-scheduler") { print }'
}

active() { cli-shell-api showConfig --show-active-only --show-show-defaults </dev/null 2>/dev/null | flat; }
saved() { flat <"$BOOT"; }

views() {
    [ -r "$BOOT" ] || fail 11 "$BOOT cannot be read"
    active >"$WORK/active.all"
    [ -s "$WORK/active.all" ] || fail 11 "the configuration cannot be read"
    saved >"$WORK/saved.all"
    for view in active saved; do concerning <"$WORK/$view.all" >"$WORK/$view"; done
}
digest() { cat "$WORK/active" "$WORK/saved" | md5sum | cut -c1-32; }

# Files of keys that fleet made and no configuration speaks of, neither the active nor the saved one.
unused() {
    for each in "$AUTH"/fleet-*.key "$AUTH"/fleet-*.psk; do
        [ -f "$each" ] || continue
        case $each in *.next.key) continue ;; esac
        grep -qF "	/config/auth/${each##*/}" "$WORK/active.all" "$WORK/saved.all" || echo "$each"
    done
    each=$ROOT/$RESOLVER
    [ ! -f "$each" ] || grep -qF "	/$RESOLVER" "$WORK/active.all" "$WORK/saved.all" || echo "$each"
}
