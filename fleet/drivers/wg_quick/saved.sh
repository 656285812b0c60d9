# What stays: files to their places, and coming up at boot. Under guard this is what confirm does.

# Under guard a call for later is written down and not made.
later() { # WORDS...
    [ -n "$ARMED" ] || return 1
    echo "$*" >>"${GUARD:?}/after"
}

save() {
    if [ -n "$ARMED" ]; then return 0; fi
    save_files "${WORK:?}/gone" || { said=$(evidence "${WORK:?}/error"); unsave; fail 13 "$said"; }
    for name in $missing; do start "$name"; done
    for name in $ran; do resolve_saved "$name"; done
    sync "$DIR" 2>/dev/null
}

save_files() { # NAMES_THAT_GO; what is replaced is kept until the end of this request
    for new in "$NEXT"/*; do
        [ -f "$new" ] || continue
        name=${new##*/}
        echo "$name" >>"${WORK:?}/saved"
        [ ! -f "$DIR/$name" ] || cp -p "$DIR/$name" "${WORK:?}/old/$name" || return 1
        mv -f "$new" "$DIR/$name" 2>"${WORK:?}/error" || return 1
    done
    while read -r name; do rm -f "${DIR:?}/$name"; done <"$1"
    rm -rf "${NEXT:?}"
}

unsave() { # a new interface that does not come up leaves nothing behind but its key
    [ -f "${WORK:?}/saved" ] || return 0
    while read -r name; do
        if [ -f "${WORK:?}/old/$name" ]; then mv -f "${WORK:?}/old/$name" "$DIR/$name"
        else case $name in *.key) ;; *) rm -f "${DIR:?}/$name" ;; esac
        fi
    done <"${WORK:?}/saved"
    rm -rf "${NEXT:?}"
}

resolve_saved() { # INTERFACE
    list=$(list_path "$1")
    [ ! -f "$list" ] || resolve_apply "$list" "$1" || note "$1: named endpoints are not resolved again"
}

# ---- coming up at boot, as the init system has it
boot_on() { # INTERFACE MARK
    ! later boot_on "$@" || return 0
    ! enabled_at_boot "$1" || return 0
    if has_systemd; then systemctl enable "wg-quick@$1" >/dev/null 2>"${WORK:?}/error" || fail 19 "$(evidence "${WORK:?}/error")"; return 0; fi
    if has_openrc; then
        ln -sf wg-quick "$ROOT/etc/init.d/wg-quick.$1" && rc-update add "wg-quick.$1" default >/dev/null 2>&1 && return 0
    fi
    rc=$ROOT/etc/rc.local
    if [ -f "$rc" ]; then cat "$rc" >"${WORK:?}/rc"; else echo '#!/bin/sh' >"${WORK:?}/rc"; fi
    # In the background and without end: the network that resolves the endpoints may come later than rc.local.
    awk -v line="(WG_ENDPOINT_RESOLUTION_RETRIES=infinity wg-quick up $1) & # $2" '
        { text[NR] = $0 }
        END {
            last = NR + 1
            for (n = NR; n > 0; n--) if (text[n] ~ /^[ \t]*exit( |$)/) { last = n; break } else if (text[n] !~ /^[ \t]*(#.*)?$/) break
            for (n = 1; n < last; n++) print text[n]
            print line
            for (n = last; n <= NR; n++) print text[n]
        }' "${WORK:?}/rc" >"$rc.fleet-new" || fail 13 "$rc could not be written"
    chmod 755 "$rc.fleet-new"
    mv -f "$rc.fleet-new" "$rc"
}

boot_off() { # INTERFACE
    ! later boot_off "$@" || return 0
    if has_systemd; then systemctl disable "wg-quick@$1" >/dev/null 2>&1; fi
    if [ -e "$ROOT/etc/runlevels/default/wg-quick.$1" ]; then rc-update del "wg-quick.$1" default >/dev/null 2>&1; fi
    rc=$ROOT/etc/rc.local
    if grep -q "wg-quick up $1).*# fleet:" "$rc" 2>/dev/null; then
        grep -v "wg-quick up $1).*# fleet:" "$rc" >"$rc.fleet-new"
        chmod 755 "$rc.fleet-new" && mv -f "$rc.fleet-new" "$rc"
    fi
}

remove() { # INTERFACE KEEP; "keep" leaves the file of an interface that holds peers of others, without ours
    if later remove "$@"; then
        expect "$1.conf"
        echo "$1" >>"${GUARD:?}/removed"
        stop "$1"
        return 0
    fi
    resolve_stop "$1"
    stop "$1"
    boot_off "$1"
    if [ -f "$DIR/fleet-$1.firewalld" ]; then firewalld_remove "$1"; firewall-cmd --quiet --reload; fi
    if [ "$2" = keep ]; then mv -f "$DIR/$1.conf" "$DIR/$1.conf.fleet-removed"; fi
    rm -f "${DIR:?}/$1.conf" "$DIR/$1.key" "$DIR/$1.key.next" "$DIR/$1.key.prev" "$(list_path "$1")" "$(helper_path "$1")"
}

forget_previous() { rm -f "${DIR:?}/$1.key.prev"; } # INTERFACE
