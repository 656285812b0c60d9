# The part that runs on the router at every start: PostUp and PreDown of the interface, and the timer.
NAME=${0##*/}
NAME=${NAME#fleet-}
NAME=${NAME%.sh}

# A power cut ends every guard: what waited to be confirmed then is not wanted any more.
sweep() { # OVERLAY
    guard_paths "$1"
    guard_found >/dev/null || holder >/dev/null || rm -rf "${NEXT:?}"
}

up() {
    # Best effort, each part by itself: a firewall that refuses must not take the tunnel down at boot.
    list=$(list_path "$1")
    [ -f "$list" ] || return 0
    sweep "$(list_overlay "$list")"
    routes_apply "$list" "$1" || say "$1: not all routes could be added"
    firewall_apply "$list" "$(list_overlay "$list")" "$1" || say "$1: not all openings could be made"
    resolve_apply "$list" "$1" || say "$1: endpoints are not resolved again"
}

down() {
    list=$(list_path "$1")
    [ -f "$list" ] || return 0
    loop_stop "$1"
    # Rules in ufw and firewalld are stored by them and do no harm while the interface is away.
    awk '$1 == "mark"' "$list" >"${WORK:?}/nothing"
    firewall_apply "${WORK:?}/nothing" "$(list_overlay "$list")" "$1" || say "$1: not all openings could be removed"
}

loop() {
    while sleep "${FLEET_RESOLVE_EVERY:-25}" && link_exists "$1" && list_has "$(list_path "$1")" reresolve; do
        sh "$0" resolve
    done
}

[ "${1:-}" = loop ] || make_work
case ${1:-} in
    up) up "$NAME" ;;
    down) down "$NAME" ;;
    resolve) resolve_once "$NAME" "$(list_overlay "$(list_path "$NAME")")" ;;
    loop) loop "$NAME" ;;
    *) fail 64 "usage: $0 up|down|resolve|loop" ;;
esac
exit 0
