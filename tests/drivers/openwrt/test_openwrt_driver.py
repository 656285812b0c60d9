"""The driver on a simulated router: what it refuses, what it keeps, what it leaves alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from openwrt_devices import DRIVER, STRANGERS_SECRET, SimulatedOpenwrt

from fleet.drivers.openwrt import OpenwrtDriver, scripts
from fleet.drivers.openwrt.driver import Options
from fleet.errors import Rejected, RouterError, Unsupported
from fleet.model import Endpoint, ListenPort
from fleet.testing.cases import HUB, INTERFACE, SURROUNDINGS, A, B, State
from fleet.testing.subject import Subject

Make = Callable[..., Subject]


@pytest.fixture
def make() -> Iterator[Make]:
    devices: list[SimulatedOpenwrt] = []

    def subject(version: str = "23.05", options: object = None, **settings: object) -> Subject:
        devices.append(SimulatedOpenwrt(version, **settings))
        return Subject(DRIVER, devices[-1], options)

    yield subject
    for device in devices:
        device.close()


@pytest.fixture
def subject(make: Make) -> Subject:
    return make()


def simulator(subject: Subject):
    assert isinstance(subject.device, SimulatedOpenwrt)
    return subject.device.simulator


def handshakes(subject: Subject) -> list[str]:
    """Index and peers of the kernel's device: a new index is a device made anew."""
    return re.findall(r"^\d+", simulator(subject).ok(f"ip -o link show {INTERFACE}"), re.MULTILINE)


# ------------------------------------------------------------------------------------------------------------- others
def test_changes_that_somebody_has_not_committed_refuse_the_run_and_are_named(subject: Subject) -> None:
    """Sheet 2.4: one staging area serves everybody."""
    simulator(subject).stage("set network.lan.metric='3'")
    with pytest.raises(Unsupported, match=r"not committed \(network\.lan\).*uci commit"):
        subject.converge(State((A,)))
    assert "network.lan.metric='3'" in simulator(subject).ok("uci changes")


def test_changes_staged_after_the_read_refuse_the_write(subject: Subject) -> None:
    subject.converge(State())
    subject.router.link.through(lambda connect: connect)
    staged = []

    def stage_at_write(*_: object) -> None:
        if not staged:
            staged.append(simulator(subject).stage("set network.lan.metric='3'"))

    script = DRIVER.render

    class Late(OpenwrtDriver):
        def render(self, plan, observed):  # type: ignore[no-untyped-def]  # as the driver's own
            stage_at_write()
            return script(plan, observed)

    late = Subject(Late(), subject.device, key=subject.key)
    with pytest.raises(Rejected, match=r"not committed.*network\.lan"):
        late.converge(State((A,)))
    assert subject.observe().stored[INTERFACE].peers == {}


def test_what_a_killed_run_of_ours_staged_is_dropped(subject: Subject) -> None:
    subject.converge(State((A,)))
    host = simulator(subject)
    host.ok("mkdir -p $FLEET_ROOT/tmp/fleet; echo network.wg7 >$FLEET_ROOT/tmp/fleet/staging")
    host.stage("set network.wg7.mtu='1300'")
    subject.converge(State((A, B)))
    assert subject.differences(State((A, B))) == ()
    assert host.ok("uci changes") == ""


def test_an_anonymous_peer_with_a_wanted_key_is_claimed_keeps_its_words_and_gets_a_name(subject: Subject) -> None:
    """Sheet 1.3: an anonymous section's name changes with its place."""
    subject.converge(State())
    host = simulator(subject)
    host.ok(
        "uci batch",
        f"add network wireguard_wg7\nset network.@wireguard_wg7[-1].public_key='{A.public_key}'\n"
        "set network.@wireguard_wg7[-1].description='Bob'\\''s shop'\n".encode(),
    )
    host.ok("uci commit network")
    subject.converge(State((A,)))
    assert subject.differences(State((A,))) == ()
    shown = host.ok("uci -X show network")
    assert "cfg" not in "".join(line for line in shown.splitlines() if "wireguard_wg7" in line)
    assert "Bob'\\''s shop fleet:contract:alpha" in shown


def test_a_peer_made_by_hand_survives_and_its_secret_stays_on_the_router(subject: Subject) -> None:
    subject.converge(State((A,)))
    subject.device.plant(INTERFACE)
    before = subject.device.foreign()
    seen: list[str] = []
    subject.router.link._observer = lambda request, reply, took: seen.append(getattr(reply, "text", ""))
    subject.converge(State((A, B), openings=SURROUNDINGS))
    assert subject.device.foreign() == before
    assert STRANGERS_SECRET not in "".join(seen)


# ------------------------------------------------------------------------------------------------------------ refusals
def test_a_missing_package_is_said_with_the_command_of_its_package_manager(make: Make) -> None:
    """Sheet 6: opkg up to 24.10, apk from 25.12."""
    for version, command in (("23.05", "opkg update && opkg install"), ("25.12", "apk update && apk add")):
        bare = make(version, packages=())
        with pytest.raises(Unsupported, match=re.escape(f"{command} wireguard-tools")):
            bare.converge(State())


