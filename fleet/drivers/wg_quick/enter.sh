# The first lines of a request under guard: the functions are on the router, or come along and stay.

guard_new() { # OVERLAY <lib; the folder to be, with the text of all functions
    guard_paths "$1"
    [ -d "$STATE" ] || mkdir -m 700 "$STATE" 2>/dev/null
    NEW=$(mktemp -d "${STATE:?}/new.XXXXXX" 2>/dev/null) || fail 13 "$STATE cannot be written"
    trap 'rm -rf "${NEW:?}"' EXIT
    LIB=${NEW:?}/lib.sh
    cat >"$LIB" || fail 14 "$STATE: no space left"
}

# Finds the functions of an armed undo. Without them the answer depends on what became of the plan.
guard_enter() { # OVERLAY PLAN [undone]
    guard_paths "$1"
    LIB=
    # shellcheck disable=SC2034 # sourced by the call that follows
    if found=$(guard_found); then LIB=$found/lib.sh; return 0; fi
    became=$(cat "$LAST" 2>/dev/null)
    case "$became " in
        "confirmed $2 "*) if [ -n "${3:-}" ]; then fail 22 "plan $2"; fi ;;
        *) [ -n "${3:-}" ] || fail 20 "${became:-no guard is armed}" ;;
    esac
    echo "@done"
    exit 0
}
