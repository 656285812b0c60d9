# Shared by the drivers that work on a shell: whose process it is, by what clock.

# A clock that nobody sets: the time of day jumps when NTP comes.
seconds() { if [ -r "$ROOT/proc/uptime" ]; then cut -d . -f 1 "$ROOT/proc/uptime"; else date +%s; fi; }

started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; } # PID

# The process that holds the lock, if it lives; a pid alone could be another's by now.
holder() {
    [ -f "$LOCK.by" ] && read -r by_pid by_start <"$LOCK.by" || return 1
    [ -n "$by_start" ] && [ "$(started_at "$by_pid")" = "$by_start" ] || return 1
    echo "$by_pid"
}
