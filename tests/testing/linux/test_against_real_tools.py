"""The stand-ins against the real tools: the same commands, in a network namespace and in the simulator, say the same.

What differs by nature (random keys and ports, interface numbers, queueing, version of the kernel) is normalised or left out.
"""

# ruff: noqa: E501 - commands are shown as they are typed

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fleet.testing.linux import LinuxSimulator

KEY = "AGf465JfZE+bHKFl87flLuJdndrnfKsV2GgLyK1r83o="
PEER = "nK9N2bYylyXSOTaMcBl55JmJSQairL2fbELygtk0LTQ="
OTHER = "GXmO3ylmjACK55CpeehrAgP7j7Bwoek4aUTUMmnfuUc="
PSK = "3DkLt6mTp7wyWrwj4roo/LylnNc6GkB1aCJpwqqWVpc="

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root on Linux"),
]

RUN = 'run() { echo "\\$ $*"; "$@" 2>&1; echo "[$?]"; }\n'


def in_namespace(script: str, work: Path) -> str:
    """Output of a script in a fresh network and mount namespace with one userspace WireGuard interface, wg0."""
    work.mkdir(exist_ok=True)
    start = "mount -t tmpfs none /var/run\nip link set lo up\nwireguard-go wg0 >/dev/null 2>&1\nuntil [ -S /var/run/wireguard/wg0.sock ]; do :; done\n"
    end = "\nip link del wg0 2>/dev/null || :\n"
    command = ["unshare", "--net", "--mount", "sh", "-c", start + script + end]
    return subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=60, check=False).stdout


def in_simulator(script: str, **options: object) -> str:
    """Output of the same script on a simulated host."""
    with LinuxSimulator("host", init="rc.local", **options) as host:  # type: ignore[arg-type]
        host.kernel.delete_device("eth0")  # the namespace has no uplink either
        return host.run("ip link add wg0 type wireguard\n" + script)[0].decode()


def normal(text: str) -> list[str]:
    """Lines without what nature makes different."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"^\d+: (?=\w+[: ] )", "N: ", line).rstrip()
        # Here no kernel has WireGuard; where one has, the words are those of the simulator.
        line = line.replace("Protocol not supported", "No such device")
        random = "fe80" in line or line.startswith(("# new generation", "│", "┌", "└"))
        if line and not random:
            lines.append(line)
    return lines


def same(script: str, tmp_path: Path, **options: object) -> None:
    real = normal(in_namespace(RUN + script, tmp_path / "real"))
    simulated = normal(in_simulator(RUN + script, **options))
    difference = "\n".join(difflib.unified_diff(real, simulated, "real", "simulated", lineterm="", n=2))
    assert not difference, difference


FILES = f"""
umask 077; mkdir -p work; cd work
echo '{KEY}' > key; echo '{PSK}' > psk; : > empty; echo short > short; printf '{KEY}x\\n' > long
ip link set wg0 up
"""

WG = {
    "set": f"""
run wg set wg0 private-key key listen-port 51820 fwmark 5
run wg set wg0 peer {PEER} allowed-ips 10.0.0.2/32,fd00::2/128 endpoint 192.0.2.1:51820 persistent-keepalive 25 preshared-key psk
run wg show wg0 dump
run wg showconf wg0
run wg show wg0
run wg show
run wg show wg0 allowed-ips
run wg show wg0 preshared-keys
run wg show wg0 endpoints
run wg show wg0 latest-handshakes
run wg show wg0 transfer
run wg show wg0 persistent-keepalive
run wg show wg0 peers
run wg show wg0 public-key
run wg show wg0 private-key
run wg show wg0 listen-port
run wg show wg0 fwmark
run wg show interfaces
run wg show all dump
run wg show all fwmark
""",
    "keys": """
run wg pubkey < key
run wg set wg0 private-key short
run wg set wg0 private-key long
run wg set wg0 private-key missing
run wg set wg0 private-key key
run wg show wg0 public-key
run wg set wg0 private-key empty
run wg show wg0 public-key
run wg set wg0 private-key /dev/stdin < key
run wg show wg0 public-key
echo x | run wg pubkey
run wg genkey x
run wg genpsk x
run wg pubkey x
""",
    "cryptokey routing": f"""
