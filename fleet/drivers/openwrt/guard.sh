# The undo on the router. It is armed before the first write and fires by itself. Its folder lies in flash, because what is committed
# survives a power cut and so must its undo: an init script runs it before the network starts. Renaming the folder decides:
# whoever renames it first, undo or confirm, wins.
#
#   plan lib.sh fire.sh        whose undo it is, these functions, and the call that the timer makes
#   config/ crontab            the files as they were
#   sums committing            what the files are since we wrote them; packages whose commit was under way
#   sections interfaces        what was touched: "network wgp_0a1b2c3d4e5f", "wg0"

BOOT=fleet-guard

arm() { # PLAN SECONDS <library
    has flock && has setsid || fail 23 "flock or setsid is not there"
    new=$GUARD.new
    mkdir -p "$KEPT" && rm -rf "${new:?}" && mkdir -p "$new/config" || fail 23 "$KEPT cannot be written"
    {
        cat >"$new/lib.sh" && echo "$1" >"$new/plan" && : >"$new/sections" && : >"$new/interfaces" && : >"$new/sums" &&
            cp -p "$CONFIG/network" "$new/config/network" &&
            { [ ! -f "$CONFIG/firewall" ] || cp -p "$CONFIG/firewall" "$new/config/firewall"; } &&
            { [ ! -f "$CRONTAB" ] || cp -p "$CRONTAB" "$new/crontab"; } &&
            fire_script "$1" >"$new/fire.sh" && boot_script >"$ROOT/etc/init.d/$BOOT" && chmod 755 "$ROOT/etc/init.d/$BOOT" &&
            ln -sf "../init.d/$BOOT" "$ROOT/etc/rc.d/S11$BOOT"
    } 2>"$WORK/error" || { said=$(evidence "$WORK/error"); rm -rf "${new:?}"; forget_boot; fail 23 "${said:-no space left}"; }
    cmp -s "$CONFIG/network" "$new/config/network" || { rm -rf "${new:?}"; forget_boot; fail 23 "no space left"; }
    rm -f "$LAST"
    echo "$(($(seconds) + $2))" >"$DUE"
    mv "$new" "$GUARD" || { forget_boot; fail 23 "$GUARD could not be made"; }
    sync
    (trap '' HUP; exec setsid sh "$GUARD/fire.sh" wait) </dev/null >/dev/null 2>&1 9>&- &
    echo "$!" >"$STATE/timer-$OVERLAY"
    kill -0 "$!" 2>/dev/null || { rm -rf "${GUARD:?}"; forget_boot; fail 23 "the timer does not run"; }
}

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# What was cut off while it was undone has the folder by another name.
fire_script() { # PLAN
    printf 'FLEET_ROOT=%s\nPATH=%s\nexport FLEET_ROOT PATH\n' "$(quoted "$ROOT")" "$(quoted "$PATH")"
    printf 'folder=%s\n[ -d "$folder" ] || folder=$folder.undoing\n. "$folder/lib.sh"\nguard_fire %s %s "${1:-}"\n' \
        "$(quoted "$GUARD")" "$OVERLAY" "$(quoted "$1")"
}

# Before rpcd (12) and the network (20 and earlier): what starts finds the files as they were, nothing has to be reloaded.
boot_script() {
    cat <<'SCRIPT'
#!/bin/sh /etc/rc.common
START=11
boot() {
    for folder in "${FLEET_ROOT:-}"/etc/fleet/guard-*; do
        case $folder in *.new | *.confirmed) continue ;; esac
        [ ! -f "$folder/fire.sh" ] || sh "$folder/fire.sh" boot
    done
}
SCRIPT
}

forget_boot() {
    for other in "$KEPT"/guard-*; do [ ! -f "$other/plan" ] || return 0; done
    rm -f "$ROOT/etc/rc.d/S11$BOOT" "$ROOT/etc/init.d/$BOOT"
    rmdir "$KEPT" 2>/dev/null
}

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
    clear_staged
}

touching() { # INTERFACE...
    for each in "$@"; do
        grep -qxF "$each" "$GUARD/interfaces" && continue
        echo "$each" >>"$GUARD/interfaces"
        ! link_exists "$each" || addresses_now "$each" >"$GUARD/addresses.$each"
    done
    [ -f "$STATE/staging" ] || return 0
    tr '.' ' ' <"$STATE/staging" | while read -r line; do grep -qxF "$line" "$GUARD/sections" || echo "$line" >>"$GUARD/sections"; done
}

note_sums() {
    { echo "network $(digest "$CONFIG/network")"; echo "firewall $(digest "$CONFIG/firewall")"; echo "crontab $(digest "$CRONTAB")"; } >"$GUARD/sums.new"
    mv "$GUARD/sums.new" "$GUARD/sums"
    rm -f "$GUARD/committing"
}

guard_confirm() { # OVERLAY PLAN
    paths "$1"
    make_work
    lock
    if [ "$(cat "$LAST" 2>/dev/null)" = "confirmed $2" ]; then return 0; fi
    if [ "$(cat "$GUARD.confirmed/plan" 2>/dev/null)" != "$2" ]; then
        still_armed "$2"
        mv "$GUARD" "$GUARD.confirmed" || fail 20 "$GUARD could not be taken"
    fi
    echo "confirmed $2" >"$LAST"
    guard_end "$GUARD.confirmed"
}

guard_end() { # FOLDER
    pid=$(timer_pid) && [ "$pid" != "$$" ] && kill -9 -- "-$pid" 2>/dev/null
    rm -f "$DUE" "$STATE/timer-$OVERLAY"
    rm -rf "${1:?}"
    forget_boot
    sync
}

