"""Openings as firewall rules. Accepts go where the drop is (vendor sheet, section 4)."""

from __future__ import annotations

import ipaddress

import pytest
from mikrotik_rows import Menus, hub, observe, render, sent, wg0

from fleet import AddOpening, ClampMss, Forward, ListenPort, Management, NoMasquerade, Opening, RemoveOpening, SetOpening
from fleet.changes import Change

FILTER = "/ip/firewall/filter"
LAN = frozenset({ipaddress.ip_network("192.168.1.0/24")})
NOC = ipaddress.ip_network("10.100.0.9/32")
NOC2 = ipaddress.ip_network("192.0.2.0/28")


def add(opening: Opening) -> Change:
    return AddOpening(interface="wg0", wanted=opening)


def position(menus: Menus, comment: str) -> int:
    return next(at for at, row in enumerate(menus[FILTER]) if row.get("comment") == comment)


def below(menus: Menus, drop: str, **changed: str) -> Menus:
    """The hub with its listen-port rule directly below the rule `drop`."""
    rule = menus[FILTER].pop(position(menus, "fleet:acme:hq wg0 listen-port/51820")) | changed
    at = next(at for at, row in enumerate(menus[FILTER]) if row[".id"] == drop)
    menus[FILTER].insert(at + 1, rule)
    return menus


def without_openings() -> Menus:
    menus = hub()
    del menus[FILTER][position(menus, "fleet:acme:hq wg0 listen-port/51820")]
    return menus


# ---- writing
def test_the_listen_port_is_accepted_before_the_first_static_drop() -> None:
    assert sent(observe(without_openings()), add(ListenPort(51820))) == [
        (
            "/ip/firewall/filter/add chain=input action=accept protocol=udp dst-port=51820 "
            'comment="fleet:acme:hq wg0 listen-port/51820" place-before=*2'
        )
    ]


def test_without_a_drop_the_rule_goes_to_the_end() -> None:
    menus = hub()
    menus[FILTER] = []
    assert "place-before" not in sent(observe(menus), add(ListenPort(51820)))[0]


def test_a_jump_into_a_chain_that_drops_is_a_drop() -> None:
    menus = hub()
    menus[FILTER] = [
        {".id": "*1", "chain": "input", "action": "jump", "jump-target": "a"},
        {".id": "*2", "chain": "a", "action": "jump", "jump-target": "b"},
        {".id": "*3", "chain": "b", "action": "reject"},
    ]
    assert sent(observe(menus), add(ListenPort(51820)))[0].endswith("place-before=*1")


def test_a_dynamic_drop_is_no_place_to_stand_before() -> None:
    menus = hub()
    menus[FILTER] = [{".id": "*1", "chain": "input", "action": "drop", "dynamic": "true"}]
    assert "place-before" not in sent(observe(menus), add(ListenPort(51820)))[0]


def test_the_listen_port_for_one_source_only() -> None:
    assert (
        "src-address=203.0.113.0/24" in sent(observe(hub()), add(ListenPort(51821, ipaddress.ip_network("203.0.113.0/24"))))[0]
    )


def test_a_router_with_ipv6_outside_opens_the_port_there_too() -> None:
    menus = without_openings()
    menus["/ipv6/address"].append({".id": "*2", "address": "2001:db8::1/64", "interface": "ether1", "dynamic": "true"})
    commands = [line.split()[0] for line in sent(observe(menus), add(ListenPort(51820)))]
    assert commands == ["/ip/firewall/filter/add", "/ipv6/firewall/filter/add"]


@pytest.mark.parametrize(
    ("opening", "words"),
    [
        (Forward("tunnel", "lan", LAN), "in-interface=wg0 dst-address=192.168.1.0/24"),
        (Forward("lan", "tunnel", LAN), "out-interface=wg0 src-address=192.168.1.0/24"),
        (Forward("tunnel", "tunnel"), "in-interface=wg0 out-interface=wg0"),
    ],
)
def test_forwarding_is_accepted_before_the_first_forward_drop(opening: Opening, words: str) -> None:
    (line,) = sent(observe(hub()), add(opening))
    assert line.startswith(f"/ip/firewall/filter/add chain=forward action=accept {words} comment=")
    assert line.endswith(f'"fleet:acme:hq wg0 {opening.identity}" place-before=*9')


def test_packets_into_the_tunnel_are_spared_before_the_masquerade() -> None:
    assert sent(observe(hub()), add(NoMasquerade(LAN))) == [
        (
            "/ip/firewall/nat/add chain=srcnat action=accept out-interface=wg0 src-address=192.168.1.0/24 "
            'comment="fleet:acme:hq wg0 no-masquerade" place-before=*1'
        )
    ]