run wg set wg0 listen-port 51820
run wg set wg0 peer {PEER} allowed-ips 10.0.0.0/24,10.0.1.0/24
run wg set wg0 peer {PEER} allowed-ips 10.0.0.0/24,10.0.2.0/24
run wg show wg0 allowed-ips
run wg set wg0 peer {PEER} remove
run wg set wg0 peer {OTHER} allowed-ips 10.0.0.0/24
run wg set wg0 peer {OTHER} allowed-ips ""
run wg show wg0 dump
""",
    "files": f"""
run wg set wg0 private-key key listen-port 51820 fwmark 5 peer {PEER} preshared-key psk allowed-ips 10.0.0.2/32 endpoint 1.2.3.4:5 persistent-keepalive 9
printf '[Peer]\\nPublicKey=%s\\nAllowedIPs=10.0.0.4/32\\n' {PEER} | run wg addconf wg0 /dev/stdin
run wg show wg0 dump
printf '[Interface]\\nListenPort=51821\\n[Peer]\\nPublicKey=%s\\n' {PEER} | run wg syncconf wg0 /dev/stdin
run wg show wg0 dump
printf '[Interface]\\nListenPort = 51822 # comment\\nPrivateKey={KEY}\\n[PEER]\\npublickey=%s\\nallowedips = 10.9.0.1\\n' {OTHER} | run wg syncconf wg0 /dev/stdin
run wg showconf wg0
printf '[Interface]\\nListenPort=7\\n[Peer]\\nPublicKey=%s\\n' {PEER} | run wg setconf wg0 /dev/stdin
run wg showconf wg0
""",
    "refusals": f"""
run wg set wg0 peer AAAA
run wg set wg0 peer
run wg set wg0
run wg set
run wg set wg0 bogus 1
run wg set wg0 listen-port x
run wg set wg0 listen-port 99999
run wg set wg0 fwmark zz
run wg set wg0 peer {PEER} allowed-ips 1.2.3.4/33
run wg set wg0 peer {PEER} allowed-ips foo
run wg set wg0 peer {PEER} allowed-ips 10.0.0.3/24
run wg set wg0 peer {PEER} allowed-ips +10.0.0.3/32
run wg set wg0 peer {PEER} allowed-ips "10.0.0.1, 10.0.0.2"
run wg set wg0 peer {PEER} allowed-ips 10.0.0.1,,10.0.0.2
run wg set wg0 peer {PEER} endpoint foo
run wg set wg0 peer {PEER} endpoint :5
run wg set wg0 peer {PEER} endpoint '[fd00::1:5'
run wg set wg0 peer {PEER} endpoint 1.2.3.4:70000
run wg set wg0 peer {PEER} persistent-keepalive 70000
run wg set wg0 peer {PEER} remove bogus
run wg set nope listen-port 5
run wg show nope
run wg show wg0 bogus
run wg show wg0 peers dump
run wg show interfaces x
run wg show --help
run wg showconf
run wg showconf nope
run wg syncconf wg0
run wg syncconf wg0 missing
run wg bogus
run wg --help
run wg --version
""",
    "bad files": f"""
