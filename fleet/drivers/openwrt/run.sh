# A write goes on when the session that brought it dies: it must not stop half way, and its session may run through the tunnel.
run() { # FUNCTION
    mkdir -p "$ROOT/tmp/fleet"
    chmod 700 "$ROOT/tmp/fleet"
    OUT=$ROOT/tmp/fleet/out.$$
    mkdir "$OUT" || fail 13 "$ROOT/tmp cannot be written"
    DETACHED=1
    (trap '' HUP; "$1") </dev/null >"$OUT/said" 2>"$OUT/error" &
    wait "$!"
    code=$?
    cat "$OUT/error" >&2
    cat "$OUT/said"
    rm -rf "${OUT:?}"
    exit "$code"
}
