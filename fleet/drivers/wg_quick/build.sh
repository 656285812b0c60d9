# One write. The calls at the end of the script say what changes; nothing runs before the whole script has arrived.
# New files are built aside and checked first, then run, then saved (under guard: when confirmed); a step that fails leaves
# what was.

ARMED=
GUARD_NOTES=
notes=
note() { notes="$notes@note $*
"; }

begin() { # OVERLAY; nothing may wait to be confirmed
    enter "$1"
    settle
    if [ -d "$GUARD" ]; then fail 21 "plan $(cat "${GUARD:?}/plan"), $(guard_left) s left"; fi
    rm -rf "${NEXT:?}"
}

begin_beside() { enter "$1"; } # OVERLAY; for what changes neither files nor configuration

begin_guarded() { # OVERLAY PLAN; a later request of the plan whose undo is armed
    enter "$1"
    settle
    still_armed "$2"
    ARMED=$2 GUARD_NOTES=${GUARD:?}/sysctl
}

enter() { # OVERLAY
    has wg || fail 10 "wg is not there"
    guard_paths "$1"
    [ -d "$DIR" ] || mkdir -m 700 "$DIR" 2>/dev/null || not_writable "$ROOT/etc"
    [ -w "$DIR" ] || not_writable "$DIR"
    make_folders
    lock
}

make_folders() {
    make_work
    mkdir "${WORK:?}/new" "${WORK:?}/old" "${WORK:?}/was"
    : >"${WORK:?}/gone"
}

not_writable() { # PLACE
    if touch "$1/.fleet-write" 2>/dev/null; then rm -f "$1/.fleet-write"; fail 11 "$1 is not writable for this account"; fi
    if [ "$(id -u)" = 0 ]; then fail 13 "$1 is read-only"; fi
    fail 11 "$1 is not writable for user $(id -un)"
}

# Words of a tool without anything that could be a key.
evidence() { grep -v '^\[#\]' "$1" | sed 's#[A-Za-z0-9+/]\{30,\}=*#***#g' | tail -n 1; }

# ---- files: a recipe of "!N-M" (lines of the old file, whatever they hold) and "=text" (new lines)
file() { # NAME MODE DIGEST_OF_OLD <recipe
    cat >"${WORK:?}/recipe"
    old=$(latest "$1")
    [ "$(digest "$old")" = "$3" ] || fail 15 "$1 changed while we looked"
    [ -f "$old" ] || old=/dev/null
    awk '
        reading == "old" { line[FNR] = $0; next }
        /^=/ { print substr($0, 2); next }
        /^!/ {
            split(substr($0, 2), range, "-")
            for (n = range[1]; n <= range[2]; n++) { if (!(n in line)) exit 1; print line[n] }
        }' reading=old "$old" reading=recipe "${WORK:?}/recipe" >"${WORK:?}/new/$1" || fail 15 "$1 has not the lines that were read"
    rm -f "${WORK:?}/recipe"
    chmod "$2" "${WORK:?}/new/$1"
}

helper() { # INTERFACE <text
    cat >"${WORK:?}/new/fleet-$1.sh"
    chmod 700 "${WORK:?}/new/fleet-$1.sh"
}

# ---- keys: made here, or given on standard input; never on a command line
key_make() { # INTERFACE; an interface that already has a key keeps it
    if [ -s "$(latest "$1.key")" ]; then return 0; fi
    if link_exists "$1"; then wg show "$1" private-key | grep -v '^(none)$' >"${WORK:?}/new/$1.key"; fi
    [ -s "${WORK:?}/new/$1.key" ] || wg genkey >"${WORK:?}/new/$1.key" || fail 10 "wg genkey failed"
}
key_given() { cat >"${WORK:?}/new/$1.key"; } # INTERFACE <key
stage_make() { [ -s "$(latest "$1.key.next")" ] || wg genkey >"${WORK:?}/new/$1.key.next" || fail 10 "wg genkey failed"; } # INTERFACE
stage_given() { cat >"${WORK:?}/new/$1.key.next"; } # INTERFACE <key
stage_drop() { echo "$1.key.next" >>"${WORK:?}/gone"; } # INTERFACE
key_activate() { # INTERFACE PUBLIC_KEY; the pair in use stays until confirm: as .key.prev, under guard where it is
    next=$(latest "$1.key.next")
    [ "$(wg pubkey <"$next" 2>/dev/null)" = "$2" ] || fail 15 "the staged key of $1 changed while we looked"
    [ -n "$ARMED" ] || conf_private_key "$DIR/$1.conf" "$1" >"${WORK:?}/new/$1.key.prev"
    cp "$next" "${WORK:?}/new/$1.key"
    rm -f "${WORK:?}/new/$1.key.next"
    echo "$1.key.next" >>"${WORK:?}/gone"
}

# ---- what was built goes to the disk before anything runs: a full one is noticed while nothing has changed
stage() { # INTERFACE...
    for draft in "$@"; do
        [ -z "$ARMED" ] || remember "$draft"
        for kind in dial forget unaddress; do
            if [ -n "$ARMED" ] && [ -f "${WORK:?}/$kind.$draft" ]; then cat "${WORK:?}/$kind.$draft" >>"${GUARD:?}/$kind.$draft"; fi
        done
        previous=$(latest_saved "$draft.conf")
        if [ -f "$previous" ]; then cp "$previous" "${WORK:?}/was/$draft.conf"; else : >"${WORK:?}/was/$draft.conf"; fi
    done
    [ -d "$NEXT" ] || mkdir -m 700 "$NEXT" 2>"${WORK:?}/error" || unstaged
    for new in "$WORK"/new/*; do
        [ -f "$new" ] || continue
        cp -p "$new" "${NEXT:?}/${new##*/}" 2>"${WORK:?}/error" || unstaged
        [ -z "$ARMED" ] || forgo "${new##*/}"
    done
    [ -n "$ARMED" ] || return 0
    while read -r name; do
        [ ! -f "${WORK:?}/new/$name" ] || continue
        rm -f "${NEXT:?}/$name"
        expect "$name"
        echo "$name" >>"${GUARD:?}/gone"
    done <"${WORK:?}/gone"
}

latest_saved() { # NAME; without what this very request has built
    if [ -d "$GUARD" ] && [ -f "${NEXT:?}/$1" ]; then echo "${NEXT:?}/$1"; else echo "$DIR/$1"; fi
}

forgo() { # NAME; this file is not to go any more
    expect "$1"
    grep -vxF "$1" "${GUARD:?}/gone" >"${WORK:?}/kept"
    cat "${WORK:?}/kept" >"${GUARD:?}/gone"
}

unstaged() {
    said=$(evidence "${WORK:?}/error") code=13
    ! grep -qi 'no space' "${WORK:?}/error" || code=14
    if [ -n "$ARMED" ]; then guard_undo; else rm -rf "${NEXT:?}"; fi
    fail "$code" "$said"
}

finish() {
    printf '%s@done\n' "$notes"
}