# The timer is the leader of a session of its own, `sleep` is its child; a pid alone could be another's by now.
timer_pid() {
    timer=$(cat "$STATE/timer-$OVERLAY" 2>/dev/null) || return 1
    tr '\0' ' ' <"/proc/$timer/cmdline" 2>/dev/null | grep -qF "/guard-$OVERLAY/fire.sh wait" || return 1
    echo "$timer"
}

guard_fire() { # OVERLAY PLAN [wait|boot]; what the timer and the init script run
    trap '' HUP
    paths "$1"
    [ "$3" != wait ] || await_due
    [ "$(cat "$GUARD/plan" "$GUARD.undoing/plan" 2>/dev/null | head -n 1)" = "$2" ] || exit 0
    make_work
    trap '' HUP PIPE
    lock_for_undo
    guard_undo "$3"
    exit 0
}

guard_trip() { # OVERLAY PLAN
    paths "$1"
    make_work
    lock_for_undo
    if [ "$(cat "$GUARD/plan" "$GUARD.undoing/plan" 2>/dev/null | head -n 1)" = "$2" ]; then guard_undo; fi
    [ "$(cat "$LAST" 2>/dev/null)" != "confirmed $2" ] || fail 22 "plan $2"
    [ ! -d "$GUARD" ] || fail 21 "plan $(cat "$GUARD/plan"), $(guard_left) s left"
}

# Every part by itself: what cannot be undone must not keep the rest.
guard_undo() { # [boot]
    if [ -d "$GUARD" ]; then mv "$GUARD" "$GUARD.undoing" || return 0; fi
    saved=$GUARD.undoing
    [ -f "$saved/plan" ] || return 0
    failed=
    if [ -f "$STATE/staging" ]; then (clear_staged) 2>/dev/null; fi
    (read_now "$WORK/old") 2>/dev/null
    # An undo that was cut off has put files back already, and what runs may still be what was written.
    if [ -f "$saved/written" ]; then cp "$saved/written" "$WORK/old.network"; else cp "$WORK/old.network" "$saved/written"; fi
    for package in network firewall; do restore "$package" "$CONFIG/$package" "$saved/config/$package" || failed="$failed $package"; done
    restore_crontab "${1:-}" || failed="$failed crontab"
    if [ "${1:-}" != boot ]; then
        read_now "$WORK/new"
        while read -r each; do (undo_live "$each") </dev/null || failed="$failed $each"; done <"$saved/interfaces"
        [ -z "$(cmp "$WORK/old.firewall" "$WORK/new.firewall" 2>&1)" ] || (reload_firewall) 2>/dev/null || failed="$failed firewall"
    fi
    echo "undone $(cat "$saved/plan")${failed:+, not all of$failed}" >"$LAST"
    ! has logger || logger -t fleet "the undo of plan $(cat "$saved/plan") ran${failed:+, not all of$failed could be restored}"
    guard_end "$saved"
}

undo_live() { # INTERFACE
    if enabled_in "$WORK/new.network" "$1"; then
        live "$1" reload
        in_order "$1" "$saved/addresses.$1"
    else ubus -S call network reload >/dev/null; wait_gone "$1"; ! link_exists "$1"
    fi
}

# The whole file if it is still the one we wrote; else somebody has been at work since, and only what we touched goes back.
restore() { # NAME FILE COPY
    now=$(digest "$2")
    [ "$now" != "$(digest "$3")" ] || return 0
    wrote=$(sed -n "s/^$1 //p" "$saved/sums")
    if [ "$now" = "$wrote" ] || grep -qsw "$1" "$saved/committing"; then
        cp -p "$3" "${2%/*}/.$1.fleet" && mv "${2%/*}/.$1.fleet" "$2"
        return
    fi
    restore_sections "$1" "$3"
}

restore_sections() { # PACKAGE COPY
    uci -X show "$1" >"$WORK/shown" || return 1
    while read -r package section; do
        [ "$package" = "$1" ] || continue
        ! grep -q "^$1\.$section=" "$WORK/shown" || echo "delete $1.$section"
        uci -c "${2%/*}" -n export "$1" | awk -v path="$1.$section" -v section="$section" "$UCI_LINES"'
            record ~ /^config / { split(record, word, " "); here = (word[3] == "'"'"'" section "'"'"'"); if (here) print "set " path "=" word[2]; next }
            here && match(record, /^\t(option|list) [^ ]+ /) {
                split(record, word, " "); sub(/^\t/, "", word[1])
                print (word[1] == "list" ? "add_list " : "set ") path "." word[2] "=" substr(record, RLENGTH + 1)
            }'
    done <"$saved/sections" >"$WORK/back"
    [ -s "$WORK/back" ] || return 0
    uci batch <"$WORK/back" >/dev/null 2>"$WORK/error"
    [ ! -s "$WORK/error" ] && uci commit "$1"
}

restore_crontab() { # [boot]
    now=$(digest "$CRONTAB")
    [ "$now" != "$(digest "$saved/crontab")" ] || return 0
    if [ "$now" = "$(sed -n 's/^crontab //p' "$saved/sums")" ]; then
        if [ -f "$saved/crontab" ]; then cp -p "$saved/crontab" "$CRONTAB.fleet" && mv "$CRONTAB.fleet" "$CRONTAB"; else rm -f "$CRONTAB"; fi
    else
        { grep -vF "fleet:$OVERLAY:" "$CRONTAB"; grep -sF "fleet:$OVERLAY:" "$saved/crontab"; } >"$WORK/crontab"
        cp "$WORK/crontab" "$CRONTAB.fleet" && mv "$CRONTAB.fleet" "$CRONTAB"
    fi
    [ "$1" = boot ] || [ ! -x "$ROOT/etc/init.d/cron" ] || "$ROOT/etc/init.d/cron" restart >/dev/null 2>&1
}
