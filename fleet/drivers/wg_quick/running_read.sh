# Where the files of an interface are, and what of its routes and of resolving endpoints again is running.

ROUTE_PROTOCOL=87 # "W": says in `ip route` which routes are fleet's; free in iproute2's rt_protos

helper_path() { echo "$DIR/fleet-$1.sh"; }
list_path() { echo "$DIR/fleet-$1.list"; }
pid_path() { echo "$ROOT/run/fleet-$(plain "$1").pid"; }
unit_name() { echo "fleet-$(plain "$1")"; }
cron_path() { echo "$ROOT/etc/cron.d/fleet-$(plain "$1")"; }

# Prefixes routed through an interface, "PREFIX PROTOCOL", spelled like the list: with their length.
routes_now() { # INTERFACE
    ip -4 route show dev "$1" 2>/dev/null | awk '{ print $0, "4" }' >"${WORK:?}/routes"
    ip -6 route show dev "$1" 2>/dev/null | awk '{ print $0, "6" }' >>"${WORK:?}/routes"
    awk '
        $1 == "unreachable" || $1 == "multicast" { next }
        {
            six = $NF == 6; prefix = $1; protocol = "boot"
            for (n = 2; n < NF; n++) if ($n == "proto") protocol = $(n + 1)
            if (prefix == "default") prefix = six ? "::/0" : "0.0.0.0/0"
            if (prefix !~ /\//) prefix = prefix (six ? "/128" : "/32")
            print prefix, protocol
        }' "${WORK:?}/routes"
}

# A cron daemon counts only if it sees the same files: in a container the host's own may be visible.
cron_runs() {
    [ -d "$ROOT/etc/cron.d" ] && has pidof || return 1
    for pid in $(pidof cron crond 2>/dev/null); do
        [ "$(readlink "/proc/$pid/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ] || return 0
    done
    return 1
}

loop_pid() { # INTERFACE; prints the pid if the loop is alive
    pid=$(cat "$(pid_path "$1")" 2>/dev/null)
    case $pid in '' | *[!0-9]*) return 1 ;; esac
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$(helper_path "$1") loop" || return 1
    echo "$pid"
}

resolving() { # INTERFACE
    if has_systemd; then systemctl is-active --quiet "$(unit_name "$1").timer" 2>/dev/null && return 0; fi
    [ -f "$(cron_path "$1")" ] && cron_runs && return 0
    loop_pid "$1" >/dev/null
}
