# The undo on the router (sheet 5.2): what we touched goes back to what was active before, path by path, so that what somebody else
# committed meanwhile stays. Nothing is saved before the confirm: a power cut starts the saved configuration, and a script of
# post-config.d removes what is left. Renaming the folder decides: whoever renames it first, undo or confirm, wins.
#
#   plan lib.sh fire.sh     whose undo it is, these functions, and the call that the timer makes
#   pre touched             the active configuration before, and the paths that were written
#   hash                    of the active configuration after our last commit: a save must not write somebody else's
#   made keys/ after        files that came, staged keys that went, files that go with the confirm

arm() { # PLAN SECONDS <library
    has setsid || fail 23 "setsid is not there"
    new=$GUARD.new
    rm -rf "${new:?}"
    mkdir -p "$new" "${HOOK%/*}" 2>"$WORK/error" || fail 23 "$(evidence "$WORK/error")"
    active >"$WORK/pre"
    {
        cat >"$new/lib.sh" && echo "$1" >"$new/plan" && : >"$new/touched" && : >"$new/made" && : >"$new/after" && cp "$WORK/pre" "$new/pre" &&
            fire_script "$1" >"$new/fire.sh" && hook >"$HOOK" && chmod 750 "$HOOK"
    } 2>"$WORK/error" || { said=$(evidence "$WORK/error"); rm -rf "${new:?}"; rm -f "$HOOK"; fail 23 "${said:-no space left}"; }
    cmp -s "$WORK/pre" "$new/pre" || { rm -rf "${new:?}"; rm -f "$HOOK"; fail 23 "no space left"; }
    note_hash "$new"
    rm -f "$LAST"
    echo "$(($(seconds) + $2))" >"$DUE"
    mv "$new" "$GUARD" || fail 23 "$GUARD could not be made"
    sync
    (trap '' HUP; exec setsid bash "$GUARD/fire.sh" wait) </dev/null >/dev/null 2>&1 9>&- &
    echo "$!" >"$STATE/timer-$OVERLAY"
    kill -0 "$!" 2>/dev/null || { rm -rf "${GUARD:?}"; rm -f "$HOOK"; fail 23 "the timer does not run"; }
}

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

fire_script() { # PLAN
    printf 'FLEET_ROOT=%s\nPATH=%s\nexport FLEET_ROOT PATH\n' "$(quoted "$ROOT")" "$(quoted "$PATH")"
    printf 'folder=%s\n[ -d "$folder" ] || folder=$folder.undoing\n. "$folder/lib.sh"\nguard_fire %s %s\n' \
        "$(quoted "$GUARD")" "$OVERLAY" "$(quoted "$1")"
}

hook() {
    cat <<SCRIPT
#!/bin/bash
# Made by fleet and removed by it: a change that was not confirmed when the power went is not in the saved configuration.
for folder in "\${FLEET_ROOT:-}"/config/user-data/fleet/guard-$OVERLAY*; do
    [ -f "\$folder/lib.sh" ] || continue
    . "\$folder/lib.sh"
    guard_boot $OVERLAY "\$folder"
    break
done
rm -f "\$0"
SCRIPT
}

note_hash() { active | md5sum >"$1/hash"; } # FOLDER
guard_left() { if [ -f "$DUE" ]; then echo "$(($(cat "$DUE") - $(seconds)))"; else echo 0; fi; }

still_armed() { # PLAN
    [ -d "$GUARD" ] || fail 20 "$(cat "$LAST" 2>/dev/null)"
    [ "$(cat "$GUARD/plan")" = "$1" ] || fail 20 "plan $(cat "$GUARD/plan") is armed"
    [ "$(guard_left)" -gt 0 ] || fail 20 "its time is over"
}

begin_guarded() { # OVERLAY PLAN
    paths "$1"
    make_work
    lock
    still_armed "$2"
}

guard_confirm() { # OVERLAY PLAN
    paths "$1"
    make_work
    lock
    if [ "$(cat "$LAST" 2>/dev/null)" = "confirmed $2" ]; then return 0; fi
    if [ "$(cat "$GUARD.confirmed/plan" 2>/dev/null)" != "$2" ]; then
        still_armed "$2"
        [ "$(active | md5sum)" = "$(cat "$GUARD/hash")" ] || fail 15 "somebody else committed and did not save"
        mv "$GUARD" "$GUARD.confirmed" || fail 20 "$GUARD could not be taken"
    fi
    cp "$GUARD.confirmed/after" "$WORK/after"
    (save_all)
    code=$?
    if [ "$code" != 0 ]; then mv "$GUARD.confirmed" "$GUARD"; exit "$code"; fi
    echo "confirmed $2" >"$LAST"
    guard_end "$GUARD.confirmed"
}

