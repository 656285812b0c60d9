"""systemd, ufw and firewalld, played by small stand-ins that keep state and refuse what they do not know.

No real manager was tried. The rest of the router is real.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator

import pytest
from wg_quick_host import Host, created, host, key, mark, own_key

from fleet import (
    ClampMss,
    Endpoint,
    Forward,
    Interface,
    ListenPort,
    Management,
    NoMasquerade,
    Opening,
    Peer,
    Reapply,
    RemoveInterface,
    RemoveOpening,
)

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

LAN = frozenset({ipaddress.ip_network("192.168.1.0/24"), ipaddress.ip_network("fd01::/64")})
OPENINGS: tuple[Opening, ...] = (
    ListenPort(51820),
    Forward("lan", "tunnel", LAN),
    Forward("tunnel", "lan", LAN),
    Forward("tunnel", "tunnel"),
    NoMasquerade(),
    ClampMss(1420),
    Management(22, frozenset({ipaddress.ip_network("10.100.0.9/32")})),
)

SYSTEMCTL = """#!/bin/sh
# Units are files under /etc/systemd/system or templates wg-quick@; enabled ones are links, active ones are in /run/active.
now=
[ "$1" != enable ] && [ "$1" != disable ] || { verb=$1; shift; [ "$1" != --now ] || { now=1; shift; }; set -- "$verb" "$@"; }
[ "$2" != --quiet ] || { verb=$1; shift 2; set -- "$verb" "$@"; }
unit=${2%.service}
known() {
    case $unit in wg-quick@*) return ;; esac
    [ -f "/etc/systemd/system/$unit" ] || { echo "Unit $unit not found." >&2; exit 5; }
}
begin() { case $unit in wg-quick@*) wg-quick up "${unit#*@}" || exit 1 ;; esac; touch "/run/active/$unit"; }
mkdir -p /run/active /run/enabled
case $1 in
    enable) known; touch "/run/enabled/$unit"; [ -z "$now" ] || begin ;;
    disable) known; rm -f "/run/enabled/$unit"; [ -z "$now" ] || rm -f "/run/active/$unit" ;;
    is-enabled) [ -f "/run/enabled/$unit" ] ;;
    is-active) [ -f "/run/active/$unit" ] ;;
    start) known; [ -f "/run/active/$unit" ] || begin ;;
    stop) rm -f "/run/active/$unit"; case $unit in wg-quick@*) wg-quick down "${unit#*@}" ;; esac ;;
    daemon-reload) ;;
    *) echo "Unknown command verb $1." >&2; exit 1 ;;
esac
"""

UFW = """#!/usr/bin/env python3
import pathlib, sys
store = pathlib.Path("/run/ufw.rules")
rules = store.read_text().splitlines() if store.exists() else []
words = sys.argv[1:]
if words == ["status", "numbered"]:
    print("Status: active\\n\\n     To                Action      From\\n     --                ------      ----")
    for number, rule in enumerate(rules, 1):
        text, _, comment = rule.partition("\\t")
        print(f"[{number:2}] {text:40}" + (f" # {comment}" if comment else ""))
elif words[:2] == ["--force", "delete"]:
    if not 0 < int(words[2]) <= len(rules):
        sys.exit("ERROR: Could not find rule")
    del rules[int(words[2]) - 1]
else:
    comment = words[words.index("comment") + 1] if "comment" in words else ""
    body = words[: words.index("comment")] if comment else words
    route = body[:1] == ["route"]
    body = body[route:]
    first = body[:1] == ["prepend"]
    body = body[first:]
    if body[:1] != ["allow"] or not set(body[1::1]) & {"from", "to"} or (body.count("out") and not route):
        sys.exit("ERROR: Invalid syntax")
    rule = ("route " if route else "") + " ".join(body) + "\\t" + comment
    rules = [rule, *rules] if first else [*rules, rule]
store.write_text("".join(f"{rule}\\n" for rule in rules))
"""

FIREWALL_CMD = """#!/usr/bin/env python3
import json, pathlib, re, sys
store = pathlib.Path("/run/firewalld.json")
state = json.loads(store.read_text()) if store.exists() else {"zones": {}, "policies": {}, "live": {}}
words = [word for word in sys.argv[1:] if word not in ("--quiet", "--permanent")]
permanent = "--permanent" in sys.argv
options = dict(word.partition("=")[::2] for word in words)
def name(text):
    if len(text) > 17:
        sys.exit("INVALID_NAME")
    return text
if "--state" in options:
    print("running")
elif "--reload" in options:
    state["live"] = json.loads(json.dumps(state["policies"]))
