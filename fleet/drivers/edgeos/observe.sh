# One read of everything. Sections start with "@", content with "=". No private key and no preshared key leaves the router.
told() { sed 's/^/=/'; }

frame_system() {
    echo "@system"
    {
        echo "release=$(head -n 1 "$ROOT/etc/version" 2>/dev/null)"
        echo "firmware=$(awk '/^Version/ { print $2; exit }' "$ROOT/opt/vyatta/etc/version" 2>/dev/null)"
        echo "kernel=$(uname -r)"
        echo "package=$(dpkg-query -W -f='${Version}' wireguard 2>/dev/null)"
        [ ! -d "$TEMPLATES" ] || echo "wireguard=yes"
        echo "wg=$(sudo wg --version 2>/dev/null </dev/null | head -n 1)"
        echo "group=$(id -gn)"
        if [ -w "$AUTH" ] || { [ ! -d "$AUTH" ] && [ -w "$ROOT/config" ]; }; then echo "writable=yes"; fi
        if sudo true </dev/null >/dev/null 2>&1; then echo "root=yes"; fi
    } | told
}

frame_keys() {
    cat "$WORK/active.all" "$WORK/saved.all" | awk -F '\t' '$2 == "wireguard" && $4 == "private-key" { print $5 }' | sort -u | while read -r key; do
        case $key in
            /*) [ ! -r "$ROOT$key" ] || echo "@key $key $({ wg pubkey <"$ROOT$key" || echo -; } 2>/dev/null) $(stat -c %a "$ROOT$key" 2>/dev/null)" ;;
        esac
    done
    for view in active saved; do
        awk -F '\t' '$2 == "wireguard" && $4 == "private-key" && $5 !~ /^\// { print $3, $5 }' "$WORK/$view.all" |
            while read -r interface key; do echo "@inline $view $interface $(printf '%s\n' "$key" | wg pubkey 2>/dev/null)"; done
    done
    for each in "$AUTH"/fleet-*.next.key; do
        [ ! -f "$each" ] || { name=${each##*/fleet-}; echo "@staged ${name%.next.key} $(wg pubkey <"$each" 2>/dev/null)"; }
    done
}

frame_kernel() {
    echo "@dump $(date +%s)"
    sudo wg show all dump </dev/null 2>/dev/null |
        awk -F '\t' 'BEGIN { OFS = "\t" } NF == 5 { $2 = "-" } NF == 9 && $3 != "(none)" { $3 = "(hidden)" } { print "=" $0 }'
    echo "@links"
    ip -o link show | told
    echo "@addresses"
    ip -o addr show | told
    for interface in $(sudo wg show interfaces </dev/null 2>/dev/null); do
        echo "@routes $interface"
        { ip route show dev "$interface"; ip -6 route show dev "$interface"; } 2>/dev/null | told
    done
}

# What others have committed and not saved, or what is saved and was not taken at boot: a save would write it, or erase it.
frame_unsaved() {
    for way in "active saved" "saved active"; do
        set -- $way
        without "$WORK/$2.all" <"$WORK/$1.all" | awk -F '\t' -v other="$WORK/$2.all" -v here="$1" '
            BEGIN { while ((getline line <other) > 0) { n = split(line, w, "\t"); p = ""; for (i = 1; i <= n; i++) { p = p w[i] "\t"; has[p] = 1 } } }
            {
                leaf = ""; for (i = 1; i < NF; i++) leaf = leaf $i "\t"
                holder = ""; for (i = 1; i < NF - 1; i++) holder = holder $i "\t"
                # A default is written by every save and shows or not: a leaf that only one side has is no change.
                if (!(leaf in has) && (holder in has)) next
                words = ""; for (i = 1; i <= NF && i <= 5; i++) if ($(i - 1) !~ /password|secret|key/) words = words "\t" $i
                print "=" here words
            }'
    done >"$WORK/unsaved"
    echo "@unsaved"
    sort -u "$WORK/unsaved"
}

frame_files() {
    for each in "$KEPT"/*.list "$KEPT"/*.list.next; do
        [ -f "$each" ] || continue
        name=${each##*/}
        case $name in *.next) echo "@list next ${name%.list.next}" ;; *) echo "@list saved ${name%.list}" ;; esac
        told <"$each"
    done
    [ ! -x "$ROOT/$RESOLVER" ] || echo "@resolver"
}

frame_busy() {
    if has flock && [ -f "$STATE/lock" ] && ! (flock -n 9) 9<"$STATE/lock" && holder >/dev/null; then echo "@busy"; fi
}

frame_guard() {
    plan=$(cat "$GUARD/plan" "$GUARD.undoing/plan" 2>/dev/null | head -n 1)
    if [ -n "$plan" ]; then
        left=0
        if [ -f "$DUE" ] && [ -d "$GUARD" ]; then left=$(($(cat "$DUE") - $(seconds))); fi
        echo "@guard $plan $left"
    else
        unused | while read -r each; do echo "@leftover ${each#"$ROOT"}"; done
        for each in "$KEPT"/*.list.next; do [ ! -f "$each" ] || echo "@leftover ${each#"$ROOT"}"; done
        [ ! -f "$HOOK" ] || echo "@leftover ${HOOK#"$ROOT"}"
    fi
    for each in "$GUARD.new" "$GUARD.confirmed"; do [ ! -d "$each" ] || echo "@leftover ${each#"$ROOT"}"; done
    if [ -f "$STATE/marker-$OVERLAY" ] && read -r until owner <"$STATE/marker-$OVERLAY"; then echo "@marker $((until - $(seconds))) $owner"; fi
    case $(cat "$LAST" 2>/dev/null) in undone*not*) echo "@undone"; told <"$LAST" ;; esac
}

observe() { # OVERLAY
    paths "$1"
    [ -x "$W" ] && has cli-shell-api || fail 10 "its configuration backend is not there: not EdgeOS"
    make_work
    views
    echo "@fleet 1"
    frame_busy
    frame_system
    for view in active saved; do echo "@$view $(digest)"; told <"$WORK/$view"; done
    frame_unsaved
    frame_keys
    frame_files
    frame_guard
    frame_kernel
    frame_busy
    echo "@end"
}