guard_end() { # FOLDER
    pid=$(timer_pid) && [ "$pid" != "$$" ] && kill -9 -- "-$pid" 2>/dev/null
    rm -f "$DUE" "$STATE/timer-$OVERLAY" "$HOOK"
    rm -rf "${1:?}"
    sync
}

# The timer is the leader of a session of its own, `sleep` is its child; a pid alone could be another's by now.
timer_pid() {
    timer=$(cat "$STATE/timer-$OVERLAY" 2>/dev/null) || return 1
    tr '\0' ' ' <"/proc/$timer/cmdline" 2>/dev/null | grep -qF "/guard-$OVERLAY/fire.sh wait" || return 1
    echo "$timer"
}

guard_fire() { # OVERLAY PLAN; what the timer runs
    trap '' HUP
    paths "$1"
    await_due
    [ "$(cat "$GUARD/plan" "$GUARD.undoing/plan" 2>/dev/null | head -n 1)" = "$2" ] || exit 0
    DETACHED=1
    make_work
    trap '' HUP PIPE
    FLEET_COMMIT_PATIENCE=600
    lock_for_undo
    guard_undo
    exit 0
}

guard_trip() { # OVERLAY PLAN
    paths "$1"
    make_work
    FLEET_COMMIT_PATIENCE=60
    lock_for_undo
    if [ "$(cat "$GUARD/plan" "$GUARD.undoing/plan" 2>/dev/null | head -n 1)" = "$2" ]; then guard_undo; fi
    [ "$(cat "$LAST" 2>/dev/null)" != "confirmed $2" ] || fail 22 "plan $2"
    [ ! -d "$GUARD" ] || fail 21 "plan $(cat "$GUARD/plan"), $(guard_left) s left"
}

guard_boot() { # OVERLAY FOLDER; as root: nothing of the change is active any more
    paths "$1"
    DETACHED=1
    mkdir -p "$STATE" && chown :vyattacfg "$STATE" 2>/dev/null
    make_work
    undo_files "$2"
    sweep
    guard_end "$2"
}

# Every part by itself: what cannot be undone must not keep the rest.
guard_undo() {
    if [ -d "$GUARD" ]; then mv "$GUARD" "$GUARD.undoing" || return 0; fi
    folder=$GUARD.undoing
    [ -f "$folder/plan" ] || return 0
    failed=
    names=$(awk -F '\t' '$2 == "wireguard" { print $3 }' "$folder/touched" | sort -u)
    addresses $names 2>/dev/null
    back "$folder"
    if [ -s "$WORK/back" ] && ! change "$WORK/back" 2>/dev/null; then
        for part in interfaces protocols service firewall system; do
            back "$folder"
            awk -F '\t' -v part="$part" '$2 == part' "$WORK/back" >"$WORK/part"
            [ ! -s "$WORK/part" ] || change "$WORK/part" 2>"$WORK/error" || failed="$failed $part"
        done
    fi
    addresses $names 2>/dev/null
    undo_files "$folder"
    sweep
    echo "undone $(cat "$folder/plan")${failed:+, not all of$failed}" >"$LAST"
    ! has logger || logger -t fleet "the undo of plan $(cat "$folder/plan") ran${failed:+, not all of$failed could be restored}"
    guard_end "$folder"
}

undo_files() { # FOLDER
    discard_lists
    for each in "$1"/keys/*; do [ ! -f "$each" ] || mv "$each" "$AUTH/"; done
    sort -u "$1/made" 2>/dev/null | while read -r each; do
        case $each in *.next.key) [ -f "$1/keys/${each##*/}" ] || rm -f "$each" ;; esac
    done
}

# What separates the active configuration from the one before, of what we touched, as lines for `change`: first what goes, each
# with the highest part of its path that was not there, then what comes back.
back() { # FOLDER
    active >"$WORK/now.all"
    awk -F '\t' '
        function under(line,    n, w, i, p) {
            n = split(line, w, "\t"); p = ""
            for (i = 1; i <= n; i++) { p = p (i > 1 ? "\t" : "") w[i]; if (p in touched) return 1 }
            return 0
        }
        FILENAME ~ /touched$/ { touched[$0] = 1; next }
        FILENAME ~ /pre$/ { was[$0] = 1; order[++count] = $0; n = split($0, w, "\t"); p = ""; for (i = 1; i <= n; i++) { p = p (i > 1 ? "\t" : "") w[i]; prefix[p] = 1 }; next }
        { is[$0] = 1 }
        !($0 in was) && under($0) {
            n = split($0, w, "\t"); p = w[1]
            for (i = 1; i < n && (p in prefix); i++) p = p "\t" w[i + 1]
            if (!(p in gone)) { gone[p] = 1; print "delete\t" p }
        }
        END { for (i = 1; i <= count; i++) if (!(order[i] in is) && under(order[i])) print "set\t" order[i] }
    ' "$1/touched" "$1/pre" "$WORK/now.all" >"$WORK/back"
}