elif "--get-policies" in options:
    print(" ".join(state["live"]))
elif "--new-zone" in options:
    if options["--new-zone"] in state["zones"]:
        sys.exit("NAME_CONFLICT")
    state["zones"][name(options["--new-zone"])] = {"interfaces": [], "forward": False}
elif "--delete-zone" in options:
    if state["zones"].pop(options["--delete-zone"], None) is None:
        sys.exit("INVALID_ZONE")
elif "--new-policy" in options:
    if options["--new-policy"] in state["policies"]:
        sys.exit("NAME_CONFLICT")
    state["policies"][name(options["--new-policy"])] = {"rules": [], "ends": []}
elif "--delete-policy" in options:
    if state["policies"].pop(options["--delete-policy"], None) is None:
        sys.exit("INVALID_POLICY")
elif "--zone" in options:
    zone = state["zones"][options["--zone"]]
    if "--add-interface" in options:
        zone["interfaces"].append(options["--add-interface"])
    elif "--add-forward" in options:
        zone["forward"] = True
    else:
        sys.exit("usage")
elif "--policy" in options:
    policy = (state["policies"] if permanent else state["live"])[options["--policy"]]
    if "--list-rich-rules" in options:
        print("\\n".join(policy["rules"]))
    elif "--add-rich-rule" in options:
        rule = options["--add-rich-rule"]
        word = r'( (family|source address|destination address)="[^" ]+")*( port port="\\d+" protocol="(udp|tcp)")?'
        if not re.fullmatch("rule" + word + " accept", rule):
            sys.exit("INVALID_RULE: " + rule)
        policy["rules"].append(rule)
    elif "--add-ingress-zone" in options or "--add-egress-zone" in options:
        policy["ends"].append(words[-1])
    else:
        sys.exit("usage")
else:
    sys.exit("usage: " + " ".join(words))
