# Openings. An accept works only where the drop is, so it goes to the head of every foreign chain that drops; a table of
# our own holds what is additive: the MSS clamp, and the drop of management for everybody else in the tunnel.
# Rules are found again by comment: "MARK INTERFACE IDENTITY DIGEST", the digest being that of the rule itself.

own_table() { echo "fleet_$(plain "$1")_$(plain "$2")"; }
nft_works() { has nft && nft list tables >/dev/null 2>&1; }
iptables_kind() { # of the iptables in PATH: nft, legacy or none
    if ! has iptables || ! has iptables-save; then echo none; return; fi
    case $(iptables -V 2>/dev/null) in *nf_tables*) ;; *) echo legacy; return ;; esac
    # Tables of its names that were made with nft are closed to iptables: then nft serves them all.
    if iptables-save 2>&1 | grep -qi incompatible; then echo none; else echo nft; fi
}
ufw_rules() { has ufw && grep -qi '^ENABLED=yes' "$ROOT/etc/ufw/ufw.conf" 2>/dev/null; }
firewalld_rules() { has firewall-cmd && [ "$(firewall-cmd --state 2>/dev/null)" = running ]; }

# Abstract rules of a list: hook family iif oif proto port source target verdict identity digest, "-" for any.
rules_of() { # LIST INTERFACE
    awk -v i="$2" '
        function hash(text,    n, sum) {
            sum = 7
            for (n = 1; n <= length(text); n++) sum = (sum * 131 + index(alphabet, substr(text, n, 1))) % 16777213
            return sprintf("%06x", sum)
        }
        function rule(hook, family, iif, oif, proto, port, from, to, verdict, identity,    text) {
            text = hook " " family " " iif " " oif " " proto " " port " " from " " to " " verdict " " identity
            print text, hash(text)
        }
        function family(prefix) { return prefix ~ /:/ ? 6 : 4 }
        BEGIN { alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-./:_=+ " }
        $1 == "listen-port" {
            rule("input", $3 == "-" ? "any" : family($3), "-", "-", "udp", $2, $3, "-", "accept", "listen-port/" $2)
        }
        $1 == "forward" {
            identity = "forward/" $2 "-" $3
            count = split($4, item, ",")
            for (n = 1; n <= count; n++) {
                known = item[n] != "-"
                if ($2 == "tunnel" && $3 == "tunnel") rule("forward", "any", i, item[n], "-", "-", "-", "-", "accept", identity)
                else if ($2 == "tunnel") rule("forward", known ? family(item[n]) : "any", i, "-", "-", "-", "-", item[n], "accept", identity)
                else rule("forward", known ? family(item[n]) : "any", "-", i, "-", "-", item[n], "-", "accept", identity)
            }
        }
        $1 == "no-masquerade" {
            count = split($2, item, ",")
            for (n = 1; n <= count; n++)
                rule("nat", item[n] == "-" ? "any" : family(item[n]), "-", i, "-", "-", item[n], "-", "accept", "no-masquerade")
        }
        $1 == "clamp-mss" {
            rule("clamp", 4, "-", i, "tcp", $2 - 40, "-", "-", "clamp", "clamp-mss")
            rule("clamp", 6, "-", i, "tcp", $2 - 60, "-", "-", "clamp", "clamp-mss")
        }
        $1 == "management" {
            identity = "management/" $2
            count = split($3, item, ",")
            for (n = 1; n <= count; n++) if (item[n] != "-") {
                rule("input", family(item[n]), i, "-", "tcp", $2, item[n], "-", "accept", identity)
                rule("guard", family(item[n]), i, "-", "tcp", $2, item[n], "-", "accept", identity)
            }
            rule("guard", "any", i, "-", "tcp", $2, "-", "-", "drop", identity)
        }' "$1"
}

# nftables, as tab-separated lines: "place KEY HOOK FAMILY" for chains that need our accept, "rule KEY HANDLE COMMENT" for ours.
nft_scan() { # OWN_TABLE OVERLAY INTERFACE SKIP_IPTABLES SKIP_FIREWALLD
    nft -a list ruleset 2>/dev/null | awk -v own="$1" -v overlay="$2" -v i="$3" -v tools="$4" -v firewalld="$5" '
        function remember(    at) {
            if (!match($0, /comment "[^"]*"/)) return
            text = substr($0, RSTART + 9, RLENGTH - 10)
            if (text !~ ("^fleet:" overlay ":[^ ]+ ")) return
            split(text, word, " ")
            if (word[2] != i || !match($0, /# handle [0-9]+$/)) return
            print "rule\tnft " key "\t" substr($0, RSTART + 9) "\t" text
        }
        /^table / { family = $2; table = $3; foreign = (table !~ /^fleet_/); next }
        /^\tchain / { chain = $2; key = family " " table " " chain; next }
        /^\t}/ { chain = ""; next }
        chain == "" { next }
        / hook / && $1 == "type" {
            hook[key] = $4; type[key] = $2; of[key] = family; in_table[key] = family " " table
            mine[key] = !foreign
            managed = tools && (family == "ip" || family == "ip6") && chain ~ /^(INPUT|FORWARD|POSTROUTING)$/
            skip[key] = managed || (firewalld && table == "firewalld")
            if (/policy drop/) drops[key] = 1
            order[++count] = key
            next
        }
        {
            if (/fleet:/) remember()
            gsub(/"[^"]*"/, "")
            if (/(^|[^a-z])(drop|reject)([^a-z]|$)/) { drops[key] = 1; table_drops[family " " table] = 1 }
            if (/(^|[^a-z])(masquerade|snat)([^a-z]|$)/) { masks[key] = 1; table_masks[family " " table] = 1 }
            if (/(^|[^a-z])(jump|goto)([^a-z]|$)/) jumps[key] = 1
        }
        END {
            for (n = 1; n <= count; n++) {
                key = order[n]; where = ""
                if (mine[key] || skip[key] || of[key] !~ /^(ip|ip6|inet)$/) continue
                dropping = drops[key] || (jumps[key] && table_drops[in_table[key]])
                masking = masks[key] || (jumps[key] && table_masks[in_table[key]])
                if (type[key] == "filter" && (hook[key] == "input" || hook[key] == "forward") && dropping) where = hook[key]
                if (type[key] == "nat" && hook[key] == "postrouting" && masking) where = "nat"
                if (where != "") print "place\tnft " key "\t" where "\t" (of[key] == "ip" ? 4 : of[key] == "ip6" ? 6 : "any")
            }
        }'
}

# iptables, the same lines; the handle is the rule as iptables-save prints it.
iptables_scan() { # OVERLAY INTERFACE FAMILY SKIP_FILTER OWN_TOO
    if [ "$3" = 6 ]; then tool=ip6tables; else tool=iptables; fi
    has "$tool-save" || return 0
    "$tool-save" 2>/dev/null | awk -v overlay="$1" -v i="$2" -v family="$3" -v tool="$tool" -v skip="$4" -v own="$5" '
        /^\*/ { table = substr($1, 2); next }
        /^:/ { if ($2 == "DROP") policy[table " " substr($1, 2)] = 1; next }
        $1 != "-A" { next }
        match($0, /--comment "[^"]*"/) {
            text = substr($0, RSTART + 11, RLENGTH - 12)
            split(text, word, " ")
            if (text ~ ("^fleet:" overlay ":[^ ]+ ") && word[2] == i) {
                print "rule\t" tool " " table " " $2 "\t" $0 "\t" text
                next
            }
            if (text ~ /^fleet:/) next
        }
        {
            gsub(/"[^"]*"/, "")
            if (table == "filter" && / -j (DROP|REJECT)( |$)/) drops = 1
            if (table == "nat" && / -j (MASQUERADE|SNAT)( |$)/) masks = 1
        }
        END {
            if (!skip && (drops || policy["filter INPUT"])) print "place\t" tool " filter INPUT\tinput\t" family
            if (!skip && (drops || policy["filter FORWARD"])) print "place\t" tool " filter FORWARD\tforward\t" family
            if (masks) print "place\t" tool " nat POSTROUTING\tnat\t" family
            if (own) { print "place\t" tool " filter INPUT\tguard\t" family; print "place\t" tool " mangle FORWARD\tclamp\t" family }
        }'
}

# ufw keeps its rules itself; ours carry the comment. The handle is the number in `ufw status numbered`.
ufw_scan() { # OVERLAY INTERFACE
    printf 'place\tufw\tinput\tany\nplace\tufw\tforward\tany\n'
    ufw status numbered 2>/dev/null | awk -v overlay="$1" -v i="$2" '
        match($0, /# fleet:.*$/) {
            text = substr($0, RSTART + 2); sub(/[ \t]+$/, "", text); split(text, word, " ")
            if (text !~ ("^fleet:" overlay ":[^ ]+ ") || word[2] != i) next
            number = $0; sub(/^\[ */, "", number); sub(/\].*/, "", number)
            print "rule\tufw\t" number "\t" text
        }'
}

# Everything there is: places and rules of every firewall on this router, into ${WORK:?}/scan.
firewall_scan() { # OVERLAY INTERFACE
    kind=$(iptables_kind); managed=0; own=1; skip=0; firewalld=0
    ! nft_works || own=0
    [ "$kind" != nft ] || managed=1
    ! ufw_rules || skip=1
    ! firewalld_rules || { firewalld=1; skip=1; }
    table=$(own_table "$1" "$2")
    : >"${WORK:?}/scan"
    if [ "$own" = 0 ]; then
        nft_scan "$table" "$1" "$2" "$managed" "$firewalld" >>"${WORK:?}/scan"
        printf 'place\tnft inet %s input\tguard\tany\nplace\tnft inet %s forward\tclamp\tany\n' "$table" "$table" >>"${WORK:?}/scan"
    fi
    if [ "$kind" != none ]; then
        iptables_scan "$1" "$2" 4 "$skip" "$own" >>"${WORK:?}/scan"
        iptables_scan "$1" "$2" 6 "$skip" "$own" >>"${WORK:?}/scan"
    fi
    if [ "$firewalld" = 1 ]; then firewalld_scan "$2" >>"${WORK:?}/scan"
    elif [ "$skip" = 1 ]; then ufw_scan "$1" "$2" >>"${WORK:?}/scan"
    fi
}

# Wanted rules at their places against what is there: "add KEY COMMENT RULE", "delete KEY HANDLE", "keep IDENTITY".
firewall_compare() { # LIST OVERLAY INTERFACE
    firewall_scan "$2" "$3"
    mark=$(awk '$1 == "mark" { print $2; exit }' "$1")
    rules_of "$1" "$3" >"${WORK:?}/rules"
    awk -F '\t' -v mark="$mark" -v i="$3" '
        FILENAME ~ /scan$/ && $1 == "place" { key[++places] = $2; hook[places] = $3; family[places] = $4; next }
        FILENAME ~ /scan$/ { handle[++rules] = $3; at[rules] = $2; comment[rules] = $4; have[$2 "\t" $4]++; next }
        {
            split($0, field, " ")
            text = mark " " i " " field[10] " " field[11]
            for (n = 1; n <= places; n++) {
                if (hook[n] != field[1]) continue
                if (family[n] != "any" && field[2] != "any" && family[n] != field[2]) continue
                want[key[n] "\t" text] = 1
                if (key[n] "\t" text in have) print "keep\t" field[10]
                else print "add\t" key[n] "\t" text "\t" $0
            }
            print "rule\t" field[10]
        }
        END {
            for (n = 1; n <= rules; n++) {
                wanted = at[n] "\t" comment[n]
                if (wanted in want && !seen[wanted]++) continue
                split(comment[n], field, " ")
                print "delete\t" at[n] "\t" handle[n] "\t" field[3]
            }
        }' "${WORK:?}/scan" "${WORK:?}/rules"
}

forwarding_wanted() { # LIST FAMILY
    awk -v six="$2" '$1 == "forward" && (six == 4 || $4 ~ /:/ || $2 == $3) { found = 1 } END { exit !found }' "$1"
}

forwarding_path() { if [ "$1" = 4 ]; then echo "$ROOT/proc/sys/net/ipv4/ip_forward"; else echo "$ROOT/proc/sys/net/ipv6/conf/all/forwarding"; fi; }

forwarding_on() { # FAMILY; a kernel without this family forwards nothing and lacks nothing
    path=$(forwarding_path "$1")
    [ ! -f "$path" ] || [ "$(cat "$path")" = 1 ]
}

# What of a list is live: "live IDENTITY", "dead IDENTITY" (rules or forwarding missing), "stray IDENTITY" (a rule nobody wants).
firewall_live() { # LIST OVERLAY INTERFACE
    firewall_compare "$1" "$2" "$3" >"${WORK:?}/compared"
    off=0
    if forwarding_wanted "$1" 4 && ! forwarding_on 4; then off=1; fi
    if forwarding_wanted "$1" 6 && ! forwarding_on 6; then off=1; fi
    awk -F '\t' -v off="$off" '
        $1 == "rule" { all[$2] = 1 }
        $1 == "add" { split($4, field, " "); dead[field[10]] = 1 }
        $1 == "delete" { stray[$4] = 1 }
        END {
            for (identity in all)
                print ((identity in dead) || (off && identity ~ /^forward/) ? "dead " : "live ") identity
            for (identity in stray) print "stray " identity
        }' "${WORK:?}/compared"
}

# firewalld replaces its tables at every reload and its chains cannot be entered, so it gets objects of ours: a zone that
# holds the tunnel, and policies (firewalld 0.9) whose rich rules accept. Names hold at most 17 characters.
# Not tried on a real firewalld: its manual pages are the source.

firewalld_name() { printf 'fl-%s%s' "$(plain "$1" | cut -c1-12)" "$2"; }

firewalld_scan() { # INTERFACE
    printf 'place\tfirewalld\tinput\tany\nplace\tfirewalld\tforward\tany\n'
    file=$DIR/fleet-$1.firewalld
    [ -f "$file" ] || return 0
    # Rich rules take no comment: ours are told apart by the policy, their comments stand in a file beside.
    policies=" $(firewall-cmd --get-policies 2>/dev/null | tr '\n' ' ') "
    for end in i o p; do
        case $policies in *" $(firewalld_name "$1" "$end") "*) ;; *) return 0 ;; esac
    done
    for end in i o p; do firewall-cmd --policy="$(firewalld_name "$1" "$end")" --list-rich-rules 2>/dev/null; done >"${WORK:?}/rich"
    while IFS='	' read -r policy comment rich; do
        if [ "$rich" = intra ] || grep -qxF "$rich" "${WORK:?}/rich"; then printf 'rule\tfirewalld\t%s\t%s\n' "$policy" "$comment"; fi
    done <"$file"
}
