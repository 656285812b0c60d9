# The undo on the router. Armed before the first write, it fires by itself and needs nobody: no session, no network, no fleet.
# Its folder in memory is its whole state, and renaming that folder decides: whoever renames it first, undo or confirm, wins.
#
#   plan due            whose undo it is, and when it fires (by `seconds`)
#   lib.sh fire.sh      these functions, and the call that the timer makes
#   interfaces before/  what was touched, and how it ran before
#   old/                the files as they were, for the undo
#   digests gone removed after   for confirm: what the saved files must still be, what goes, calls to make
#   sysctl up/          switches turned, interfaces that came up from files not saved

# ---- arming
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

arm() { # PLAN SECONDS
    has flock || fail 23 "flock is not installed"
    [ -d "$NEW" ] || fail 23 "no folder to arm"
    echo "$1" >"${NEW:?}/plan"
    echo "$(($(seconds) + $2))" >"${NEW:?}/due"
    : >"${NEW:?}/gone"
    : >"${NEW:?}/interfaces"
    mkdir "${NEW:?}/before" "${NEW:?}/old"
    {
        printf 'FLEET_ROOT=%s\nPATH=%s\n' "$(quoted "$ROOT")" "$(quoted "$PATH")"
        # A confirm or an undo that was cut off has the folder by another name.
        # shellcheck disable=SC2016 # for the timer to expand
        printf 'export FLEET_ROOT PATH\nfor folder in %s %s %s; do\n    [ ! -f "$folder/lib.sh" ] || break\ndone\n' \
            "$(quoted "$GUARD")" "$(quoted "$GUARD.undoing")" "$(quoted "$GUARD.confirming")"
        # shellcheck disable=SC2016
        printf '. "$folder/lib.sh"\nguard_fire %s %s "${1:-}"\n' "$OVERLAY" "$(quoted "$1")"
    } >"${NEW:?}/fire.sh" || fail 23 "$STATE: no space left"
    rm -f "$LAST"
    mv "$NEW" "$GUARD" || fail 23 "$GUARD could not be made"
    if has_systemd && has systemd-run; then arm_unit "$2" || { rm -rf "${GUARD:?}"; fail 23 "systemd-run: $(evidence "${WORK:?}/error")"; }
    else arm_process || { rm -rf "${GUARD:?}"; fail 23 "the timer does not run"; }
    fi
}

# A unit outlives the session and its user's logout (KillUserProcesses of logind kills what a session leaves behind).
arm_unit() { # SECONDS
    unit=fleet-guard-$OVERLAY
    systemctl stop "$unit.timer" >/dev/null 2>&1
    systemctl reset-failed "$unit.service" >/dev/null 2>&1
    # An undo may have to start a userspace WireGuard, which must outlive the unit: KillMode=process.
    systemd-run --quiet --unit="$unit" --description="fleet: undo what is not confirmed" --on-active="$1" \
        --timer-property=AccuracySec=1s --property=KillMode=process /bin/sh "${GUARD:?}/fire.sh" >/dev/null 2>"${WORK:?}/error" || return 1
    echo "$unit" >"${GUARD:?}/unit"
}

arm_process() {
    if has setsid; then setsid sh "${GUARD:?}/fire.sh" wait </dev/null >/dev/null 2>&1 9>&- &
    else (trap '' HUP; exec sh "${GUARD:?}/fire.sh" wait) </dev/null >/dev/null 2>&1 9>&- &
    fi
    echo "$!" >"${GUARD:?}/pid"
    kill -0 "$!" 2>/dev/null
}

disarm() {
    if [ -s "${GUARD:?}/unit" ]; then systemctl stop "$(cat "${GUARD:?}/unit").timer" >/dev/null 2>&1; fi
    pid=$(cat "${GUARD:?}/pid" 2>/dev/null) || return 0
    [ "$pid" != "$$" ] || return 0
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "/guard-$OVERLAY/fire.sh" || return 0
    kill -- "-$pid" 2>/dev/null || kill "$pid" 2>/dev/null
}

guard_left() { echo "$(($(cat "${GUARD:?}/due") - $(seconds)))"; }

still_armed() { # PLAN
    [ -d "$GUARD" ] || fail 20 "$(cat "$LAST" 2>/dev/null)"
    [ "$(cat "${GUARD:?}/plan")" = "$1" ] || fail 20 "plan $(cat "${GUARD:?}/plan") is armed"
    [ "$(guard_left)" -gt 0 ] || fail 20 "its time is over"
}