printf '[Interface]\\nAddress = 1.2.3.4/24\\n' | run wg setconf wg0 /dev/stdin
printf 'PrivateKey = x\\n' | run wg setconf wg0 /dev/stdin
printf '[Interface]\\nPrivateKey = x\\n' | run wg setconf wg0 /dev/stdin
printf '[Peer]\\nAllowedIPs = 10.0.0.1/32\\n' | run wg setconf wg0 /dev/stdin
printf '[Peer]\\nPublicKey = abc\\n' | run wg setconf wg0 /dev/stdin
printf '[Foo]\\n' | run wg setconf wg0 /dev/stdin
printf '[Interface]\\nFoo\\n' | run wg setconf wg0 /dev/stdin
printf '[Interface]\\nListenPort=x\\n' | run wg setconf wg0 /dev/stdin
printf '[Interface]\\n[Peer]\\nPublicKey=%s\\nAllowedIPs=\\n' {PEER} | run wg setconf wg0 /dev/stdin
printf '[Interface]\\n[Peer]\\nPublicKey=%s\\nAllowedIPs=10.0.0.1/24, 10.0.0.2/40\\n' {PEER} | run wg setconf wg0 /dev/stdin
printf '[Interface]\\n[Peer]\\nPersistentKeepalive=99999\\n' | run wg setconf wg0 /dev/stdin
""",
}


@pytest.mark.parametrize("case", WG)
def test_wg_says_what_the_real_wg_says(case: str, tmp_path: Path) -> None:
    same(FILES + WG[case], tmp_path)


IP = {
    "links": """
run ip link show dev nope
run ip link del nope
run ip link add wg0 type wireguard
run ip link add x type foo
run ip link add
run ip link set wg0 mtu 99999999
run ip link set wg0 mtu foo
run ip link set wg0 mtu
run ip link set wg0 bar
run ip link set nope up
run ip foo
run ip link show type foo
run ip -V
""",
    "addresses": """
run ip link set wg0 up mtu 1400
run ip addr add 10.100.0.1/20 dev wg0
run ip addr add 10.100.0.1/20 dev wg0
run ip -4 address add 10.100.0.1/33 dev wg0
run ip addr add foo dev wg0
run ip addr add
run ip addr add 10.3.0.1/24
run ip addr add 10.1.0.1 dev wg0
run ip addr add 10.1.0.1/24 dev nope
run ip addr add 10.100.0.2/20 dev wg0
run ip addr del 10.9.9.9/24 dev wg0
run ip -6 addr add fd00::1/64 dev wg0
run ip -6 addr add fd00::1/64 dev wg0
run ip -6 addr del fd00::9/64 dev wg0
run ip -o -4 addr show
run ip -br -4 addr
run ip -o -6 addr show dev wg0
run ip addr show nope
run ip route show
run ip -6 route show
run ip addr del 10.100.0.1/20 dev wg0
run ip route show
run ip addr flush dev wg0
run ip route show
run ip -o -4 addr show dev wg0
""",
    "routes": """
run ip route add 192.168.20.0/24 dev wg0
run ip link set wg0 up
run ip addr add 10.0.0.1/24 dev wg0
run ip route add 192.168.20.0/24 dev wg0
run ip route add 192.168.20.0/24 dev wg0
run ip route replace 192.168.20.0/24 dev wg0 proto static
run ip route add 192.168.20.1/24 dev wg0
run ip route add 192.168.30.0/24 via 10.77.0.1
run ip route add 192.168.31.0/24 via 10.0.0.9
run ip route add 192.168.40.0/24 dev wg0 metric 100 proto 75
run ip route add 192.168.41.0/24 dev wg0 src 10.0.0.1
run ip route add 192.168.42.0/24 dev wg0 src 10.7.0.1
run ip route replace 192.168.41.0/24 dev wg0 metric 7
run ip route add 192.168.43.0/24
run ip route add 192.168.43.0/24 dev
run ip route add foo dev wg0
run ip -6 route add 192.168.5.0/24 dev wg0
run ip route add 192.168.9.0/24 dev wg0 proto 75 table 100
run ip route add unreachable 10.9.0.0/16
run ip route show
run ip route show dev wg0
run ip route show proto 75
run ip route show table 100
run ip route show scope link
run ip route show 192.168.41.0/24
run ip route show match 192.168.41.7
run ip route show root 192.168.0.0/16
run ip -j route show
run ip -j route show dev wg0
run ip route get 192.168.20.5
run ip route get 10.9.1.1
run ip route get 8.8.8.8
run ip route del 192.168.99.0/24 dev wg0
run ip route del 192.168.20.0/24
run ip route del 192.168.40.0/24 dev nope
run ip route show dev nope
run ip route flush
run ip route flush proto 75
run ip route show
run ip -6 addr add fd00::1/64 dev wg0
run ip -6 route add fd99::/48 dev wg0
run ip -6 route add fd99::/48 dev wg0
run ip -6 route replace fd99::/48 dev wg0 proto 75
run ip -6 route show dev wg0
run ip -6 route del fd09::/64 dev wg0
run ip link set wg0 down
run ip route show
run ip -6 route add fd98::/48 dev wg0
""",
    "rules": """
