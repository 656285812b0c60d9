"""What the driver reads: sites, gateways, both generations, statistics."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import pytest
from omada_device import OPTIONS, TARGET, SimulatedGateway

from fleet.driver import Observed
from fleet.drivers.omada import OmadaDriver, OmadaOptions, api
from fleet.errors import RouterError, Unreachable
from fleet.model import Mark, PublicKey, Secret
from fleet.shared import SharedAnswers
from fleet.testing.cases import HUB, INTERFACE, A, B, State
from fleet.testing.ether import Ether
from fleet.testing.omada import VIEWER, Application, Firmware, Gateway, Peer, Site, Strictness, Tunnel
from fleet.testing.omada.curve import new_private_key, public_key_of
from fleet.testing.subject import Subject

FIRST, SECOND = frozenset({0, 1}), frozenset({0, 2})
BOTH = pytest.mark.parametrize("generations", [FIRST, SECOND], ids=["v1", "v2"])


@pytest.fixture
def gateway() -> Iterator[Callable[..., SimulatedGateway]]:
    with ExitStack() as stack:
        yield lambda *given, **named: stack.enter_context(closing(SimulatedGateway(*given, **named)))


def read(device: SimulatedGateway, options: OmadaOptions = OPTIONS, **target: Any) -> Observed:
    return OmadaDriver().observe(device.link(replace(TARGET, options=options, **target)))


def asked(device: SimulatedGateway) -> list[str]:
    """Paths of the requests behind the site, without those of the login."""
    return [
        f"{one.method} {one.path}" for one in device.simulator.log if "authorize" not in one.path and "/api/" not in one.path
    ]


def subject(device: SimulatedGateway, *peers: Any) -> Subject:
    made = Subject(OmadaDriver(), device, OPTIONS)
    made.converge(State(peers))
    device.simulator.log.clear()
    return made


def person(name: str, *peers: Peer, port: int = 13000) -> Tunnel:
    return Tunnel("f" * 24, name, True, 1420, port, "172.31.0.1", new_private_key(), peers)


def stranger(name: str, *allowed: str) -> Peer:
    return SimulatedGateway.stranger(name, public_key_of(new_private_key()), *allowed)


# ------------------------------------------------------------------------------------------------------ generations
@pytest.mark.parametrize(
    ("generations", "first"), [(FIRST, True), (SECOND, False), (frozenset({0, 1, 2}), True)], ids=["v1", "v2", "both"]
)
def test_the_first_generation_is_spoken_while_it_answers_and_found_by_probing(gateway, generations, first):
    device = gateway(generations=generations)
    subject(device, A)
    read(device)
    assert any("wireguard-peers" in path for path in asked(device)) is first
    assert any("site-to-site" in path for path in asked(device)) is not first


@BOTH
def test_a_no_op_read_takes_four_requests_of_a_site_and_two_that_sites_share(gateway, generations):
    device = gateway(generations=generations)
    subject(device, HUB)
    device.shared = SharedAnswers()
    read(device)
    assert len(asked(device)) == 6


def test_what_all_sites_ask_is_asked_once_for_all_of_them(gateway):
    sites = [Site(name, Gateway(name)) for name in ("site", "goa", "pune", "agra")]
    device = gateway(sites=sites)
    for name in ("goa", "pune", "agra"):
        read(device, OmadaOptions(site=name))
    paths = asked(device)
    assert len([path for path in paths if path.endswith("/sites")]) == 1
    assert len([path for path in paths if path.endswith(f"{sites[0].id}/vpn/wireguards")]) == 1


def test_all_pages_of_a_list_are_read(gateway, monkeypatch):
    monkeypatch.setattr(api, "PAGE", 2)
    device = gateway()
    device.edit(person("big", *(stranger(f"p{n}", f"172.30.0.{n}/32") for n in range(5))))
    assert len(read(device).stored["big"].peers) == 5
    assert len([path for path in asked(device) if path.endswith("/vpn/wireguard-peers")]) == 3


# ------------------------------------------------------------------------------------------------- sites and gateways
def test_a_site_is_found_by_name_by_id_and_by_the_name_of_its_router(gateway):
    sites = [Site("site", Gateway("one")), Site("Goa", Gateway("two"))]
    device = gateway(sites=sites)
    for options in (OmadaOptions(site="Goa"), OmadaOptions(site=sites[1].id)):
        assert read(device, options).native.mac == sites[1].gateway.mac
    assert read(device, OmadaOptions(), router="goa").native.mac == sites[1].gateway.mac


def test_a_site_that_is_not_there_is_said_with_those_that_are(gateway):
    with pytest.raises(RouterError, match="no site 'Goa': there is pune, site") as caught:
        read(gateway(sites=("site", "pune")), OmadaOptions(site="Goa"))
    assert "options: {site: NAME}" in caught.value.hint


def test_the_only_site_is_taken_unnamed_and_not_by_two_routers(gateway):
    device = gateway()
    subject(device, A)
    assert INTERFACE in read(device, OmadaOptions()).stored
    with pytest.raises(RouterError, match="the only site that the controller shows is that of router subject") as caught:
        read(device, OmadaOptions(), router="goa")
    assert "options: {site: NAME}" in caught.value.hint


def test_the_gateway_is_the_one_that_the_inventory_names(gateway):
    device = gateway(sites=[Site("site", Gateway("one", mac="AA-BB-CC-00-00-01"))])
    assert read(device, OmadaOptions(site="site", gateway="aa:bb:cc:00:00:01")).model == "ER707-M2"
    with pytest.raises(RouterError, match="no gateway AA-BB-CC-00-00-02: there is one"):
        read(device, OmadaOptions(site="site", gateway="AA-BB-CC-00-00-02"))


def test_a_site_without_a_gateway_is_said(gateway):
    with pytest.raises(RouterError, match="site 'site' has no gateway") as caught:
        read(gateway(sites=[Site("site")]))
    assert "adopt the gateway" in caught.value.hint


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("offline", "disconnected"),
        ("upgrading", "upgrading"),
        ("rebooting", "rebooting"),
        ("heartbeat missed", "not heard"),
        ("isolated", "isolated"),
        ("pending", "not adopted"),
        ("adopting", "not adopted"),
        ("adoption failed", "not adopted"),
    ],
)
def test_a_gateway_that_is_not_there_is_pending_and_its_state_is_said(gateway, phase, words):
    device = gateway()
    device.simulator.gateway("site").enter(phase)
    with pytest.raises(Unreachable, match=words) as caught:
        read(device)
    assert "picks it up" in caught.value.hint


def test_a_gateway_of_another_controller_is_a_failure(gateway):
    device = gateway()
    device.simulator.gateway("site").enter("managed by others")
    with pytest.raises(RouterError, match="managed by another controller"):
        read(device)


def test_a_gateway_that_is_being_configured_is_not_settled_yet(gateway):
    device = gateway()
    subject(device)
    device.simulator.gateway("site").enter("provisioning")
    assert not read(device).settled


# ------------------------------------------------------------------------------------------------------------ tunnels
@BOTH
def test_tunnels_of_others_are_shown_under_names_that_are_their_own(gateway, generations):
    device = gateway(generations=generations)
    subject(device, A)
    device.edit(person("Head office, old (wg7)", stranger("b", "10.1.0.0/16")))
    seen = read(device).stored
    assert sorted(seen) == ["Head-office-old", INTERFACE]
    assert seen["Head-office-old"].mark is None
    assert len(seen["Head-office-old"].peers) == 1


@BOTH
def test_a_tunnel_of_ours_that_somebody_renamed_is_still_ours_and_gets_its_name_back(gateway, generations):
    device = gateway(generations=generations)
    mine = subject(device, A)
    device.edit(replace(device.site.tunnels[0], name="HQ tunnel"))
    assert list(read(device).stored) == [INTERFACE]
    mine.again().converge(State((A,)))
    (tunnel,) = device.site.tunnels
    assert tunnel.name == "wg7 HQ tunnel fleet:contract:subject"


def test_what_people_wrote_around_a_mark_stays(gateway):
    device = gateway()
    mine = subject(device, A)
    device.edit(replace(device.site.tunnels[0], name="HQ wg7 fleet:contract:subject do not touch", mtu=1400))
    mine.again().converge(State((A,)))
    (tunnel,) = device.site.tunnels
    assert (tunnel.name, tunnel.mtu) == ("HQ wg7 fleet:contract:subject do not touch", 1420)


def test_an_address_without_a_prefix_length_is_a_host_and_a_parked_one_is_none(gateway):
    device = gateway()
    mine = Subject(OmadaDriver(), device, OPTIONS)
    mine.contact(State())
    assert ipaddress.ip_address(device.site.tunnels[0].local_ip) in ipaddress.ip_network("198.18.0.0/15")
    assert read(device).stored[INTERFACE].addresses == frozenset()
    mine.converge(State())
    assert device.site.tunnels[0].local_ip == "10.99.0.7"
    assert read(device).stored[INTERFACE].addresses == {ipaddress.ip_interface("10.99.0.7/32")}


def test_a_prefix_length_that_a_controller_shows_is_no_difference(gateway):
    device = gateway(strictness=Strictness(budget=None, local_ip_prefix=True))
    mine = subject(device, A)
    device.edit(replace(device.site.tunnels[0], local_ip="10.99.0.7/24"))
    assert mine.again().converge(State((A,))) == ()


@BOTH
def test_secrets_are_secrets_in_what_is_kept_of_a_read(gateway, generations):
    device = gateway(generations=generations)
    subject(device, A)
    seen = read(device)
    private, preshared = device.site.tunnels[0].private_key, device.site.tunnels[0].peers[0].preshared_key
    assert private not in repr(seen)
    assert preshared is not None
    assert preshared not in repr(seen)
    assert seen.stored[INTERFACE].peers[A.public_key].preshared_key == Secret(preshared)


def test_a_controller_that_masks_keys_lets_only_look_and_that_is_said(gateway):
    application = Application(rights=VIEWER)
    device = gateway(strictness=Strictness(budget=None, masked_keys=True), application=application)
    device.edit(person("wg7 fleet:contract:subject", stranger("a", "10.1.0.0/16")))
    seen = read(device, asks=frozenset({"rights"}))
    assert "role with 'Site Settings Manager Modify'" in seen.rights[0]
    assert {"AddPeer", "SetInterface"} <= {name for limit in seen.limits.cannot for name in limit.forbids}


def test_names_as_endpoints_are_a_limit_of_the_gateway(gateway):
    for domains in (False, True):
        device = gateway(sites=[Site("site", Gateway("site", firmware=Firmware(domains=domains)))])
        assert read(device).limits.endpoint_names is domains


# --------------------------------------------------------------------------------------------------------- statistics
def two_ends(gateway: Callable[..., SimulatedGateway], **firmware: Any) -> SimulatedGateway:
    """A gateway with one peer that answers."""
    ether = Ether(recovery=0.0)
    hub = Gateway("hub", public_hosts=("198.51.100.1",), lans=("192.168.1.1/24",))
    site = Site("site", Gateway("site", lans=("192.168.7.1/24",), firmware=Firmware(**firmware)))
    device = gateway(sites=[site, Site("hub", hub)], ether=ether)
    here, there = new_private_key(), new_private_key()
    mine = Tunnel("a" * 24, "wg7 fleet:contract:subject", True, 1420, 51877, "10.99.0.7", here, ())
    theirs = Tunnel("b" * 24, "wg0", True, 1420, 51820, "10.99.0.1", there, ())
    back = Peer("c" * 24, "site", True, public_key_of(here), ("10.99.0.7/32", "192.168.7.0/24"), 0)
    dialled = Peer(
        "d" * 24, "hub", True, public_key_of(there), ("10.99.0.1/32",), 25, end_point="198.51.100.1", end_point_port=51820
    )
    device.simulator.sites["hub"].put_tunnel(replace(theirs, peers=(back,)))
    device.edit(replace(mine, peers=(replace(dialled, comment="fleet:contract:hub"),)))
    return device


@BOTH
def test_a_tunnel_with_one_peer_is_told_by_its_own_row(gateway, generations):
    device = two_ends(lambda **given: gateway(generations=generations, **given))
    (live,) = read(device).live[INTERFACE].values()
    assert live.connected is True
    assert not [path for path in asked(device) if path.endswith("/peer")]


def test_a_tunnel_with_many_peers_is_told_peer_by_peer(gateway):
    device = two_ends(gateway)
    tunnel = device.site.tunnels[0]
    device.edit(replace(tunnel, peers=(*tunnel.peers, replace(stranger("silent", "10.99.0.9/32"), comment="fleet:contract:b"))))
    live = read(device).live[INTERFACE]
    told = live[PublicKey(tunnel.peers[0].public_key)]
    assert told.connected is True
    assert str(told.endpoint) == "198.51.100.1:51820"
    assert sorted(bool(each.connected) for each in live.values()) == [False, True]


def test_counts_mean_nothing_where_the_firmware_tells_nothing(gateway):
    assert read(two_ends(gateway, statistics=False)).live == {INTERFACE: {}}


@BOTH
def test_what_is_stored_and_not_delivered_shows_in_the_statistics(gateway, generations):
    device = gateway(generations=generations)
    subject(device, A, B)
    device.simulator.gateway("site").failing_deliveries = 1
    device.edit(
        replace(device.site.tunnels[0], listen_port=50000, peers=(*device.site.tunnels[0].peers, stranger("c", "10.1.0.0/16")))
    )
    seen = read(device)
    assert not seen.settled
    assert seen.running is not None
    assert seen.running[INTERFACE].listen_port == 51877
    assert seen.stored[INTERFACE].listen_port == 50000
    assert len(seen.running[INTERFACE].peers) == 2


def test_marks_of_peers_are_in_their_comments(gateway):
    device = gateway()
    subject(device, A)
    (row,) = device.site.tunnels[0].peers
    assert row.comment == "fleet:contract:alpha"
    assert read(device).stored[INTERFACE].peers[A.public_key].mark == Mark("contract", "alpha")