def test_a_handler_that_netifd_has_not_read_yet_asks_for_its_restart(make: Make) -> None:
    """Sheet 6: handlers are read when netifd starts."""
    subject = make(packages=())
    simulator(subject).install("wireguard-tools")
    with pytest.raises(Unsupported, match=r"/etc/init\.d/network restart"):
        subject.converge(State())


def test_a_rule_that_the_firewall_skips_is_refused_and_nothing_is_committed(make: Make) -> None:
    """Sheet 5: `fw4 check` ends with 0 when it skips a section."""
    subject = make(options=Options(wan_zone="nowhere"))
    subject.converge(State())
    commits = simulator(subject).flash_commits
    with pytest.raises(Rejected, match=r"firewall refused.*Section fleet_contract_wg7_port_51877"):
        subject.converge(State(openings=(ListenPort(51877),)))
    assert simulator(subject).flash_commits == commits
    assert simulator(subject).ok("uci changes") == ""


def test_a_full_flash_is_said_and_nothing_is_left_staged(subject: Subject) -> None:
    subject.converge(State())
    simulator(subject).flash_full = True
    with pytest.raises(RouterError, match=r"not written|cannot write"):
        subject.converge(State((A,)))
    simulator(subject).flash_full = False
    assert simulator(subject).ok("uci changes") == ""
    subject.converge(State((A,)))
    assert subject.differences(State((A,))) == ()


def test_a_guard_that_finds_no_room_is_not_armed_and_nothing_is_written(subject: Subject) -> None:
    subject.converge(State())
    before = subject.device.ours()
    simulator(subject).flash_full = True
    with pytest.raises(RouterError, match="could not be armed"):
        subject.guarded(State((A,)))
    simulator(subject).flash_full = False
    assert subject.device.ours() == before


def test_a_peer_cannot_be_disabled_on_the_oldest_release(make: Make) -> None:
    """Sheet 1.2: H0 ignores the option silently."""
    subject = make("21.02")
    with pytest.raises(Unsupported, match="disabled peers"):
        subject.converge(State((replace(A, disabled=True),)))


# ----------------------------------------------------------------------------------------------------------- what runs
def test_tunnels_that_do_not_change_keep_their_device(subject: Subject) -> None:
    """Sheet 3.6: a peer is brought to the kernel by itself, no interface restarts."""
    subject.converge(State((A,)))
    before = handshakes(subject)
    subject.converge(State((A, HUB), ("10.99.0.7/24", "10.99.0.77/24"), openings=SURROUNDINGS))
    assert handshakes(subject) == before


def test_a_no_op_commits_nothing(subject: Subject) -> None:
    subject.converge(State((A,), openings=SURROUNDINGS))
    commits, before = simulator(subject).flash_commits, simulator(subject).state()
    assert subject.converge(State((A,), openings=SURROUNDINGS)) == ()
    assert (simulator(subject).flash_commits, simulator(subject).state()) == (commits, before)


def test_one_change_is_one_commit_of_a_package(subject: Subject) -> None:
    """Flash wears: sheet 7."""
    subject.converge(State((A,)))
    commits = simulator(subject).flash_commits
    subject.converge(State((A, B), openings=SURROUNDINGS))
    assert simulator(subject).flash_commits - commits == 2


@pytest.mark.parametrize(
    "damage",
    [
        f"wg set wg7 peer {A.public_key} remove",
        "ip route del 192.168.2.0/24 dev wg7",
        "ip addr del 10.99.0.7/24 dev wg7",
        "ifdown wg7",
        "fw4 stop || true",
    ],
    ids=["peer", "route", "address", "interface", "firewall"],
)
def test_what_the_kernel_lost_is_brought_back_without_a_commit(subject: Subject, damage: str) -> None:
    wanted = State((A,), openings=SURROUNDINGS)
    subject.converge(wanted)
    commits = simulator(subject).flash_commits
    simulator(subject).run(damage, b"", {"FLEET_SIM_UID": "0"})
    simulator(subject).settle()
    assert subject.differences(wanted) != ()
    subject.converge(wanted)
    assert subject.differences(wanted) == ()
    assert simulator(subject).flash_commits == commits


def test_a_route_option_switched_off_by_hand_is_drift(subject: Subject) -> None:
    """Without it the tunnel is up and the LAN behind it is unreachable."""
    subject.converge(State((A,)))
    host = simulator(subject)
    section = re.search(r"network\.(wgp_\w+)=", host.ok("uci -X show network"))
    assert section is not None
    host.ok(f"uci set network.{section[1]}.route_allowed_ips=0; uci commit network")
    assert subject.differences(State((A,))) != ()
    subject.converge(State((A,)))
    assert subject.differences(State((A,))) == ()


