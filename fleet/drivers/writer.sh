# Shared by the drivers that work on a shell: one writer at a time, that outlives its session and is ended by an undo.
# STATE is a folder in memory, made by `state_folder`; LOCK a file in it; GRACE the seconds that an undo waits.

lock() {
    has flock || fail 23 "flock is not there"
    exec 9>>"$LOCK"
    tries=0
    until flock -n 9; do
        tries=$((tries + 1))
        if [ "$tries" -gt "${FLEET_LOCK_PATIENCE:-30}" ]; then
            # Whoever wrote is gone and left something behind that holds the descriptor: that is no writer.
            by=$(holder) || break
            fail 24 "process $by"
        fi
        sleep 1
    done
    sign_lock
    # What killed writers left behind; a reader's folder is younger than its read.
    for folder in "$STATE"/out.*; do [ ! -d "$folder" ] || [ -d "/proc/${folder##*.}" ] || rm -rf "${folder:?}"; done
    find "$STATE" -maxdepth 1 -type d -name 'work.*' -mmin +10 -exec rm -rf {} \; 2>/dev/null
}

# The undo does not wait for a writer that hangs: it gets a grace and is then ended with everything it started.
lock_for_undo() {
    exec 9>>"$LOCK"
    tries=0
    until flock -n 9; do
        tries=$((tries + 1))
        if [ "$tries" -gt "${FLEET_GUARD_GRACE:-$GRACE}" ]; then
            if by=$(holder); then end_tree "$by"; fi
            [ "$tries" -le $((${FLEET_GUARD_GRACE:-$GRACE} + 3)) ] || break
        fi
        sleep 1
    done
    sign_lock
}

# A write runs in a subshell that outlives its session: `$$` would name the shell of the session, which may be gone by then.
sign_lock() {
    read -r self rest </proc/self/stat
    echo "$self $(started_at "$self")" >"$LOCK.by"
}

end_tree() { # PID
    kill -STOP "$1" 2>/dev/null || return 0
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^\([0-9]*\) (.*) . \([0-9]*\) .*/\1 \2/' | awk -v top="$1" '
        { parent[$1] = $2 }
        END {
            for (pid in parent) {
                up = pid
                for (n = 0; n < 64 && up != top && up > 1; n++) up = parent[up]
                if (up == top) print pid
            }
        }' >"$WORK/tree"
    while read -r pid; do kill -9 "$pid" 2>/dev/null; done <"$WORK/tree"
}

# The writer's marker: operators without a common database refuse each other by it. In memory: a restart takes it off.
marker() { # SECONDS OWNER; an empty owner takes it off
    place=$STATE/marker-$OVERLAY
    if [ -n "$2" ] && [ -f "$place" ] && read -r until owner <"$place"; then
        left=$((until - $(seconds)))
        if [ "$owner" != "$2" ] && [ "$left" -gt 0 ]; then fail 24 "$owner, $left s left"; fi
    fi
    if [ -z "$2" ]; then rm -f "$place"; return 0; fi
    echo "$(($(seconds) + $1)) $2" >"$place.new"
    mv -f "$place.new" "$place" || fail 13 "$place could not be written"
}

# A write goes on when the session that brought it dies: it must not stop half way, and its session may run through the tunnel.
run() { # FUNCTION
    state_folder
    OUT=$STATE/out.$$
    mkdir "$OUT" || fail 13 "$STATE cannot be written"
    DETACHED=1
    (trap '' HUP; "$1") </dev/null >"$OUT/said" 2>"$OUT/error" &
    wait "$!"
    code=$?
    cat "$OUT/error" >&2
    cat "$OUT/said"
    rm -rf "${OUT:?}"
    exit "$code"
}

# The seconds until the undo fires; only a number that is over counts as over.
await_due() {
    while [ -d "$GUARD" ]; do
        left=$(guard_left 2>/dev/null)
        case $left in '' | *[!0-9-]*) sleep 1; continue ;; esac
        [ "$left" -gt 0 ] || return 0
        sleep "$left"
    done
}
