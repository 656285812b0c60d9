# Making openings: the opposite direction of firewall_read.sh.

# A switch of the kernel; under guard its old value is noted for the undo.
switch() { # PATH VALUE
    [ -z "${GUARD_NOTES:-}" ] || echo "$1 $(cat "$1") $2" >>"$GUARD_NOTES"
    echo "$2" >"$1"
}

switch_forwarding() { # LIST
    if forwarding_wanted "$1" 4 && ! forwarding_on 4; then switch "$(forwarding_path 4)" 1; fi
    if forwarding_wanted "$1" 6 && ! forwarding_on 6; then
        # A forwarding host ignores router advertisements unless accept_ra is 2 (kernel ip-sysctl): keep its uplink.
        for ra in "$ROOT"/proc/sys/net/ipv6/conf/*/accept_ra; do
            [ "$(cat "$ra" 2>/dev/null)" != 1 ] || switch "$ra" 2
        done
        switch "$(forwarding_path 6)" 1
    fi
}

# nftables script from the comparison. Our own table is made anew whole, foreign chains get and lose single rules.
nft_script() { # OWN_TABLE
    awk -F '\t' -v own="nft inet $1 " '
        function matches(f,    text, ip) {
            if (f[3] != "-") text = text "iifname \"" f[3] "\" "
            if (f[4] != "-") text = text "oifname \"" f[4] "\" "
            ip = f[2] == 6 ? "ip6" : "ip"
            if (f[7] != "-") text = text ip " saddr " f[7] " "
            if (f[8] != "-") text = text ip " daddr " f[8] " "
            if (f[9] == "clamp") {
                text = text "meta nfproto " (f[2] == 6 ? "ipv6" : "ipv4") " tcp flags & (syn|rst) == syn "
                return text "tcp option maxseg size > " f[6] " tcp option maxseg size set " f[6]
            }
            if (f[5] != "-") text = text f[5] " dport " f[6] " "
            return text f[9]
        }
        index($2, "nft ") != 1 || index($2, own) == 1 { next }
        $1 == "delete" { print "delete rule " substr($2, 5) " handle " $3 }
        $1 == "add" { split($4, f, " "); print "insert rule " substr($2, 5) " " matches(f) " comment \"" $3 "\"" }'
}

nft_own_script() { # OWN_TABLE MARK INTERFACE <rules
    printf 'table inet %s\ndelete table inet %s\n' "$1" "$1"
    awk -v mark="$2" -v i="$3" -v table="$1" '
        $1 == "guard" {
            text = "iifname \"" i "\" "
            if ($7 != "-") text = text ($2 == 6 ? "ip6" : "ip") " saddr " $7 " "
            guard = guard "    " text "tcp dport " $6 " " $9 " comment \"" mark " " i " " $10 " " $11 "\"\n"
        }
        $1 == "clamp" {
            text = "oifname \"" i "\" meta nfproto " ($2 == 6 ? "ipv6" : "ipv4") " tcp flags & (syn|rst) == syn "
            text = text "tcp option maxseg size > " $6 " tcp option maxseg size set " $6
            clamp = clamp "    " text " comment \"" mark " " i " " $10 " " $11 "\"\n"
        }
        END {
            if (guard clamp == "") exit
            print "table inet " table " {"
            if (guard != "") printf "  chain input {\n    type filter hook input priority -5; policy accept;\n%s  }\n", guard
            if (clamp != "") printf "  chain forward {\n    type filter hook forward priority -150; policy accept;\n%s  }\n", clamp
            print "}"
        }'
}

# Input of `iptables-restore --noflush`; rules are inserted at the head, so the last of a group goes first.
iptables_script() { # TOOL
    awk -F '\t' -v tool="$1 " '
        function matches(f,    text) {
            if (f[3] != "-") text = text " -i " f[3]
            if (f[4] != "-") text = text " -o " f[4]
            if (f[7] != "-") text = text " -s " f[7]
            if (f[8] != "-") text = text " -d " f[8]
            if (f[9] == "clamp") return text " -p tcp -m tcp --tcp-flags SYN,RST SYN -m tcpmss --mss " (f[6] + 1) ":65535"
            if (f[5] != "-") text = text " -p " f[5] " -m " f[5] " --dport " f[6]
            return text
        }
        index($2, tool) != 1 { next }
        { split($2, place, " "); table = place[2]; tables[table] = 1 }
        $1 == "delete" { rule = $3; sub(/^-A/, "-D", rule); lines[table] = lines[table] rule "\n" }
        $1 == "add" {
            split($4, f, " ")
            target = f[9] == "clamp" ? "TCPMSS --set-mss " f[6] : f[9] == "drop" ? "DROP" : "ACCEPT"
            rule = "-I " place[3] " 1" matches(f) " -m comment --comment \"" $3 "\" -j " target "\n"
            inserted[table] = rule inserted[table]
        }
        END { for (table in tables) printf "*%s\n%s%sCOMMIT\n", table, lines[table], inserted[table] }'
}

ufw_write() {
    awk -F '\t' '$1 == "delete" && $2 == "ufw" { print $3 }' "${WORK:?}/compared" | sort -rn >"${WORK:?}/numbers"
    while read -r number; do ufw --force delete "$number" >/dev/null || return 1; done <"${WORK:?}/numbers"
    awk -F '\t' '$1 == "add" && $2 == "ufw" { print $3 "\t" $4 }' "${WORK:?}/compared" >"${WORK:?}/additions"
    while IFS='	' read -r comment rule; do
        # shellcheck disable=SC2086 # words of a rule, none of them quoted
        set -- $rule
        words=
        [ "$1" != forward ] || words=route
        words="$words allow"
        [ "$3" = - ] || words="$words in on $3"
        [ "$4" = - ] || words="$words out on $4"
        [ "$5" = - ] || words="$words proto $5"
        if [ "$7" = - ]; then words="$words from any"; else words="$words from $7"; fi
        if [ "$8" = - ]; then words="$words to any"; else words="$words to $8"; fi
        [ "$6" = - ] || words="$words port $6"
        # `prepend` came with ufw 0.36; before it, our accept can only stand behind the operator's own rules.
        # shellcheck disable=SC2086
        case $words in
            "route "*) set -- route prepend ${words#route } ;;
            *) set -- prepend $words ;;
        esac
        # shellcheck disable=SC2086
        ufw "$@" comment "$comment" >/dev/null 2>&1 || ufw $words comment "$comment" >/dev/null || return 1
    done <"${WORK:?}/additions"
}

firewall_apply() { # LIST OVERLAY INTERFACE; returns 1 with the tool's words on standard error
    switch_forwarding "$1" || { say "forwarding could not be switched on in /proc/sys/net"; return 1; }
    firewall_compare "$1" "$2" "$3" >"${WORK:?}/compared"
    if ! grep -q '^\(add\|delete\)' "${WORK:?}/compared"; then return 0; fi
    table=$(own_table "$2" "$3")
    if nft_works; then
        nft_script "$table" <"${WORK:?}/compared" >"${WORK:?}/nft"
        if grep "	nft inet $table " "${WORK:?}/compared" | grep -q '^\(add\|delete\)'; then
            nft_own_script "$table" "$mark" "$3" <"${WORK:?}/rules" >>"${WORK:?}/nft"
        fi
        [ ! -s "${WORK:?}/nft" ] || nft -f "${WORK:?}/nft" || return 1
    fi
    for tool in iptables ip6tables; do
        iptables_script "$tool" <"${WORK:?}/compared" >"${WORK:?}/$tool"
        [ ! -s "${WORK:?}/$tool" ] || "$tool-restore" --noflush <"${WORK:?}/$tool" || return 1
    done
    if grep -q '	ufw	' "${WORK:?}/compared"; then ufw_write || return 1; fi
    if grep -q '	firewalld	' "${WORK:?}/compared"; then firewalld_write "$mark" "$3" || return 1; fi
    return 0
}

# ---- firewalld
# Every opening as "policy-end TAB comment TAB rich rule"; tunnel to tunnel is the zone's own forwarding.
firewalld_rich() { # MARK INTERFACE <rules
    awk -v mark="$1" -v i="$2" '
        $1 != "input" && $1 != "forward" { next }
        {
            family = $2 == 6 ? " family=\"ipv6\"" : $2 == 4 ? " family=\"ipv4\"" : ""
            text = "rule" family
            if ($7 != "-") text = text " source address=\"" $7 "\""
            if ($8 != "-") text = text " destination address=\"" $8 "\""
            if ($6 != "-") text = text " port port=\"" $6 "\" protocol=\"" $5 "\""
            end = $1 == "input" ? "p" : $3 == i ? "i" : "o"
            if ($3 == i && $4 != "-") text = "intra"; else text = text " accept"
            print end "\t" mark " " i " " $10 " " $11 "\t" text
        }'
}

firewalld_remove() { # INTERFACE
    for end in i o p; do firewall-cmd --quiet --permanent --delete-policy="$(firewalld_name "$1" "$end")" 2>/dev/null; done
    firewall-cmd --quiet --permanent --delete-zone="$(firewalld_name "$1" z)" 2>/dev/null
    rm -f "${DIR:?}/fleet-$1.firewalld"
}

firewalld_policy() { # NAME INGRESS EGRESS
    firewall-cmd --quiet --permanent --new-policy="$1" \
        && firewall-cmd --quiet --permanent --policy="$1" --add-ingress-zone="$2" \
        && firewall-cmd --quiet --permanent --policy="$1" --add-egress-zone="$3"
}

firewalld_write() { # MARK INTERFACE
    firewalld_remove "$2"
    firewalld_rich "$1" "$2" <"${WORK:?}/rules" >"${WORK:?}/firewalld"
    zone=$(firewalld_name "$2" z)
    if [ -s "${WORK:?}/firewalld" ]; then
        firewall-cmd --quiet --permanent --new-zone="$zone" || return 1
        firewall-cmd --quiet --permanent --zone="$zone" --add-interface="$2" || return 1
        if grep -q '	intra$' "${WORK:?}/firewalld"; then firewall-cmd --quiet --permanent --zone="$zone" --add-forward || return 1; fi
        firewalld_policy "$(firewalld_name "$2" i)" "$zone" ANY || return 1
        firewalld_policy "$(firewalld_name "$2" o)" ANY "$zone" || return 1
        firewalld_policy "$(firewalld_name "$2" p)" ANY HOST || return 1
        while IFS='	' read -r end comment rich; do
            [ "$rich" = intra ] || firewall-cmd --quiet --permanent --policy="$(firewalld_name "$2" "$end")" --add-rich-rule="$rich" || return 1
        done <"${WORK:?}/firewalld"
        cp "${WORK:?}/firewalld" "$DIR/fleet-$2.firewalld"
    fi
    firewall-cmd --quiet --reload
}