def test_the_mss_is_the_mtu_without_headers() -> None:
    assert sent(observe(hub()), add(ClampMss(1420))) == [
        (
            "/ip/firewall/mangle/add chain=forward action=change-mss new-mss=1380 protocol=tcp tcp-flags=syn out-interface=wg0 "
            'comment="fleet:acme:hq wg0 clamp-mss"'
        )
    ]


def test_a_tunnel_of_both_families_clamps_both() -> None:
    menus = hub()
    menus["/ipv6/address"].append({".id": "*7", "address": "fd10:100::1/64", "interface": "wg0"})
    lines = sent(observe(menus), add(ClampMss(1420)))
    assert ["new-mss=1380" in lines[0], "new-mss=1360" in lines[1], lines[1].split()[0]] == [
        True,
        True,
        "/ipv6/firewall/mangle/add",
    ]


def test_a_management_drop_is_written_only_after_its_accepts() -> None:
    script = render(observe(hub()), (add(Management(8729, frozenset({NOC, NOC2}))),))
    batches = [[request.native() for step in batch for request in step.requests] for batch in script.guarded]
    assert [[line.split()[2] for line in batch] for batch in batches] == [["action=accept"] * 2, ["action=drop"]]
    assert all(line.endswith("place-before=*2") for batch in batches for line in batch)


def test_management_stands_before_an_accept_of_others_that_would_let_everybody_in() -> None:
    menus = hub()
    at = position(menus, "defconf: drop invalid")
    menus[FILTER].insert(at, {".id": "*E", "chain": "input", "action": "accept", "in-interface-list": "LAN"})
    assert sent(observe(menus), add(Management(8729, frozenset({NOC}))))[0].endswith("place-before=*E")


def test_a_new_management_source_stands_before_the_drop_that_is_there() -> None:
    menus = managed(hub())
    old, new = Management(8729, frozenset({NOC})), Management(8729, frozenset({NOC, NOC2}))
    lines = sent(observe(menus), SetOpening(interface="wg0", old=old, wanted=new))
    assert [line.rpartition(" ")[2] for line in lines] == ["place-before=*F2"]


def managed(menus: Menus) -> Menus:
    """The hub with management of port 8729 for one source."""
    words = {"chain": "input", "protocol": "tcp", "dst-port": "8729", "in-interface": "wg0"}
    comment = "fleet:acme:hq wg0 management/8729"
    at = position(menus, "defconf: drop invalid")
    menus[FILTER][at:at] = [
        {".id": "*F1", "action": "accept", "src-address": "10.100.0.9", "comment": comment, **words},
        {".id": "*F2", "action": "drop", "comment": comment, **words},
    ]
    return menus


# ---- reading
def test_management_is_seen_with_its_sources() -> None:
    assert wg0(managed(hub())).openings["management/8729"] == Management(8729, frozenset({NOC}))


def test_management_without_its_drop_is_not_there() -> None:
    menus = managed(hub())
    menus[FILTER] = [row for row in menus[FILTER] if row[".id"] != "*F2"]
    assert "management/8729" not in wg0(menus).openings


def test_a_management_accept_below_its_drop_lets_nobody_in() -> None:
    menus = managed(hub())
    rows = menus[FILTER]
    at = next(at for at, row in enumerate(rows) if row[".id"] == "*F1")
    rows[at], rows[at + 1] = rows[at + 1], rows[at]
    assert wg0(menus).openings["management/8729"] == Management(8729, frozenset())


@pytest.mark.parametrize("drop", ["*5"])
def test_an_accept_below_the_drop_is_no_opening(drop: str) -> None:
    assert wg0(below(hub(), drop)).openings == {}


def test_an_accept_below_the_drop_is_moved_above_the_first_drop() -> None:
    assert sent(observe(below(hub(), "*5")), add(ListenPort(51820))) == ["/ip/firewall/filter/move numbers=*A destination=*2"]


def test_an_accept_between_harmless_drops_is_left_where_it_is() -> None:
    assert "listen-port/51820" in wg0(below(hub(), "*2")).openings


@pytest.mark.parametrize(
    "matcher",
    [{"protocol": "tcp"}, {"protocol": "udp", "dst-port": "53,500-4500"}, {"src-address-list": "banned"}],
)
def test_a_drop_of_other_packets_above_does_not_matter(matcher: dict[str, str]) -> None:
    menus = hub()
    menus[FILTER].insert(1, {".id": "*C", "chain": "input", "action": "drop", **matcher})
    assert "listen-port/51820" in wg0(menus).openings