run ip rule add not fwmark 51820 table 51820
run ip rule add from 10.0.0.0/8 lookup 100 priority 99
run ip rule add table main suppress_prefixlength 0
run ip rule show
run ip rule del from 10.0.0.0/8 lookup 100
run ip rule del from 10.0.0.0/8 lookup 100
run ip -6 rule show
""",
}


@pytest.mark.parametrize("case", IP)
def test_ip_says_what_the_real_ip_says(case: str, tmp_path: Path) -> None:
    same(IP[case], tmp_path)


NFT_START = """
nft -f - <<'X'
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state related,established accept
		iifname "lo" accept
		tcp dport ssh accept comment "ssh by admins"
		icmp type echo-request accept
		icmpv6 type { nd-neighbor-solicit, echo-request } accept
		tcp dport { 443, 80 } accept
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iifname "eth1" oifname "eth0" accept
		jump extra
		counter drop
	}
	chain extra {
		ip saddr 192.168.1.0/24 ip daddr 10.0.0.0/8 accept
		ip saddr { 192.168.0.0/16, 10.0.0.0/8 } log prefix "x " reject with icmp type port-unreachable
	}
}
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "eth0" masquerade
		oifname "eth0" ip saddr 10.0.0.0/8 snat to 192.0.2.1
	}
}
X
"""

NFT = {
    "listing": """
run nft list ruleset
run nft -a list ruleset
run nft -j list ruleset
run nft -a list chain inet filter forward
run nft list tables
run nft list chains
run nft -v
""",
    "placing": """
run nft insert rule inet filter forward iifname wg0 accept comment '"fleet:acme:hq"'
run nft insert rule inet filter forward 'iifname "wg0" oifname "wg0" accept comment "fleet:acme:hq"'
run nft insert rule inet filter forward position 13 iifname wg0 drop
run nft add rule inet filter forward handle 13 iifname wg0 accept
run nft insert rule inet filter forward index 1 iifname wg5 accept
run nft replace rule inet filter forward handle 16 counter accept
run nft -a list chain inet filter forward
run nft delete rule inet filter forward handle 20
run nft delete rule inet filter forward handle 999
run nft -a list chain inet filter forward
run nft -a -e add rule inet filter forward iifname wg0 accept
""",
    "refusals": """
run nft add rule inet nope forward accept
run nft add rule inet filter nope accept
run nft delete table inet nope
run nft list table inet nope
run nft list chain inet filter nope
run nft add rule inet filter forward foo bar
run nft add rule inet filter forward iifname wg0 acept
run nft bogus
run nft delete chain inet filter extra
run nft create table inet filter
run nft -f /nonexist
run nft
""",
    "own table": """
