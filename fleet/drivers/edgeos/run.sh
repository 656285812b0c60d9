# A write goes on when the session that brought it dies: it must not stop half way, and its session may run through the tunnel.
run() { # FUNCTION
    mkdir -p "$STATE" 2>/dev/null && chmod 2770 "$STATE" 2>/dev/null
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
