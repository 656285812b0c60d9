"""An EdgeRouter as the field knows it: what it refuses, loses and leaves behind, and what fleet says then."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

import pytest
from edgeos_devices import DRIVER, SimulatedEdgeRouter

from fleet.driver import RouterPlan
from fleet.errors import Rejected, RouterError, Unsupported
from fleet.link import Target
from fleet.model import ClampMss, Endpoint
from fleet.testing.cases import HUB, INTERFACE, OVERLAY, ROUTER, A, State, public_key
from fleet.testing.subject import Subject


@pytest.fixture
def router() -> Iterator[SimulatedEdgeRouter]:
    device = SimulatedEdgeRouter()
    yield device
    device.close()


def active(router: SimulatedEdgeRouter) -> str:
    return router.simulator.ok("cli-shell-api showConfig --show-active-only --show-show-defaults --show-commands")


def refused(run: Subject, state: State) -> str:
    with pytest.raises((Rejected, Unsupported)) as caught:
        run.converge(state)
    return str(caught.value)


def test_the_private_key_is_made_on_the_router_readable_for_its_group_only(router: SimulatedEdgeRouter) -> None:
    Subject(DRIVER, router).converge(State((HUB,)))
    (path,) = (word for word in active(router).split() if word.startswith("/config/auth/fleet-"))
    assert router.simulator.ok(f"stat -c '%a %G' {path}").split() == ["640", "vyattacfg"]


def test_routes_are_never_left_to_allowed_ips(router: SimulatedEdgeRouter) -> None:
    Subject(DRIVER, router).contact(State())
    assert f"set interfaces wireguard {INTERFACE} route-allowed-ips false" in active(router)


def test_a_lower_mss_of_others_stays(router: SimulatedEdgeRouter) -> None:
    router.by_hand(["firewall options mss-clamp interface-type pppoe", "firewall options mss-clamp mss 1300"])
    run = Subject(DRIVER, router)
    run.converge(State((HUB,), openings=(ClampMss(1420),)))
    assert "set firewall options mss-clamp mss 1300" in active(router)
    assert run.differences(State((HUB,), openings=(ClampMss(1420),))) == ()


def test_a_clamp_that_is_wanted_no_longer_stays_for_others(router: SimulatedEdgeRouter) -> None:
    run = Subject(DRIVER, router)
    run.converge(State((HUB,), openings=(ClampMss(1420),)))
    run.again().converge(State((HUB,)))
    assert "set firewall options mss-clamp mss 1380" in active(router)


def test_a_disabled_peer_is_made_anew(router: SimulatedEdgeRouter) -> None:
    """Editing it would bring half of it back to the kernel; sheet 1.4."""
    run = Subject(DRIVER, router)
    run.converge(State((A,)))
    router.by_hand([f"interfaces wireguard {INTERFACE} peer {A.public_key} disable"])
    run.again().converge(State((A,)))
    assert run.differences(State((A,))) == ()


def test_somebody_elses_commit_is_said_and_not_awaited_for_ever(router: SimulatedEdgeRouter) -> None:
    run = Subject(DRIVER, router)
    run.converge(State((HUB,)))
    router.simulator.ok("true")
    router.simulator.lock_config()
    try:
        said = refused(run.again(), State((HUB, A)))
    finally:
        router.simulator.unlock_config()
    assert "somebody else's commit holds the configuration" in said
    run.again().converge(State((HUB, A)))


def test_a_name_that_does_not_resolve_never_reaches_the_commit(router: SimulatedEdgeRouter) -> None:
    run = Subject(DRIVER, router)
    run.converge(State((A,)))
    lost = replace(HUB, endpoint=Endpoint("nosuch.invalid", 51820))
    assert "does not resolve on this router, nothing was committed (nosuch.invalid)" in refused(run.again(), State((A, lost)))
    assert "nosuch.invalid" not in active(router)


def test_work_that_somebody_has_not_saved_is_not_saved_for_him(router: SimulatedEdgeRouter) -> None:
    run = Subject(DRIVER, router)
    run.converge(State((A,)))
    wrapper = "/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper"
    lines = f"{wrapper} begin; {wrapper} set service nat rule 5003 type masquerade; "
    lines += f"{wrapper} set service nat rule 5003 outbound-interface eth0; {wrapper} commit; {wrapper} end"
    router.simulator.ok(f"sg vyattacfg -c '{lines}'")
    assert "service nat rule 5003 is not saved" in refused(run.again(), State((A, HUB)))


def test_after_a_firmware_upgrade_without_the_package_nothing_is_saved(router: SimulatedEdgeRouter) -> None:
    run = Subject(DRIVER, router)
    run.converge(State((A,)))
    router.simulator.upgrade("2.0.9")
    before = router.simulator.read("/config/config.boot")
    assert "WireGuard is gone since a firmware upgrade" in refused(run.again(), State((A, HUB)))
    assert router.simulator.read("/config/config.boot") == before


def test_a_router_that_never_had_the_package_is_told_which_one() -> None:
    device = SimulatedEdgeRouter(package=False)
    try:
        with pytest.raises(Unsupported, match="install the package for e300"):
            Subject(DRIVER, device).contact(State())
    finally:
        device.close()


def test_hardware_nat_of_mediatek_boards_is_warned_of() -> None:
    device = SimulatedEdgeRouter(board="e50")
    try:
        device.by_hand(["system offload hwnat enable"])
        assert any("hwnat disable" in note for note in Subject(DRIVER, device).observe().notes)
    finally:
        device.close()


def test_a_full_flash_is_one_line_with_the_next_action(router: SimulatedEdgeRouter) -> None:
    run = Subject(DRIVER, router)
    run.converge(State((A,)))
    router.simulator.break_flash(errno.ENOSPC)
    try:
        said = refused(run.again(), State((A, HUB)))
    finally:
        router.simulator.mend_flash()
    assert "df /config" in said or "cannot write" in said
    run.again().converge(State((A, HUB)))
    assert run.differences(State((A, HUB))) == ()


def test_what_the_kernel_lost_is_brought_back(router: SimulatedEdgeRouter) -> None:
    run = Subject(DRIVER, router)
    state = State((HUB, A), routes={"192.168.2.0/24": "alpha"})
    run.converge(state)
    router.simulator.ok(f"sudo wg set {INTERFACE} peer {A.public_key} remove; sudo ip addr del 10.99.0.7/24 dev {INTERFACE}")
    assert run.differences(state) != ()
    run.again().converge(state)
    assert run.differences(state) == ()


def test_a_private_key_that_somebody_deleted_is_loaded_again(router: SimulatedEdgeRouter) -> None:
    """The templates let that commit pass; sheet 1.3."""
    run = Subject(DRIVER, router)
    key = run.contact(State())
    run.converge(State((A,)))
    wrapper = "/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper"
    lines = f"{wrapper} begin; {wrapper} delete interfaces wireguard {INTERFACE} private-key; {wrapper} commit; {wrapper} end"
    router.simulator.ok(f"sg vyattacfg -c '{lines}'")
    assert run.differences(State((A,))) != ()
    run.again().converge(State((A,)))
    observed = run.observe()
    assert observed.running is not None
    assert observed.running[INTERFACE].public_key == key


def test_no_name_with_a_quote_is_sent(router: SimulatedEdgeRouter) -> None:
    observed = Subject(DRIVER, router).observe()
    with pytest.raises(ValueError, match="not a plan's name"):
        _render_with_plan("it's", observed)


def _render_with_plan(plan_id: str, observed: object) -> NoReturn:
    plan = RouterPlan(Target(ROUTER, OVERLAY, (INTERFACE,)), plan_id, (), {}, confirm_within=120)
    DRIVER.render(plan, observed)  # type: ignore[arg-type]  # as it was read
    raise AssertionError("rendered")


def test_the_read_shows_no_private_and_no_preshared_key(router: SimulatedEdgeRouter) -> None:
    run = Subject(DRIVER, router)
    run.converge(State((A,)))
    files = router.simulator.ok("cat /config/auth/fleet-*").split()
    seen: list[str] = []
    link = router.link(Target(ROUTER, OVERLAY, (INTERFACE,), DRIVER.Options()))
    link._observer = lambda _request, reply, _took: seen.append("" if isinstance(reply, RouterError) else reply.text)
    DRIVER.observe(link)
    assert files
    assert public_key("alpha") in seen[0]
    assert not [secret for secret in files if secret in seen[0]]
