# One write: lock, check that nothing moved, stage with `uci batch`, check what was staged, commit, then make it run.

# ---- the staging area is shared by everybody who logs in
# What a killed run of ours left there is known by the list it made first; anything else is somebody's unfinished work.
others_staged() { # prints sections that wait to be committed and are not ours
    for package in network firewall; do uci changes "$package"; done 2>/dev/null | awk "$UCI_LINES"'
        { sub(/^-/, "", record); sub(/[-+]?=.*/, "", record); split(record, name, "."); print name[1] "." name[2] }' |
        sort -u | without "$STATE/staging"
}

clear_staged() {
    others_staged >"$WORK/others"
    unstage
    [ ! -s "$WORK/others" ] || fail 25 "$(head -n 5 "$WORK/others" | tr '\n' ' ')"
}

read_now() { # FILE; network and firewall as `uci` shows them
    show network >"$1.network" 2>"$WORK/error" || fail 11 "$(evidence "$WORK/error")"
    : >"$1.firewall"
    [ ! -f "$CONFIG/firewall" ] || show firewall >"$1.firewall" 2>"$WORK/error" || fail 11 "$(evidence "$WORK/error")"
}

unmoved() { # DIGEST
    read_now "$WORK/old"
    [ "$(cat "$WORK/old.network" "$WORK/old.firewall" | md5sum | cut -c1-32)" = "$1" ] || fail 15 "the configuration"
}

# ---- the batch is put together first: keys that only the router knows never leave it
batch() { cat >>"$WORK/batch"; } # <commands

own_key() { # INTERFACE OPTION
    made=$(wg genkey 2>"$WORK/error") && [ -n "$made" ] || fail 16 "wg genkey: $(evidence "$WORK/error")"
    printf "set network.%s.%s='%s'\n" "$1" "$2" "$made" >>"$WORK/batch"
}

next_key() { # INTERFACE; the one in use stays beside until the change is confirmed
    next=$(uci -q get "network.$1.fleet_next_key") || fail 16 "no key is staged on $1"
    before=$(uci -q get "network.$1.private_key")
    printf "set network.%s.private_key='%s'\ndelete network.%s.fleet_next_key\n" "$1" "$next" "$1" >>"$WORK/batch"
    [ -z "$before" ] || printf "set network.%s.fleet_prev_key='%s'\n" "$1" "$before" >>"$WORK/batch"
}

forget_keys() { # INTERFACE...
    names=
    for each in "$@"; do
        [ -n "$(uci -q get "network.$each.fleet_prev_key")" ] || continue
        echo "delete network.$each.fleet_prev_key" >>"$WORK/batch"
        names="$names network.$each"
    done
    [ -n "$names" ] || return 0
    # shellcheck disable=SC2086 # names of sections
    stage $names
    commit
}

# `uci batch` goes on after an error and ends with 0: what it says on standard error is all that tells (sheet 2.3).
stage() { # PACKAGE.SECTION...
    printf '%s\n' "$@" >"$STATE/staging"
    uci batch <"$WORK/batch" >/dev/null 2>"$WORK/error"
    if [ -s "$WORK/error" ]; then said=$(evidence "$WORK/error"); unstage; fail 16 "$said"; fi
}

# Section by section: what others staged in the meantime stays theirs.
unstage() {
    [ -f "$STATE/staging" ] || return 0
    while read -r section; do uci -q revert "$section"; done <"$STATE/staging"
    rm -f "$STATE/staging"
}

# `fw4 check` ends with 0 when it skips a section (sheet 5). What was wrong before is not ours to mend.
check_firewall() {
    has fw4 && [ -n "$(uci changes firewall 2>/dev/null)" ] || return 0
    fw4 check >"$WORK/check" 2>&1
    code=$?
    grep -E "^\[!\] Section fleet_" "$WORK/check" >"$WORK/wrong"
    if [ "$code" != 0 ] || [ -s "$WORK/wrong" ]; then
        said=$(head -n 1 "$WORK/wrong")
        [ -n "$said" ] || said=$(evidence "$WORK/check")
        unstage
        fail 18 "$said"
    fi
}

# One commit a package and change: each rewrites the whole file, and flash wears.
commit() {
    check_firewall
    others_staged >"$WORK/others" # whoever came between would be committed along
    if [ -s "$WORK/others" ]; then unstage; fail 25 "$(head -n 5 "$WORK/others" | tr '\n' ' ')"; fi
    changed=
    for package in network firewall; do [ -z "$(uci changes "$package" 2>/dev/null)" ] || changed="$changed $package"; done
    if [ -n "$changed" ] && [ -d "$GUARD" ]; then echo "$changed" >"$GUARD/committing"; fi
    for package in $changed; do
        if ! uci commit "$package" 2>"$WORK/error" || [ -n "$(uci changes "$package" 2>/dev/null)" ]; then
            said=$(evidence "$WORK/error")
            unstage
            fail 14 "${said:-$package was not committed}"
        fi
    done
    rm -f "$STATE/staging"
    if [ -d "$GUARD" ]; then note_sums; fi
    case $changed in *firewall*) FIREWALL=1 ;; esac
}

# ---- lines of crontabs/root: the only file of ours that UCI has no part in
cron() { # on|off LINE
    mkdir -p "$ROOT/etc/crontabs"
    touch "$CRONTAB"
    grep -vF "fleet:$OVERLAY:" "$CRONTAB" >"$WORK/crontab"
    [ "$1" = off ] || printf '%s\n' "$2" >>"$WORK/crontab"
    if ! cmp -s "$WORK/crontab" "$CRONTAB"; then
        cp "$WORK/crontab" "$CRONTAB.fleet" && mv "$CRONTAB.fleet" "$CRONTAB" || fail 14 "$CRONTAB"
    fi
    [ "$1" = off ] || "$ROOT/etc/init.d/cron" enabled || "$ROOT/etc/init.d/cron" enable
    "$ROOT/etc/init.d/cron" restart >/dev/null 2>&1
    [ ! -d "$GUARD" ] || note_sums
}

cron_again() { "$ROOT/etc/init.d/cron" restart >/dev/null 2>&1; }

begin() { # OVERLAY
    paths "$1"
    make_work
    lock
    armed=$(cat "$GUARD/plan" "$GUARD.undoing/plan" 2>/dev/null | head -n 1)
    [ -z "$armed" ] || fail 21 "plan $armed"
    if [ -d "$GUARD.new" ] || [ -d "$GUARD.confirmed" ]; then
        rm -rf "${GUARD:?}.new" "${GUARD:?}.confirmed"
        forget_boot
    fi
    clear_staged
}

begin_beside() { # OVERLAY; calls that change no configuration, whether or not an undo is armed
    paths "$1"
    make_work
    lock
}

finish() { echo "@done"; }
