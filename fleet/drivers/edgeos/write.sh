# One write: lock, check that nothing moved, key files, one session of the configuration backend, what the kernel lacks, save.

# One lock for all overlays: files of keys that no configuration speaks of yet must not be swept away.

begin() { # OVERLAY
    paths "$1"
    make_work
    lock
    armed=$(cat "$GUARD/plan" "$GUARD.undoing/plan" 2>/dev/null | head -n 1)
    [ -z "$armed" ] || fail 21 "plan $armed"
    rm -rf "${GUARD:?}.new" "${GUARD:?}.confirmed"
    mkdir -p "$AUTH" "$KEPT" 2>"$WORK/error" || fail 14 "$(evidence "$WORK/error")"
}

begin_beside() { # OVERLAY; calls that change no configuration, whether or not an undo is armed
    paths "$1"
    make_work
    lock
}

unmoved() { # DIGEST
    views
    [ "$(digest)" = "$1" ] || fail 15 "the configuration"
    rm -f "$KEPT"/*.list.new
}

# A name that does not resolve would hold the commit, and the lock that everybody commits under, for tens of seconds (sheet 0.7).
resolves() { # NAME...
    for each in "$@"; do
        if has getent; then timeout 10 getent hosts "$each" >/dev/null 2>&1 || fail 19 "$each"
        else
            timeout 10 ping -n -c 1 -W 1 "$each" >"$WORK/said" 2>&1
            [ "$?" != 2 ] || ! grep -qi 'unknown host\|name or service\|name resolution\|bad address' "$WORK/said" || fail 19 "$each"
        fi
    done
}

# ---- files of keys: group vyattacfg and mode 0640, because templates read them as the committing user (sheet 6)
made() { [ ! -d "$GUARD" ] || echo "$1" >>"$GUARD/made"; } # FILE

keep_key() { # FILE <key
    cat >"$AUTH/$1.new" && [ -s "$AUTH/$1.new" ] && chmod 640 "$AUTH/$1.new" || { rm -f "$AUTH/$1.new"; fail 14 "$1 could not be written"; }
    made "$AUTH/$1"
    mv "$AUTH/$1.new" "$AUTH/$1" || fail 14 "$1 could not be written"
}

new_key() { # FILE
    [ -s "$AUTH/$1" ] || { wg genkey 2>"$WORK/error" | keep_key "$1"; } || exit $?
    [ -s "$AUTH/$1" ] || fail 14 "$1: $(evidence "$WORK/error")"
}

next_key() { # INTERFACE FILE; the staged key becomes a file of its own, editing one in place would change nothing (sheet 6)
    [ -s "$AUTH/fleet-$1.next.key" ] || fail 16 "no key is staged on $1"
    keep_key "$2" <"$AUTH/fleet-$1.next.key" || exit $?
    later "rm -f" "$AUTH/fleet-$1.next.key"
}

drop_key() { # INTERFACE
    next=$AUTH/fleet-$1.next.key
    [ -f "$next" ] || return 0
    if [ -d "$GUARD" ]; then mkdir -p "$GUARD/keys" && mv "$next" "$GUARD/keys/"; else rm -f "$next"; fi
}

right_mode() { # FILE; guides make it readable for everybody (sheet 6)
    chmod o-rwx "$ROOT$1" 2>/dev/null || sudo chmod o-rwx "$ROOT$1" </dev/null
}

# What is done once it is saved.
later() { if [ -d "$GUARD" ]; then echo "$2" >>"$GUARD/after"; else echo "$2" >>"$WORK/after"; fi; }

listed() { cat >"$KEPT/$1.list.next" || fail 14 "$KEPT cannot be written"; } # INTERFACE <records

resolver() { # <script
    mkdir -p "$ROOT/config/scripts"
    cat >"$ROOT/$RESOLVER.new" && chmod 750 "$ROOT/$RESOLVER.new" || fail 14 "$RESOLVER could not be written"
    if cmp -s "$ROOT/$RESOLVER.new" "$ROOT/$RESOLVER"; then rm -f "$ROOT/$RESOLVER.new"; else made "$ROOT/$RESOLVER"; mv "$ROOT/$RESOLVER.new" "$ROOT/$RESOLVER"; fi
}

touching() { if [ -d "$GUARD" ]; then cat >>"$GUARD/touched"; sync; else cat >/dev/null; fi; } # <paths

# ---- one session; its number is that of this shell, the parent of every call of the wrapper (sheet 2.4)
ops() { # <lines: set|delete TAB words, or commit
    cat >"$WORK/ops"
    change "$WORK/ops" || exit $?
}

open_session() {
    "$W" begin </dev/null >"$WORK/said" 2>&1 || { say "$(evidence "$WORK/said")"; return 17; }
}

close_session() { "$W" end </dev/null >/dev/null 2>&1; }

drop_session() {
    "$W" discard </dev/null >/dev/null 2>&1
    close_session
}

change() { # OPS
    open_session || return 17
    while IFS= read -r line <&7; do
        if [ "$line" = commit ]; then do_commit || return $?; continue; fi
        IFS=$'\t' read -r -a words <<<"$line"
        if ! "$W" "${words[@]}" </dev/null >"$WORK/said" 2>&1; then
            said=$(evidence "$WORK/said")
            drop_session
            say "$said (${words[*]:0:6})"
            return 16
        fi
    done 7<"$1"
    do_commit || return $?
    close_session
}

# Someone else's commit is waited for a little, and then said.
do_commit() {
    waited=0
    while ! "$W" commit </dev/null >"$WORK/said" 2>&1; do
        if grep -q 'temporarily locked' "$WORK/said" && [ "$waited" -lt "${FLEET_COMMIT_PATIENCE:-15}" ]; then
            waited=$((waited + 1))
            sleep 1
            continue
        fi
        said=$(evidence "$WORK/said")
        grep -q 'temporarily locked' "$WORK/said" && code=26 || code=17
        drop_session
        [ "$code" = 26 ] || said="$said; $(landed)"
        say "$said"
        return "$code"
    done
    ! grep -q 'Commit failed\|Failed to generate committed config' "$WORK/said" || { said=$(evidence "$WORK/said"); drop_session; say "$said; $(landed)"; return 17; }
}

# A failed commit is partial: what succeeded is active (sheet 0.3).
landed() {
    active >"$WORK/after.all"
    awk -F '\t' 'FILENAME ~ /after.all$/ { n = split($0, w, "\t"); p = ""; for (i = 1; i <= n; i++) { p = p (i > 1 ? "\t" : "") w[i]; has[p] = 1 }; next }
        /^commit/ { next }
        { all++; verb = $1; sub(/^[a-z]*\t/, ""); if ((verb == "set") == ($0 in has)) done++ }
        END { printf "%d of %d settings are active, not saved", done, all }' "$WORK/after.all" "$WORK/ops"
}

# ---- what a commit leaves to be done in the kernel
# A bounce (firewall, disable) loses IPv6 addresses and does not bring them back (sheet 1.4), and deleting one that is gone fails.
addresses() { # INTERFACE...
    active >"$WORK/now.all"
    for each in "$@"; do
        link_exists "$each" || continue
        ip -o addr show dev "$each" | awk '{ print $4 }' >"$WORK/has"
        awk -F '\t' -v i="$each" '$2 == "wireguard" && $3 == i && $4 == "address" { print $5 }' "$WORK/now.all" | without "$WORK/has" |
            while read -r address; do sudo ip addr add "$address" dev "$each" </dev/null 2>"$WORK/error" || say "$each: $address: $(evidence "$WORK/error")"; done
    done
}

kernel() { # words of a command that brings the kernel to what is active
    sudo "$@" </dev/null >"$WORK/error" 2>&1 || fail 17 "$(evidence "$WORK/error")"
}

# Routes are the routing daemon's, which needs a moment.
routed() { # INTERFACE PREFIX...
    dev=$1
    shift
    tries=0
    while [ "$tries" -lt 6 ]; do
        { ip route show dev "$dev"; ip -6 route show dev "$dev"; } 2>/dev/null | awk '{ print $1 }' >"$WORK/routes"
        missing=
        for each in "$@"; do
            short=${each%/32} short=${short%/128}
            grep -qxF "$each" "$WORK/routes" || grep -qxF "$short" "$WORK/routes" || missing=1
        done
        [ -n "$missing" ] || return 0
        tries=$((tries + 1))
        sleep 0.3
    done
}

# ---- saving
# After a firmware upgrade the templates are gone and the saved file still has its interfaces: saving would erase them (sheet 1.7).
save_all() {
    if [ ! -d "$TEMPLATES" ] && grep -q '^ *wireguard wg' "$BOOT"; then fail 12 "config.boot still has its interfaces"; fi
    open_session || exit $?
    "$W" save </dev/null >"$WORK/said" 2>&1
    code=$?
    close_session
    if [ "$code" != 0 ] || ! grep -q '^Done' "$WORK/said"; then fail 14 "$(grep -v '^Saving' "$WORK/said" | tail -n 1)"; fi
    views
    [ -s "$WORK/saved" ] || fail 14 "$BOOT"
    for each in "$KEPT"/*.list.next; do
        [ -f "$each" ] || continue
        if [ -s "$each" ]; then mv "$each" "${each%.next}"; else rm -f "$each" "${each%.next}"; fi
    done
    if [ -f "$WORK/after" ]; then while read -r each; do rm -f "${each:?}"; done <"$WORK/after"; fi
    sweep
    sync
}

sweep() {
    views
    unused >"$WORK/unused"
    while read -r each; do rm -f "${each:?}"; done <"$WORK/unused"
}

discard_lists() { rm -f "$KEPT"/*.list.next; }

tidy() { # what a dead run left
    discard_lists
    rm -f "$HOOK"
    sweep
}

finish() { echo "@done"; }