@pytest.mark.parametrize(
    "matcher",
    [{}, {"protocol": "udp"}, {"dst-port": "51000-52000", "protocol": "udp"}, {"src-address-list": "!allowed"}],
)
def test_a_drop_of_our_packets_above_does(matcher: dict[str, str]) -> None:
    menus = hub()
    menus[FILTER].insert(1, {".id": "*C", "chain": "input", "action": "drop", **matcher})
    assert wg0(menus).openings == {}


def test_a_disabled_rule_is_no_opening_and_is_enabled() -> None:
    menus = hub()
    menus[FILTER][position(menus, "fleet:acme:hq wg0 listen-port/51820")]["disabled"] = "true"
    assert wg0(menus).openings == {}
    assert sent(observe(menus), add(ListenPort(51820))) == ["/ip/firewall/filter/set .id=*A disabled=no"]


def test_a_rule_that_somebody_narrowed_is_no_opening_and_is_replaced() -> None:
    menus = hub()
    menus[FILTER][position(menus, "fleet:acme:hq wg0 listen-port/51820")]["in-interface"] = "ether5"
    assert [line.split()[0] for line in sent(observe(menus), add(ListenPort(51820)))] == [
        "/ip/firewall/filter/add",
        "/ip/firewall/filter/remove",
    ]


def test_words_that_people_add_to_our_comment_do_not_make_it_foreign() -> None:
    menus = hub()
    menus[FILTER][position(menus, "fleet:acme:hq wg0 listen-port/51820")]["comment"] = (
        "VPN! fleet:acme:hq wg0 listen-port/51820 (ask Raj)"
    )
    assert "listen-port/51820" in wg0(menus).openings


def test_the_rules_of_another_overlay_are_not_ours() -> None:
    menus = hub()
    menus[FILTER][position(menus, "fleet:acme:hq wg0 listen-port/51820")]["comment"] = "fleet:other:hq wg0 listen-port/51820"
    assert wg0(menus).openings == {}


def test_removing_an_opening_removes_its_rules_and_no_others() -> None:
    change = RemoveOpening(interface="wg0", old=ListenPort(51820))
    assert sent(observe(hub()), change) == ["/ip/firewall/filter/remove .id=*A"]


ALL: list[Opening] = [
    ListenPort(51821),
    ListenPort(51822, ipaddress.ip_network("203.0.113.7/32")),
    Forward("tunnel", "lan", LAN | {ipaddress.ip_network("192.168.2.0/24")}),
    Forward("lan", "tunnel", LAN),
    Forward("tunnel", "tunnel"),
    NoMasquerade(LAN),
    NoMasquerade(),
    ClampMss(1412),
    Management(8729, frozenset({NOC, NOC2})),
    Management(22, frozenset()),
]


def written(menus: Menus, lines: list[str]) -> None:
    """Do what add commands say, as RouterOS would."""
    for number, line in enumerate(lines):
        command, rest = line.split(" ", 1)
        comment = rest[rest.index('comment="') + 9 : rest.rindex('"')]
        words = dict(part.split("=", 1) for part in rest.replace(f'comment="{comment}"', "").split())
        place = words.pop("place-before", None)
        rows = menus[command.removesuffix("/add")]
        at = next((at for at, row in enumerate(rows) if row[".id"] == place), len(rows))
        rows.insert(at, {**words, ".id": f"*1{number:03}", "comment": comment, "disabled": "false", "dynamic": "false"})


@pytest.mark.parametrize("opening", ALL, ids=str)
@pytest.mark.parametrize("dual", [False, True])
def test_what_is_written_reads_back_as_the_same_opening(opening: Opening, dual: bool) -> None:
    menus = hub()
    if dual:
        menus["/ipv6/address"].append({".id": "*7", "address": "fd10:100::1/64", "interface": "wg0"})
        menus["/ipv6/address"].append({".id": "*8", "address": "2001:db8::1/64", "interface": "ether1"})
    written(menus, sent(observe(menus), add(opening)))
    assert wg0(menus).openings[opening.identity] == opening


@pytest.mark.parametrize("opening", ALL, ids=str)
def test_writing_an_opening_that_is_there_sends_nothing(opening: Opening) -> None:
    menus = hub()
    written(menus, sent(observe(menus), add(opening)))
    assert sent(observe(menus), add(opening)) == []