run nft add table inet fleet_acme
run nft add chain inet fleet_acme mss '{ type filter hook forward priority mangle; policy accept; }'
run nft add rule inet fleet_acme mss oifname "wg0" tcp flags syn tcp option maxseg size set rt mtu comment '"fleet:acme:hq"'
run nft add rule inet fleet_acme mss oifname "wg0" tcp flags '&' '(syn|rst)' == syn tcp option maxseg size set 1380
run nft add rule inet fleet_acme mss oifname "wg0" tcp flags syn / syn,rst tcp option maxseg size gt 1380 tcp option maxseg size set 1380
run nft add chain inet fleet_acme in '{ type filter hook input priority -10 ; }'
run nft add rule inet fleet_acme in udp dport 51820 accept
run nft add rule inet fleet_acme in iifname wg0 tcp dport 22 ip saddr != '{' 10.0.0.1, 10.0.0.5/32 '}' drop
run nft add rule inet fleet_acme in iifname '{' wg0, eth1 '}' accept
run nft add rule inet fleet_acme in iifname '{' wg0 '}' accept
run nft add rule inet fleet_acme in tcp dport 1000-2000 accept
run nft add rule inet fleet_acme in ip saddr 10.0.0.1-10.0.0.9 accept
run nft add rule inet fleet_acme in meta l4proto udp th dport 53 counter accept
run nft add rule inet fleet_acme in meta l4proto '{' tcp, udp '}' th dport 53 accept
run nft add rule inet fleet_acme in ip6 saddr fd00::/64 accept
run nft add rule inet fleet_acme in ip saddr 10.0.0.1 meta mark 0x1 meta nfproto ipv4 ct mark 5 return
run nft add rule inet fleet_acme in limit rate 5/second accept
run nft add chain inet fleet_acme nat '{ type nat hook postrouting priority srcnat - 1; policy accept; }'
run nft add rule inet fleet_acme nat oifname wg0 accept
run nft add rule inet fleet_acme nat ip saddr 192.168.1.0/24 oifname wg0 counter packets 5 bytes 6 return
run nft add chain inet fleet_acme far '{ type filter hook forward priority 77; }'
run nft -a list table inet fleet_acme
run nft -j list table inet fleet_acme
run nft add set inet fleet_acme s '{ type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 9.0.0.1 }; }'
run nft add rule inet fleet_acme in ip saddr @s accept
run nft add element inet fleet_acme s '{ 11.0.0.0/8 }'
run nft list table inet fleet_acme
run nft flush chain inet fleet_acme in
run nft delete chain inet fleet_acme in
run nft delete table inet fleet_acme
run nft list tables
""",
    "transactions": """
printf 'add rule inet filter extra accept\\nadd rule inet filter nope accept\\n' | run nft -f -
run nft list chain inet filter extra
printf 'table inet own\\ndelete table inet own\\ntable inet own {\\n chain in { type filter hook input priority filter; policy accept; accept comment "x y"\\n }\\n}\\n' | run nft -f /dev/stdin
run nft list table inet own
run nft -c add table inet checked
run nft flush ruleset
run nft list ruleset
""",
}


@pytest.mark.parametrize("case", NFT)
def test_nft_says_what_the_real_nft_says(case: str, tmp_path: Path) -> None:
    same(NFT_START + NFT[case], tmp_path)


IPTABLES = {
    "rules": """
run iptables -S
run iptables-save
run iptables -P FORWARD DROP
run iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
run iptables -A FORWARD -i eth1 -o eth0 -j ACCEPT
run iptables -I FORWARD -i wg0 -m comment --comment "fleet:acme:hq" -j ACCEPT
run iptables -I FORWARD 2 -s 10.0.0.0/8 -d 192.168.1.5 -i wg0 -m comment --comment "two words" -j ACCEPT
run iptables -A INPUT -p udp --dport 51820 -j ACCEPT
run iptables -A INPUT -i wg0 -p tcp -m tcp --dport 22 ! -s 10.0.0.1 -j DROP
run iptables -A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT
run iptables -A INPUT -p icmp -j ACCEPT
run iptables -A INPUT -p icmp --icmp-type echo-request -j REJECT
run iptables -N FLEET
run iptables -N FLEET
run iptables -A FLEET -j RETURN
run iptables -A FORWARD -j FLEET
run iptables -X FLEET
run iptables -t mangle -A FORWARD -o wg0 -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1380
run iptables -t mangle -A FORWARD -o wg0 -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
run iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
run iptables -t nat -I POSTROUTING -o wg0 -j ACCEPT
run iptables -t nat -A POSTROUTING -s 10.0.0.0/8 -o eth0 -j SNAT --to-source 192.0.2.1
run iptables -S
run iptables -S FORWARD
run iptables -t nat -S
run iptables -t mangle -S
iptables-save | grep -v '^#'
run iptables -C FORWARD -i wg0 -m comment --comment "fleet:acme:hq" -j ACCEPT
run iptables -D FORWARD -i wg0 -m comment --comment "fleet:acme:hq" -j ACCEPT
run iptables -D FORWARD 1
run iptables -S FORWARD
run ip6tables -A FORWARD -s fd00::/64 -p ipv6-icmp -j ACCEPT
run ip6tables -S
""",
    "refusals": """