store.write_text(json.dumps(state))
"""


@pytest.fixture
def hq() -> Iterator[Host]:
    with host() as router:
        router.run("mkdir /run/bin")
        router.environment["PATH"] = "/run/bin:" + os.environ["PATH"]
        yield router


def install(router: Host, name: str, text: str) -> None:
    router.write(f"/run/bin/{name}", text)
    router.run(f"chmod 755 /run/bin/{name}")


def hub(*openings: Opening, reresolve: bool = False) -> Interface:
    peer = Peer(key(1), frozenset({ipaddress.ip_network("10.100.0.2/32")}), Endpoint("192.0.2.1", 51820), mark=mark("mumbai"))
    return Interface(
        "wg0",
        own_key(),
        51820,
        1420,
        frozenset({ipaddress.ip_interface("10.100.0.1/20")}),
        {key(1): peer},
        {},
        {opening.identity: opening for opening in openings},
        reresolve,
        mark=mark(),
    )


def build(router: Host, wanted: Interface) -> Interface:
    router.apply(*created(wanted), desired=wanted)
    stored = router.observe().stored["wg0"]
    return type(wanted)(**{name: getattr(wanted, name) for name in wanted.__slots__} | {"public_key": stored.public_key})


def views(router: Host) -> tuple[object, object]:
    seen = router.observe()
    assert seen.running is not None
    return seen.stored["wg0"], seen.running["wg0"]


# -------------------------------------------------------------------------------------------------------- systemd
@pytest.fixture
def systemd(hq: Host) -> Host:
    install(hq, "systemctl", SYSTEMCTL)
    hq.run("mkdir -p /run/systemd/system")
    return hq


def test_systemd_starts_the_tunnel_and_enables_it(systemd: Host) -> None:
    wanted = build(systemd, hub())
    assert views(systemd) == (wanted, wanted)
    assert systemd.run("ls /run/active /run/enabled").count("wg-quick@wg0") == 2
    assert systemd.run("ls /etc/rc.local 2>/dev/null; true") == ""


def test_systemd_gets_a_timer_that_resolves_names_again(systemd: Host) -> None:
    wanted = build(systemd, hub(reresolve=True))
    assert views(systemd) == (wanted, wanted)
    assert "/etc/wireguard/fleet-wg0.sh resolve" in systemd.run("cat /etc/systemd/system/fleet-wg0.service")
    assert systemd.processes("fleet-wg0.sh loop") == []


def test_a_stopped_timer_is_drift_and_starts_again(systemd: Host) -> None:
    wanted = build(systemd, hub(reresolve=True))
    systemd.run("systemctl disable --now fleet-wg0.timer")
    stored, running = views(systemd)
    assert (stored, running == wanted) == (wanted, False)
    systemd.apply(Reapply(interface="wg0"), desired=wanted)
    assert views(systemd) == (wanted, wanted)


def test_a_removed_interface_leaves_no_unit(systemd: Host) -> None:
    wanted = build(systemd, hub(reresolve=True))
    systemd.apply(RemoveInterface(interface="wg0", old=wanted))
    assert systemd.run("ls /run/active /run/enabled; ls /etc/systemd/system | grep fleet; true").split() == [
        "/run/active:",
        "/run/enabled:",
    ]


# ------------------------------------------------------------------------------------------------------------- ufw
@pytest.fixture
def ufw(hq: Host) -> Host:
    install(hq, "ufw", UFW)
    hq.run("mkdir -p /etc/ufw; echo ENABLED=yes >/etc/ufw/ufw.conf; ufw allow from any to any port 22")
    hq.run("iptables -P FORWARD DROP; iptables -P INPUT DROP")
    return hq


def test_where_ufw_rules_openings_are_rules_of_ufw(ufw: Host) -> None:
    wanted = build(ufw, hub(*OPENINGS))
    assert views(ufw) == (wanted, wanted)
    rules = ufw.run("ufw status numbered")
    assert "allow proto udp from any to any port 51820" in rules
    assert "route allow in on wg0 out on wg0 from any to any" in rules
    assert "fleet" not in ufw.run("iptables-save -t filter")


def test_a_second_apply_adds_no_second_rule_to_ufw(ufw: Host) -> None:
    wanted = build(ufw, hub(*OPENINGS))
    before = ufw.run("ufw status numbered")
    ufw.apply(Reapply(interface="wg0"), desired=wanted)
    assert ufw.run("ufw status numbered") == before


def test_a_closed_opening_leaves_ufw_and_the_operators_rules_stay(ufw: Host) -> None:
    wanted = build(ufw, hub(*OPENINGS))
    ufw.apply(RemoveOpening(interface="wg0", old=ListenPort(51820)), desired=wanted)
    rules = ufw.run("ufw status numbered")
    assert "51820" not in rules
    assert "allow from any to any port 22" in rules


def test_a_rule_deleted_from_ufw_is_drift_and_heals(ufw: Host) -> None:
    wanted = build(ufw, hub(*OPENINGS))
    ufw.run("ufw --force delete 1")
    assert views(ufw)[1] != wanted
    ufw.apply(Reapply(interface="wg0"), desired=wanted)
    assert views(ufw) == (wanted, wanted)


def test_ufw_that_is_switched_off_is_left_alone(ufw: Host) -> None:
    ufw.run("echo ENABLED=no >/etc/ufw/ufw.conf; rm /run/ufw.rules")
    wanted = build(ufw, hub(*OPENINGS))
    assert views(ufw) == (wanted, wanted)
    assert "fleet" not in ufw.run("ufw status numbered")


# ------------------------------------------------------------------------------------------------------- firewalld
@pytest.fixture
def firewalld(hq: Host) -> Host:
    install(hq, "firewall-cmd", FIREWALL_CMD)
    return hq


def test_where_firewalld_rules_openings_are_its_policies(firewalld: Host) -> None:
    wanted = build(firewalld, hub(*OPENINGS))
    assert views(firewalld) == (wanted, wanted)
    rules = firewalld.run("firewall-cmd --policy=fl-wg0p --list-rich-rules")
    assert 'rule port port="51820" protocol="udp" accept' in rules


def test_a_second_apply_changes_nothing_in_firewalld(firewalld: Host) -> None:
    wanted = build(firewalld, hub(*OPENINGS))
    before = firewalld.read("/run/firewalld.json")
    firewalld.apply(Reapply(interface="wg0"), desired=wanted)
    assert firewalld.read("/run/firewalld.json") == before


def test_a_policy_deleted_from_firewalld_is_drift_and_heals(firewalld: Host) -> None:
    wanted = build(firewalld, hub(*OPENINGS))
    firewalld.run("firewall-cmd --permanent --delete-policy=fl-wg0i; firewall-cmd --reload")
    assert views(firewalld)[1] != wanted
    firewalld.apply(Reapply(interface="wg0"), desired=wanted)
    assert views(firewalld) == (wanted, wanted)


def test_a_removed_interface_leaves_no_object_in_firewalld(firewalld: Host) -> None:
    wanted = build(firewalld, hub(*OPENINGS))
    firewalld.apply(RemoveInterface(interface="wg0", old=wanted))
    assert b"fl-" not in firewalld.read("/run/firewalld.json")
