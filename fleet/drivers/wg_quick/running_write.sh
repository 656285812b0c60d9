# What the router itself does for an interface: routes, and resolving named endpoints again.
# Used at every start by the helper that PostUp calls, and by apply, so that both always do the same.

routes_apply() { # LIST INTERFACE
    routes_now "$2" >"${WORK:?}/now"
    awk -v i="$2" -v protocol="$ROUTE_PROTOCOL" '
        FILENAME ~ /now$/ { has[$1] = 1; if ($2 == protocol) ours[$1] = 1; next }
        $1 == "route" { want[$2] = 1; if (!($2 in has)) print "route replace", $2, "dev", i, "proto", protocol }
        END { for (prefix in ours) if (!(prefix in want)) print "route del", prefix, "dev", i, "proto", protocol }
        ' "${WORK:?}/now" "$1" >"${WORK:?}/steps"
    # A hub of thousands: one process for all of them where ip is iproute2 (busybox has no -batch).
    if [ "$(wc -l <"${WORK:?}/steps")" -gt 20 ] && ip -batch "${WORK:?}/steps" 2>/dev/null; then return 0; fi
    while read -r words; do
        # shellcheck disable=SC2086 # words made above from prefixes and interface names
        ip $words || return 1
    done <"${WORK:?}/steps"
}

# ---- named endpoints are resolved again by the router itself when the handshake is older than 150 s. Looking every 25 to 30 s
# leaves 20 s for the handshake until the tunnel must be back: 200 s after the name moved.
resolve_once() { # INTERFACE OVERLAY
    wg show "$1" latest-handshakes >"${WORK:?}/handshakes" 2>/dev/null || return 0
    conf_ours "$DIR/$1.conf" "$2" >"${WORK:?}/ours"
    awk -v now="$(date +%s)" -v stale="${FLEET_STALE_AFTER:-150}" '
        FILENAME ~ /handshakes$/ { last[$1] = $2; next }
        # A name has a letter after its last dot or no dot at all; addresses are never resolved again.
        $1 in last && now - last[$1] > stale && $2 ~ /^[A-Za-z0-9_][A-Za-z0-9._-]*:[0-9]+$/ && $2 !~ /^[0-9.]+:/ { print $1, $2 }
        ' "${WORK:?}/handshakes" "${WORK:?}/ours" >"${WORK:?}/stale"
    while read -r key endpoint; do
        WG_ENDPOINT_RESOLUTION_RETRIES=1 wg set "$1" peer "$key" endpoint "$endpoint" 2>/dev/null
    done <"${WORK:?}/stale"
    return 0
}

loop_stop() { # INTERFACE
    if pid=$(loop_pid "$1"); then kill -- "-$pid" 2>/dev/null || kill "$pid" 2>/dev/null; fi
    rm -f "$(pid_path "$1")"
}

resolve_stop() { # INTERFACE
    unit=$(unit_name "$1")
    if [ -f "$ROOT/etc/systemd/system/$unit.timer" ]; then
        ! has systemctl || systemctl disable --now "$unit.timer" >/dev/null 2>&1
        rm -f "$ROOT/etc/systemd/system/$unit.timer" "$ROOT/etc/systemd/system/$unit.service"
        ! has_systemd || systemctl daemon-reload
    fi
    rm -f "$(cron_path "$1")"
    loop_stop "$1"
}

resolve_start() { # INTERFACE
    unit=$(unit_name "$1") helper=$(helper_path "$1")
    if has_systemd; then
        units=$ROOT/etc/systemd/system
        mkdir -p "$units" || return 1
        printf '[Unit]\nDescription=fleet: resolve the named endpoints of %s again\n[Service]\nType=oneshot\nExecStart=/bin/sh %s resolve\n' \
            "$1" "$helper" >"$units/$unit.service" || return 1
        printf '[Unit]\nDescription=fleet: resolve the named endpoints of %s again\n[Timer]\nOnActiveSec=25\nOnUnitActiveSec=25\nAccuracySec=1\n[Install]\nWantedBy=timers.target\n' \
            "$1" >"$units/$unit.timer" || return 1
        chmod 644 "$units/$unit.service" "$units/$unit.timer"
        systemctl daemon-reload && systemctl enable --now "$unit.timer" >/dev/null 2>&1
    elif cron_runs; then
        # Cron counts in minutes: the second line is half a minute later.
        printf '# fleet: resolve the named endpoints of %s again\n* * * * * root /bin/sh %s resolve\n* * * * * root sleep 30; /bin/sh %s resolve\n' \
            "$1" "$helper" "$helper" >"$(cron_path "$1")" && chmod 644 "$(cron_path "$1")"
    else
        loop_stop "$1"
        # No systemd and no cron: a loop of our own, started again by PostUp after a restart.
        if has setsid; then setsid sh "$helper" loop </dev/null >/dev/null 2>&1 9>&- &
        else sh "$helper" loop </dev/null >/dev/null 2>&1 9>&- &
        fi
        echo $! >"$(pid_path "$1")"
    fi
}

resolve_apply() { # LIST INTERFACE
    if ! list_has "$1" reresolve; then resolve_stop "$2"
    elif ! resolving "$2"; then resolve_start "$2"
    fi
}
