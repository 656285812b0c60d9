"""What the driver writes, and what a controller, its gateways and its people do to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest
from omada_device import OPTIONS, TARGET, SimulatedGateway

from fleet import engine
from fleet.changes import ActivateKey, AddInterface
from fleet.driver import RouterPlan
from fleet.drivers.omada import OmadaDriver
from fleet.drivers.omada.unchanged import Unchanged
from fleet.errors import LoginFailed, NotConverged, NotSettled, Rejected, Unreachable, Unsupported
from fleet.keys import new_private_key, public_key_of
from fleet.model import Interface, Mark
from fleet.testing.cases import HUB, INTERFACE, A, B, State
from fleet.testing.omada import VIEWER, Application, Firmware, Gateway, Site
from fleet.testing.subject import Subject

FIRST, SECOND = frozenset({0, 1}), frozenset({0, 2})
BOTH = pytest.mark.parametrize("generations", [FIRST, SECOND], ids=["v1", "v2"])
ONE, TWO = State((A,)), State((A, B))


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """How often the engine looks again, and for how long, is not what is tested."""
    monkeypatch.setattr(engine, "SETTLE_LOOK", 0.01)
    monkeypatch.setattr(engine, "SETTLE_SECONDS", 0.3)


@pytest.fixture
def gateway() -> Iterator[Callable[..., SimulatedGateway]]:
    with ExitStack() as stack:
        yield lambda *given, **named: stack.enter_context(closing(SimulatedGateway(*given, **named)))


def subject(device: SimulatedGateway, state: State | None = None) -> Subject:
    made = Subject(OmadaDriver(), device, OPTIONS)
    if state is not None:
        made.converge(state)
    return made


def requests(run: Subject) -> list[str]:
    """Writes as `plan --native` shows them."""
    return [
        request.native() for script in run.scripts for step in script.steps for request in step.requests if not request.reads
    ]


# ------------------------------------------------------------------------------------------------------- whole objects
@BOTH
def test_a_create_that_answers_minus_one_is_found_by_name_and_not_repeated(gateway, generations):
    device = gateway(generations=generations)
    path = "/vpn/wireguards" if generations == FIRST else "/vpn/site-to-site-vpns"
    device.simulator.fault(f"POST {path}", "lost_reply")
    subject(device, TWO)
    assert [len(tunnel.peers) for tunnel in device.site.tunnels] == [2]


def test_a_peer_whose_create_answers_minus_one_is_there_once(gateway):
    device = gateway(generations=FIRST)
    device.simulator.fault("POST /vpn/wireguard-peers", "lost_reply")
    mine = subject(device, TWO)
    assert mine.differences(TWO) == ()
    assert [len(tunnel.peers) for tunnel in device.site.tunnels] == [2]


@BOTH
def test_an_endpoint_that_was_accepted_and_dropped_is_noticed(gateway, generations):
    device = gateway(generations=generations)
    mine = subject(device, State())
    device.simulator.fault(lambda one: "wireguard-peers" in one.path or one.method == "PATCH", "drop_endpoint", times=9)
    with pytest.raises(NotConverged, match="still differs: peer hub: endpoint none"):
        mine.again().converge(State((HUB,)))


@BOTH
def test_a_write_echoes_what_fleet_does_not_model(gateway, generations):
    device = gateway(generations=generations)
    mine = subject(device, TWO)
    tunnel = device.site.tunnels[0]
    renamed = replace(tunnel.peers[0], name="Alpha's own name", comment="main office fleet:contract:alpha")
    device.edit(replace(tunnel, peers=(renamed, *tunnel.peers[1:]), network_type=1, custom_network=(("192.168.77.0", 24),)))
    mine.again().converge(State((replace(A, persistent_keepalive=30), B), listen_port=51899))
    after = device.site.tunnels[0]
    assert (after.peers[0].name, after.peers[0].comment) == (renamed.name, renamed.comment)
    assert after.peers[0].keep_alive == 30
    assert after.custom_network == (("192.168.77.0", 24),)
    assert after.private_key == tunnel.private_key


def test_a_v1_change_of_one_peer_is_one_write(gateway):
    device = gateway(generations=FIRST)
    mine = subject(device, ONE)
    run = mine.again()
    run.converge(TWO)
    assert len(requests(run)) == 1


def test_a_v2_change_of_many_peers_is_one_write(gateway):
    device = gateway(generations=SECOND)
    run = subject(device, ONE).again()
    run.converge(State((replace(A, allowed_ips=B.allowed_ips), replace(B, allowed_ips=A.allowed_ips), HUB)))
    assert len(requests(run)) == 1


@BOTH
def test_two_keys_of_one_router_get_names_of_their_own(gateway, generations):
    device = gateway(generations=generations)
    twin = replace(B, mark=Mark("contract", "alpha", 1))
    subject(device, State((A, twin)))
    names = [peer.name for peer in device.site.tunnels[0].peers]
    assert len(set(names)) == 2
    assert all(name.startswith("alpha-") for name in names)


def test_the_private_key_is_sent_and_never_shown(gateway):
    device = gateway()
    mine = subject(device, ONE)
    shown = "".join(requests(mine) + mine.journal.lines)
    assert "privateKey: ***" in shown
    assert device.site.tunnels[0].private_key not in shown


@BOTH
def test_another_private_key_is_written_with_the_whole_interface(gateway, generations):
    device = gateway(generations=generations)
    mine = subject(device, ONE)
    key = new_private_key()
    change = ActivateKey(interface=INTERFACE, key=public_key_of(key))
    plan = RouterPlan(TARGET, "p", ((change,),), mine.wanted(ONE), private_keys={INTERFACE: key})
    (step,) = [step for step in OmadaDriver().render(plan, mine.observe()).steps if step.covers]
    mine.router.link.send(step.requests[0])
    assert mine.observe().stored[INTERFACE].public_key == public_key_of(key)
    assert step.interrupts == "interface"


@pytest.mark.parametrize("mtu", [575, 1441])
def test_an_mtu_that_the_controller_refuses_is_refused_before(gateway, mtu):
    device = gateway()
    mine = subject(device, ONE)
    before = device.writes()
    with pytest.raises(Unsupported, match=f"mtu {mtu} is outside 576 to 1440"):
        mine.again().converge(replace(ONE, mtu=mtu))
    assert device.writes() == before


def test_an_interface_with_peers_is_emptied_before_it_is_deleted(gateway):
    device = gateway(generations=FIRST)
    mine = subject(device, TWO)
    mine.observe()
    engine.converge(mine.router, engine.Intent({}), plan_id="gone", journal=engine.NoJournal())
    assert device.site.tunnels == ()


# ------------------------------------------------------------------------------------------------- somebody else's work
@BOTH
def test_an_edit_between_read_and_write_is_not_written_over(gateway, generations):
    device = gateway(generations=generations)
    mine = subject(device, TWO)
    run = mine.again()
    run.observe()
    tunnel = device.site.tunnels[0]
    phone = SimulatedGateway.stranger("phone", public_key_of(new_private_key()), "172.31.0.1/32")
    edited = replace(tunnel.peers[0], comment="fleet:contract:alpha, moved to the attic")
    device.edit(replace(tunnel, peers=(edited, tunnel.peers[1], phone)))
    before = device.site.tunnels
    intent = engine.Intent(mine.wanted(State((replace(A, persistent_keepalive=30), B))))
    with pytest.raises(Rejected, match="was changed by somebody else since it was read"):
        engine.converge(run.router, intent, plan_id="late", journal=engine.NoJournal())
    assert device.site.tunnels == before
    run.again().converge(State((replace(A, persistent_keepalive=30), B)))
    assert {peer.name for peer in device.site.tunnels[0].peers} >= {"phone"}


def test_a_look_before_a_write_is_a_read_that_covers_nothing(gateway):
    device = gateway()
    run = subject(device, ONE).again()
    run.converge(State((replace(A, persistent_keepalive=30),)))
    look = run.scripts[0].guarded[0][0]
    assert look.covers == ()
    assert all(isinstance(request, Unchanged) and request.reads for request in look.requests)


def test_a_name_that_somebody_else_took_meanwhile_is_said(gateway):
    device = gateway()
    device.site.others.append({"id": "0" * 24, "name": "wg7 fleet:contract:subject", "status": True, "vpnType": 0})
    with pytest.raises(Rejected, match="the name is used by another VPN of this site") as caught:
        subject(device, ONE)
    assert "rename that VPN" in caught.value.hint


def test_a_port_of_another_vpn_is_said(gateway):
    device = gateway()
    device.site.others.append({"id": "0" * 24, "name": "old", "status": True, "vpnType": 0, "servicePort": 51877})
    with pytest.raises(Rejected, match="the port is used by another VPN") as caught:
        subject(device, ONE)
    assert "listen_port" in caught.value.hint


def test_a_site_that_is_busy_is_said(gateway):
    device = gateway()
    device.site.busy = True
    with pytest.raises(Rejected, match="the site is busy") as caught:
        subject(device, ONE)
    assert "run `fleet sync` again when that is over" in caught.value.hint


# ------------------------------------------------------------------------------------------------- rights and firmware
def test_an_application_that_may_only_look_is_told_which_role_it_needs(gateway):
    device = gateway(application=Application(rights=VIEWER))
    with pytest.raises(Rejected, match="the role of the application does not allow this") as caught:
        subject(device, ONE)
    assert "Site Settings Manager Modify" in caught.value.hint


def test_a_wrong_secret_is_a_failed_login(gateway):
    device = gateway()
    device.application = Application(client_id=device.application.client_id, client_secret="wrong")
    with pytest.raises(LoginFailed, match="-44106"):
        subject(device, ONE)


def test_a_gateway_without_wireguard_is_refused_before_anything_is_written(gateway):
    device = gateway(sites=[Site("site", Gateway("site", firmware=Firmware(wireguard=False)))])
    with pytest.raises(Unsupported, match="does not support WireGuard: upgrade its firmware"):
        subject(device, ONE)
    assert device.writes() == 0


@BOTH
def test_a_full_gateway_is_said(gateway, generations):
    device = gateway(generations=generations, sites=[Site("site", Gateway("site", firmware=Firmware(peers=1)))])
    with pytest.raises(Rejected, match="holds no more WireGuard peers"):
        subject(device, TWO)


def test_a_name_as_endpoint_is_refused_where_the_gateway_takes_none(gateway):
    device = gateway()
    mine = subject(device, State())
    named = replace(HUB, endpoint=replace(HUB.endpoint, host="vpn.example.com"))
    with pytest.raises(Unsupported, match=r"an endpoint must be an address, vpn\.example\.com is a name"):
        mine.again().converge(State((named,)))


# --------------------------------------------------------------------------------------------------- tokens and pages
@pytest.mark.parametrize("kind", ["expire_token", "revoke_token", "html"])
@pytest.mark.parametrize("moment", range(1, 12, 2))
def test_a_token_that_ends_at_any_moment_is_survived(gateway, kind, moment):
    device = gateway()
    mine = subject(device, ONE)
    device.simulator.fault(moment, kind)
    assert mine.again().converge(TWO)
    assert mine.differences(TWO) == ()


def test_a_burst_that_is_too_fast_is_waited_out(gateway):
    device = gateway()
    mine = subject(device, ONE)
    device.simulator.fault(lambda one: one.method == "POST", "refuse", code=-7132, times=1)
    assert mine.again().converge(TWO)


# ------------------------------------------------------------------------------------------------------------ delivery
@BOTH
def test_a_change_is_waited_for_until_the_gateway_has_it(gateway, generations):
    device = gateway(generations=generations)
    mine = subject(device, ONE)
    site = device.simulator.gateway("site")
    site.delay = 5.0
    device.simulator.meanwhile(lambda one: one.path.endswith("/devices") and site.next is not None, lambda: device.advance(6))
    mine.again().converge(TWO)
    assert site.delivered


def test_a_gateway_that_stays_at_work_is_pending_and_picked_up_later(gateway):
    device = gateway()
    mine = subject(device, ONE)
    device.simulator.gateway("site").delay = 500.0
    with pytest.raises(NotSettled):
        mine.again().converge(TWO)
    device.advance(501)
    assert mine.again().converge(TWO) == ()


def test_a_gateway_that_goes_away_while_it_is_written_is_pending_and_has_it_when_it_is_back(gateway):
    device = gateway()
    mine = subject(device, ONE)
    site = device.simulator.gateway("site")
    device.simulator.meanwhile(lambda one: one.method == "POST", lambda: site.enter("offline"))
    with pytest.raises(Unreachable, match="as disconnected"):
        mine.again().converge(TWO)
    site.enter("connected")
    assert mine.again().converge(TWO) == ()
    assert site.delivered


@BOTH
def test_what_was_not_delivered_is_pushed_again(gateway, generations):
    device = gateway(generations=generations)
    mine = subject(device, ONE)
    site = device.simulator.gateway("site")
    site.failing_deliveries = 1
    run = mine.again()
    run.converge(TWO)
    assert site.delivered
    assert requests(run)[-1].endswith("/force-provision")


def test_a_push_is_shown_as_an_interruption(gateway):
    device = gateway()
    mine = subject(device, ONE)
    device.simulator.gateway("site").failing_deliveries = 1
    device.edit(replace(device.site.tunnels[0], listen_port=50000))
    run = mine.again()
    run.converge(replace(ONE, listen_port=50000))
    (step,) = [step for script in run.scripts for step in script.steps if step.covers]
    assert step.interrupts == "interface"
    assert "stored but not running: port 51877, stored 50000" in step.summary


def test_a_first_contact_needs_the_key_that_was_made_for_it(gateway):
    device = gateway()
    mine = subject(device)
    bare = Interface(INTERFACE, public_key_of(new_private_key()), listen_port=51877, mtu=1420)
    plan = RouterPlan(TARGET, "p", ((AddInterface(interface=INTERFACE, wanted=bare),),), {INTERFACE: bare})
    with pytest.raises(Unsupported, match="the key of a new interface is made here"):
        OmadaDriver().render(plan, mine.observe())
