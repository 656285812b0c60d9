# One writer at a time: an undo never meets a half-written change
lock() {
    mkdir -m 700 "$STATE" 2>/dev/null
    [ -d "$STATE" ] || fail 13 "$STATE could not be made"
    has flock || return 0
    exec 9>>"$LOCK"
    tries=0
    until flock -n 9; do
        tries=$((tries + 1))
        if [ "$tries" -gt "${FLEET_LOCK_PATIENCE:-30}" ]; then
            # Whoever wrote is gone and left something behind that holds the descriptor: that is no writer.
            pid=$(holder) || break
            fail 24 "process $pid"
        fi
        sleep 1
    done
    if read -r pid start folder 2>/dev/null <"$LOCK.by"; then forget_folder "$folder"; fi
    printf '%s %s %s\n' "$$" "$(started_at "$$")" "$WORK" >"$LOCK.by"
}

# The temporary folder of a writer that was killed.
forget_folder() { case $1 in "$ROOT"/*/fleet.??????) rm -rf "$1" ;; esac; }

# The undo does not wait for a writer that hangs: it gets a grace and is then ended with everything it started.
lock_for_undo() {
    mkdir -m 700 "$STATE" 2>/dev/null
    exec 9>>"$LOCK"
    tries=0
    until flock -n 9; do
        tries=$((tries + 1))
        if [ "$tries" -gt "${FLEET_GUARD_GRACE:-10}" ]; then
            if pid=$(holder); then end_tree "$pid"; fi
            [ "$tries" -le $((${FLEET_GUARD_GRACE:-10} + 3)) ] || break
        fi
        sleep 1
    done
    if read -r pid start folder 2>/dev/null <"$LOCK.by"; then forget_folder "$folder"; fi
    printf '%s %s %s\n' "$$" "$(started_at "$$")" "$WORK" >"$LOCK.by"
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
        }' >"${WORK:?}/tree"
    while read -r pid; do kill -9 "$pid" 2>/dev/null; done <"${WORK:?}/tree"
}

# The writer's marker: operators without a common database refuse each other by it. In memory: a restart takes it off.
marker() { # SECONDS OWNER; an empty owner takes it off
    place=${STATE:?}/marker-$OVERLAY
    if [ -n "$2" ] && [ -f "$place" ] && read -r until owner <"$place"; then
        left=$((until - $(seconds)))
        if [ "$owner" != "$2" ] && [ "$left" -gt 0 ]; then fail 24 "$owner, $left s left"; fi
    fi
    if [ -z "$2" ]; then rm -f "$place"; return 0; fi
    echo "$(($(seconds) + $1)) $2" >"$place.new"
    mv -f "$place.new" "$place" || fail 13 "$place could not be written"
}