# --------------------------------------------------------------------------------------------------------------- guard
def test_an_undo_spares_what_others_did_in_the_window(subject: Subject) -> None:
    """The whole file goes back only while it is as fleet wrote it; else only what fleet touched."""
    subject.converge(State((A,)))
    before = subject.device.ours()

    def meanwhile() -> str:
        simulator(subject).ok(
            "uci set network.lan.metric='3'; uci set firewall.guests=zone; uci set firewall.guests.name='guests'; uci commit"
        )
        return "the drill says so"

    with pytest.raises(RouterError):
        subject.guarded(State((B,), openings=SURROUNDINGS), meanwhile)
    assert subject.device.ours() == before
    shown = simulator(subject).ok("uci show network.lan.metric; uci show firewall.guests.name")
    assert "metric='3'" in shown
    assert "guests" in shown


def test_nothing_of_the_guard_is_left_after_the_confirm(subject: Subject) -> None:
    subject.converge(State((A,)))
    subject.guarded(State((A, B)))
    left = simulator(subject).ok(
        "ls $FLEET_ROOT/etc/init.d $FLEET_ROOT/etc/rc.d; ls -d $FLEET_ROOT/etc/fleet 2>/dev/null || true"
    )
    assert "fleet" not in left.replace(str(simulator(subject).root_path), "")


def test_changes_of_other_packages_that_wait_are_nobodys_hindrance(subject: Subject) -> None:
    """Only network and firewall are committed."""
    host = simulator(subject)
    host.ok("uci set system.@system[0].hostname='later'")
    subject.converge(State((A,)))
    assert subject.differences(State((A,))) == ()
    assert "hostname='later'" in host.ok("uci changes")


# ------------------------------------------------------------------------------------------------- parts of the scripts
def functions(subject: Subject, calls: str) -> tuple[str, str, int]:
    """Calls of the scripts' own functions on the router."""
    out, error, code = simulator(subject).run("sh -s", f"{scripts.library()}{calls}\n".encode(), {"FLEET_SIM_UID": "0"})
    return out.decode(), error.decode(), code


def test_what_somebody_stages_between_our_batch_and_our_commit_is_not_committed(subject: Subject) -> None:
    subject.converge(State((A,)))
    commits = simulator(subject).flash_commits
    calls = (
        "paths contract; make_work; lock; echo network.wg7 >$STATE/staging; uci set network.wg7.mtu=1300\n"
        "uci set network.lan.metric=3; commit"
    )
    _, error, code = functions(subject, calls)
    assert code == 25
    assert "network.lan" in error
    assert simulator(subject).flash_commits == commits
    assert simulator(subject).ok("uci changes").strip() == "network.lan.metric='3'"


def test_a_writer_whose_session_was_killed_still_counts_as_a_writer_and_is_ended_by_the_undo(subject: Subject) -> None:
    """It runs in a subshell that ignores the hangup: the lock names that one, not the shell of the session."""
    host = simulator(subject)
    calls = (
        "held() { paths contract; make_work; lock; sleep 600; }\n"
        "(trap '' HUP; held) </dev/null >/dev/null 2>&1 & held=$!\n"
        'until [ -s "$FLEET_ROOT/tmp/fleet/lock.by" ]; do :; done\n'
        'read -r by start <"$FLEET_ROOT/tmp/fleet/lock.by"; [ "$by" = "$held" ] && echo the-subshell\n'
        "FLEET_GUARD_GRACE=0; paths contract; make_work; lock_for_undo; kill -0 $held 2>/dev/null || echo ended"
    )
    out, error, _ = functions(subject, calls)
    assert out.split() == ["the-subshell", "ended"], error
    assert not [argv for _, argv in host.processes() if argv[-1:] == ["600"]]


def test_a_line_of_the_crontab_goes_back_even_if_the_run_died_before_it_noted_the_file(subject: Subject) -> None:
    subject.converge(State((A,)))
    host = simulator(subject)
    with pytest.raises(RouterError):
        subject.guarded(
            State((A, replace(HUB, endpoint=Endpoint("vpn.example.com", 51820))), reresolve=True), lambda: _forget_sums(host)
        )
    assert "fleet" not in host.ok("cat $FLEET_ROOT/etc/crontabs/root 2>/dev/null || true")


def _forget_sums(host: Any) -> str:
    host.ok(": >$FLEET_ROOT/etc/fleet/guard-contract/sums")
    return "the drill says so"


def test_an_undo_brings_back_which_address_the_router_speaks_from(subject: Subject) -> None:
    """The first address of a prefix is the source of its packets; peers let in nobody else's."""
    for addresses in (("10.99.0.7/24",), ("10.99.0.7/24", "10.99.0.77/24")):
        subject.converge(State((A,), addresses))
    with pytest.raises(RouterError):
        subject.guarded(State((A,), ("10.99.0.77/24",)), lambda: "the drill says so")
    shown = simulator(subject).ok("ip -o addr show dev wg7")
    assert [line.split()[3] for line in shown.splitlines() if "10.99" in line] == ["10.99.0.7/24", "10.99.0.77/24"]
