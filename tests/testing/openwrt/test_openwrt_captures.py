"""What real ubus, rpcd, netifd and fw4 said, said by the simulated router (captures 3, 4, 5 and 10)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from openwrt_replay import PEER, PRIVATE, TUNNEL, Exchange, Recorded, exchanges, recorded, replay

SESSION = "6b97bd6fe4e3cd2217693f0245d0ac57"
ANONYMOUS = (
    "add network wireguard_wg0",
    "set network.@wireguard_wg0[-1].public_key=xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
    "set network.@wireguard_wg0[-1].description=its",
    "add_list network.@wireguard_wg0[-1].allowed_ips=10.200.0.2/32",
)

# Each: the release that has what was recorded, what was committed before, whether wg0 comes up with the boot.
BEGINNINGS = {
    "ubus": ("25.12", (*TUNNEL, *ANONYMOUS)),
    "apply": ("25.12", (*TUNNEL, *ANONYMOUS)),
    "reload": ("25.12", ()),
    "h1": ("24.10", ()),
    "h2": ("25.12", ()),
    "fw4": ("25.12", (*TUNNEL, *PEER)),
}

# Not replayed: a signature list nobody parses, a process that a test cannot kill, and a kernel without the module.
LEFT_OUT = ("ubus -v list", "kill $(pidof rpcd)", "session create '{\"timeout\":600}'", "wg show nope; wg show nope dump")


def _cases(name: str) -> list[object]:
    found = exchanges(name)
    return [
        pytest.param(name, one, id=f"{name}-{number:02d}-{one.command[:36]}")
        for number, one in enumerate(found)
        if not any(words in one.command for words in LEFT_OUT)
    ]


@pytest.fixture(scope="module")
def routers() -> Iterator[dict[str, Recorded]]:
    running: dict[str, Recorded] = {}
    yield running
    for router in running.values():
        router.close()


def _begin(name: str) -> Recorded:
    version, staged = BEGINNINGS[name]
    router = recorded(version, *staged)
    if name in {"h1", "h2"}:
        router.stage(*TUNNEL, *PEER, "commit network")  # a new interface, which no reload has seen yet
    return router


def _comparable(text: str) -> str:
    """Without what two machines never share: times, process numbers, inodes, listings, keys, counters, qdiscs."""
    text = text.replace("/var/run/", "/tmp/run/")
    for pattern, instead in (
        (r"^(real|user|sys)\t.*$", r"\1"),
        (r"^\d+ (/etc/config/\w+)$", r"N \1"),
        (r"^(?:[d-][rwxt-]{9} +|total ).*\n?", ""),
        (r'"(uptime|pid)": ?\d+', r'"\1":N'),
        (r'"pending":(true|false)', '"pending":P'),
        (r"^network\.interface\.wg0\n", ""),  # the list was recorded before there was one
        (r"wg0 \(\d+\):", "wg0 (N):"),
        (r"^(K\t\S+\t\S+)\t\d+\t\d+\t\d+", r"\1"),
        (r"^(\S{43}=\t)\d{10}$", r"\1T"),
        (r"(public key: |\"public_key\": \")\S{43}=", r"\1K"),
        (r'"(latest_handshake|transfer_rx|transfer_tx)": "\d+"', r'"\1": "N"'),
        (r"^  latest handshake: .*$", "  latest handshake"),
        (r"^  transfer: .*$", "  transfer"),
        (r"MULTICAST,", ""),
        (r"qdisc \w+", "qdisc Q"),
        (r"qlen \d+", "qlen N"),
        (r"fe80::\S+ ", ""),  # wireguard-go's device has a link-local address, the kernel's has none
        (r"^\n(--- )", r"\1"),
        (r'"(kernel|hostname|system|rootfs_type)": "[^"]*"', r'"\1"'),
    ):
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text.strip("\n")


@pytest.mark.parametrize(("name", "exchange"), [case for name in BEGINNINGS for case in _cases(name)])
def test_the_router_says_what_was_recorded(routers: dict[str, Recorded], name: str, exchange: Exchange) -> None:
    router = routers.get(name) or routers.setdefault(name, _begin(name))
    session = router.session or _session_of(router)
    out, error, code = replay(router, exchange.command.replace(SESSION, session))
    seen = (_comparable(out.replace(session, SESSION)), _comparable(error.replace(session, SESSION)), code)
    assert seen == (_comparable(exchange.out), _comparable(exchange.error), exchange.code)


def _session_of(router: Recorded) -> str:
    session = str(json.loads(router.ok("ubus -S call session create"))["ubus_rpc_session"])
    router.session = session
    return session


def test_a_peer_edit_goes_into_the_kernel_without_a_bounce() -> None:
    """Capture 4e."""
    (exchange,) = exchanges("surgical")
    second = (
        "add network wireguard_wg0",
        "set network.@wireguard_wg0[-1].public_key=xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
    )
    begin = [line for line in PEER if "192.168.20" not in line]
    with recorded("24.10", *TUNNEL, *begin, *second) as router:
        out, error, code = replay(router, exchange.command)
    plain = re.sub(r"^\d{10}$", "T", out, flags=re.MULTILINE)
    assert (_comparable(plain), error, code) == (
        _comparable(re.sub(r"^\d{10}$", "T", exchange.out, flags=re.MULTILINE)),
        exchange.error,
        exchange.code,
    )


LATE = exchanges("late")


def test_after_a_semicolon_in_a_batch_the_rest_of_the_line_is_lost() -> None:
    """Capture 10."""
    with recorded("24.10", *TUNNEL) as router:
        assert replay(router, LATE[0].command) == (LATE[0].out, LATE[0].error, LATE[0].code)


def test_one_bad_key_keeps_the_whole_interface_down() -> None:
    """Capture 10."""
    with recorded("24.10", *TUNNEL, *PEER, "set network.bad=wireguard_wg0", "set network.bad.public_key=A") as router:
        router.settle()
        out, error, code = replay(router, LATE[1].command)
    assert (_comparable(out), error, code) == (_comparable(LATE[1].out), LATE[1].error, LATE[1].code)


def test_without_a_route_to_an_endpoint_the_interface_is_withdrawn_until_the_uplink_is_back() -> None:
    """Capture 10: also with nohostroute set later; then a host route that the uplink does not list."""
    with recorded("24.10", *TUNNEL, *PEER) as router:
        router.ok("uci delete network.wan; uci commit; ubus call network reload; ifup wg0; sleep 2")
        seen = [replay(router, one.command) for one in LATE[2:]]
    for (out, error, code), one in zip(seen, LATE[2:], strict=True):
        error = error.replace("No such device", "Protocol not supported")  # recorded without the kernel module
        assert (_without_log(out), error, code) == (_without_log(one.out), one.error, one.code)


def _without_log(text: str) -> str:
    """The recording does not say what was done before it, so the log of that is not compared."""
    return "\n".join(line for line in _comparable(text).split("\n") if "netifd" not in line)


def test_the_far_end_of_the_recordings_knows_this_router() -> None:
    with recorded("24.10", *TUNNEL, *PEER) as router:
        assert PRIVATE in router.ok("uci show network")
        assert router.ok("wg show wg0 latest-handshakes").split()[1] != "0"