run iptables -N FLEET
run iptables -C FORWARD -i wg7 -j ACCEPT
run iptables -D FORWARD -i wg7 -j ACCEPT
run iptables -D FORWARD 99
run iptables -I FORWARD 99 -j ACCEPT
run iptables -A NOPE -j ACCEPT
run iptables -A FORWARD -j NOPE
run iptables -A FORWARD -s 10.0.0.300 -j ACCEPT
run iptables -A FORWARD --foo
run iptables -A FORWARD --dport 80 -j ACCEPT
run iptables -A FORWARD -p tcp --dport 70000 -j ACCEPT
run iptables -P FLEET DROP
run iptables -t nope -S
run iptables -S NOPE
run iptables
run iptables -V
printf '*filter\\n-A NOPE -j ACCEPT\\nCOMMIT\\n' | run iptables-restore -n
printf '*filter\\n:INPUT ACCEPT [0:0]\\n:FORWARD ACCEPT [0:0]\\n:OUTPUT ACCEPT [0:0]\\n-A FORWARD -j ACCEPT\\nCOMMIT\\n' | run iptables-restore
run iptables -S
""",
}


@pytest.mark.parametrize("case", IPTABLES)
def test_iptables_says_what_the_real_iptables_says(case: str, tmp_path: Path) -> None:
    same(IPTABLES[case], tmp_path)


WG_QUICK = """
umask 077; ip link del wg0
cat > wg7.conf <<'X'
[Interface]
Address = 10.7.0.1/24, fd07::1/64
ListenPort = 51820
PrivateKey = KEY
MTU = 1380
PreUp = echo before %i
PostUp = echo after %i
PreDown = echo going %i
PostDown = echo gone %i   # a comment
# kept
[Peer]
PublicKey = PEER
AllowedIPs = 10.7.0.2/32, 192.168.7.0/24, fd07::2/128
PersistentKeepalive = 25
X
sed 's/PostUp = .*/PostUp = exit 3/' wg7.conf > wg8.conf
sed 's/^MTU.*/Table = off/; s/^ListenPort.*/ListenPort = 51821/' wg7.conf > wg9.conf
run wg-quick strip ./wg7.conf
run wg-quick up ./wg7.conf
run wg-quick up ./wg7.conf
run wg showconf wg7
run ip -4 route show dev wg7
run ip -o -4 addr show dev wg7
run wg-quick save ./wg7.conf
run cat wg7.conf
run wg-quick down ./wg7.conf
run wg-quick down ./wg7.conf
run wg-quick up ./wg8.conf
run wg show interfaces
run wg-quick up ./wg9.conf
run ip -4 route show dev wg9
run wg-quick down ./wg9.conf
run wg-quick up ./missing.conf
""".replace("KEY", KEY).replace("PEER", PEER)


@pytest.mark.skipif(not shutil.which("bash"), reason="the real wg-quick is a bash script")
def test_wg_quick_says_what_the_real_wg_quick_says(tmp_path: Path) -> None:
    same(WG_QUICK, tmp_path, wireguard_module=False)


def test_sysctl_says_what_the_real_sysctl_says(tmp_path: Path) -> None:
    script = """
run sysctl -n net.ipv4.ip_forward
run sysctl -w net.ipv4.ip_forward=1
run sysctl -q -w net.ipv4.ip_forward=1
run sysctl net.ipv4.ip_forward
run sysctl -w net.ipv4.ip_forward=foo
run sysctl net.nope
run sysctl -e net.nope
run sysctl -w net.nope=1
run sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding
printf 'net.ipv4.ip_forward = 1\\n# c\\n-net.nope=1\\nbad\\n' > s.conf
run sysctl -p s.conf
run sysctl -p /nonexist
run sysctl -w
"""
    same(script, tmp_path)
