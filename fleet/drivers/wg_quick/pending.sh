# A change under guard: running already, not saved yet. Its files lie in a folder of root's beside the old ones, its undo in
# memory (/run), so that a power cut reverts by starting from the old files.

guard_paths() { # OVERLAY
    OVERLAY=$1
    if [ -d "$ROOT/run" ] && [ -w "$ROOT/run" ]; then STATE=$ROOT/run/fleet; else STATE=$DIR/.fleet; fi
    NEXT=$DIR/fleet-next-$1
    GUARD=${STATE:?}/guard-$1
    LOCK=${STATE:?}/lock-$1
    LAST=${STATE:?}/last-$1
}

# A clock that nobody sets: the time of day may jump when the network comes back.
seconds() { if [ -r "$ROOT/proc/uptime" ]; then cut -d . -f 1 "$ROOT/proc/uptime"; else date +%s; fi; }

# Where a file is that was not saved yet, else the saved one; the path of a file that is to go does not exist.
latest() { # NAME
    if [ -f "${WORK:?}/new/$1" ]; then echo "${WORK:?}/new/$1"
    elif grep -qsxF "$1" "${WORK:?}/gone" "${GUARD:?}/gone"; then echo "${WORK:?}/none"
    elif [ -d "$GUARD" ] && [ -f "${NEXT:?}/$1" ]; then echo "${NEXT:?}/$1"
    else echo "$DIR/$1"
    fi
}

started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; } # PID

# The process that holds the lock, if it lives; a pid alone could be another's by now.
holder() {
    [ -f "$LOCK.by" ] && read -r pid start folder <"$LOCK.by" || return 1
    [ -n "$start" ] && [ "$(started_at "$pid")" = "$start" ] || return 1
    echo "$pid"
}

# The folder of an undo, whatever became of it: armed, or cut off while it was undone or confirmed.
guard_found() {
    for found in "$GUARD" "$GUARD.undoing" "$GUARD.confirming"; do
        if [ -f "$found/plan" ]; then echo "$found"; return 0; fi
    done
    return 1
}