# ---- how it was, before the first change of an interface
remember() { # INTERFACE
    ! grep -qxF "$1" "${GUARD:?}/interfaces" || return 0
    before=${GUARD:?}/before/$1
    rm -rf "$before"
    mkdir "$before"
    if link_exists "$1"; then
        { wg show "$1" dump >"$before/dump" && ip -o link show dev "$1" >"$before/link" && addresses_now "$1" >"$before/addresses"; } \
            2>"${WORK:?}/error" || { said=$(evidence "${WORK:?}/error"); guard_undo; fail 23 "$1: $said"; }
    fi
    { ip -4 route show; ip -6 route show; } >"$before/routes" 2>/dev/null
    for part in "$1.conf" "fleet-$1.list"; do [ ! -f "$DIR/$part" ] || cp -p "$DIR/$part" "${GUARD:?}/old/$part"; done
    echo "$1" >>"${GUARD:?}/interfaces"
}

addresses_now() { ip -o addr show dev "$1" | awk '{ print $4 }'; } # INTERFACE

expect() { # NAME; the saved file must be the same when the plan is confirmed
    grep -qs "^$1 " "${GUARD:?}/digests" || echo "$1 $(digest "$DIR/$1")" >>"${GUARD:?}/digests"
}

# ---- confirm: save what runs
guard_confirm() { # OVERLAY PLAN
    enter "$1"
    settle
    if [ "$(cat "$LAST" 2>/dev/null)" = "confirmed $2" ]; then return 0; fi
    still_armed "$2"
    if [ -f "${GUARD:?}/digests" ]; then
        while read -r name sum; do
            [ "$(digest "$DIR/$name")" = "$sum" ] || fail 15 "$name changed while we looked"
        done <"${GUARD:?}/digests"
    fi
    mv "$GUARD" "$GUARD.confirming" || fail 20 "$GUARD could not be taken"
    GUARD=$GUARD.confirming
    guard_save
}

guard_save() {
    if ! save_files "${GUARD:?}/gone"; then
        said=$(evidence "${WORK:?}/error")
        unsave
        mv "$GUARD" "${GUARD%.confirming}"
        fail 13 "$said"
    fi
    code=0
    touch "${GUARD:?}/after"
    while read -r call; do
        # shellcheck disable=SC2086 # words of a call, written by `later`
        ($call) </dev/null || code=$?
    done <"${GUARD:?}/after"
    while read -r name; do resolve_saved "$name"; done <"${GUARD:?}/interfaces"
    sync "$DIR" 2>/dev/null
    echo "confirmed $(cat "${GUARD:?}/plan")" >"$LAST"
    guard_end
    [ "$code" = 0 ] || exit "$code"
}

guard_end() {
    disarm
    rm -rf "${GUARD:?}"
    guard_paths "$OVERLAY"
}

# What was cut off while it was confirmed is decided and goes on; what was cut off while it was undone is undone again.
settle() {
    if [ -d "$GUARD.confirming" ]; then GUARD=$GUARD.confirming; guard_save; fi
    if [ -d "$GUARD.undoing" ]; then GUARD=$GUARD.undoing; undo_all; fi
}

# ---- undo
guard_fire() { # OVERLAY PLAN [wait]; what the timer runs; a process of ours waits for its time itself
    trap '' HUP
    guard_paths "$1"
    if [ -n "$3" ]; then
        left=$(guard_left 2>/dev/null) || exit 0
        [ "$left" -le 0 ] || sleep "$left"
    fi
    found=$(guard_found) && [ "$(cat "$found/plan")" = "$2" ] || exit 0
    make_folders
    trap '' HUP PIPE
    lock_for_undo
    settle
    if [ "$(cat "${GUARD:?}/plan" 2>/dev/null)" = "$2" ]; then guard_undo; fi
    exit 0
}

guard_trip() { # OVERLAY PLAN
    make_folders
    lock_for_undo
    settle
    if [ "$(cat "${GUARD:?}/plan" 2>/dev/null)" = "$2" ]; then guard_undo; fi
    [ "$(cat "$LAST" 2>/dev/null)" != "confirmed $2" ] || fail 22 "plan $2"
    [ ! -d "$GUARD" ] || fail 21 "plan $(cat "${GUARD:?}/plan"), $(guard_left) s left"
}

guard_undo() {
    ARMED='' GUARD_NOTES=''
    mv "$GUARD" "$GUARD.undoing" 2>/dev/null || return 0
    GUARD=$GUARD.undoing
    undo_all
}

# Every part by itself: what cannot be undone must not keep the rest.
undo_all() {
    rm -rf "${WORK:?}/new" "${WORK:?}/gone"
    failed=
    sed '1!G;h;$!d' "${GUARD:?}/interfaces" >"${WORK:?}/interfaces"
    while read -r each; do restore "$each" </dev/null || failed="$failed $each"; done <"${WORK:?}/interfaces"
    unswitch
    rm -rf "${NEXT:?}"
    echo "undone $(cat "${GUARD:?}/plan")${failed:+, not all of$failed}" >"$LAST"
    ! has logger || logger -t fleet "the undo of plan $(cat "${GUARD:?}/plan") ran${failed:+, not all of$failed could be restored}"
    guard_end
}
