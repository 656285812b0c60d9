"""The lab itself, proven with WireGuard set up by hand: what it lets through, what it forgets, what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .handmade import PORT, address, join
from .measure import PingStream, eventually, ping, public_key, reaches, wg_peers
from .router import Init
from .topology import Firewall, Topology, build

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab-handmade")]

IDLE_SECONDS = 46.0
"""Longer than the carrier's 30 s and the branch NAT's 30 s of a mapping that was never answered twice in a row."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """Branch 1 has the usual keepalive, branch 2 none, branch 3 every 5 s. Branch 2 is left alone from `joined` on."""
    with build(tmp_path_factory.mktemp("lab"), branches=3, inits=("systemd", "systemd", "rc.local")) as topology:
        join(topology, {"branch-2": 0, "branch-3": 5})
        yield topology


@pytest.fixture(scope="module")
def joined(network: Topology) -> float:
    """When branch 2 was last heard of."""
    assert ping(network.branches[1].host, network.hub.host_address, count=1).received == 1
    return time.monotonic()


def test_lans_behind_two_nats_reach_the_hubs_lan_and_one_another(network: Topology, joined: float) -> None:
    one, _, three = network.branches
    assert reaches(one.host, network.hub.host_address)
    assert reaches(network.hub.host, three.host_address)
    assert reaches(one.host, three.host_address)


def test_nothing_of_a_lan_is_reachable_outside_the_tunnel(network: Topology, joined: float) -> None:
    assert not reaches(network.noc, network.branches[0].host_address)
    assert not reaches(network.internet, network.hub.host_address)


def test_the_hub_sees_a_branch_at_its_carriers_address(network: Topology, joined: float) -> None:
    branch = network.branches[0]
    peer = wg_peers(network.hub.router)[public_key(branch.router)]
    assert peer.endpoint is not None
    assert peer.endpoint.startswith(f"{branch.carrier.address}:")


def test_a_carriers_new_address_is_bridged_by_the_keepalive(network: Topology, joined: float) -> None:
    branch = network.branches[2]
    with PingStream(network.hub.host, branch.host_address) as stream:
        time.sleep(0.5)
        branch.carrier.readdress("203.0.113.131")
        assert eventually(lambda: _at(network, "203.0.113.131"), within=8) is not None
        time.sleep(0.5)
    assert 200 < stream.pings.max_gap_ms < (5 + 2) * 1000


def _at(network: Topology, carrier: str) -> bool:
    return any((peer.endpoint or "").startswith(f"{carrier}:") for peer in wg_peers(network.hub.router).values())


@pytest.mark.parametrize("number", [1, 3], ids=["systemd", "rc.local"])
def test_a_restart_brings_back_what_is_enabled_and_nothing_else(network: Topology, joined: float, number: int) -> None:
    branch = network.branches[number - 1]
    branch.router.sh(
        "ip link add name stray type bridge; nft add table inet stray; sysctl -q -w net.ipv4.conf.lan.proxy_arp=1\n"
        "touch /run/stray /tmp/stray /root/kept; setsid sleep 600 >/dev/null 2>&1 &"
    )
    branch.router.restart()
    assert eventually(lambda: reaches(branch.host, network.hub.host_address), within=15) is not None
    assert branch.router.sh("ls /sys/class/net").split() == ["bench", "lan", "lo", "wan", "wg0"]
    assert (
        branch.router.sh("nft list tables; cat /proc/sys/net/ipv4/conf/lan/proxy_arp; ls /run/stray 2>&1 || :").split()[0]
        == "0"
    )
    assert not any("sleep 600" in line for line in branch.router.processes())
    assert branch.router.path("/root/kept").exists()
    assert not branch.router.path("/tmp/stray").exists()


def test_a_disabled_unit_stays_down_after_a_restart(network: Topology, joined: float) -> None:
    router = network.branches[0].router
    router.systemctl("disable", "wg-quick@wg0")
    router.restart()
    assert "wg0" not in router.sh("ls /sys/class/net").split()
    router.systemctl("enable", "--now", "wg-quick@wg0")
    assert "wg0" in router.sh("ls /sys/class/net").split()
    assert reaches(network.branches[0].host, network.hub.host_address)


def test_an_idle_branch_without_keepalive_is_lost_and_one_with_it_is_not(network: Topology, joined: float) -> None:
    silent = network.branches[1]
    time.sleep(max(0.0, joined + IDLE_SECONDS - time.monotonic()))
    assert reaches(network.hub.host, network.branches[0].host_address)
    assert not reaches(network.hub.host, silent.host_address)
    assert reaches(silent.host, network.hub.host_address), "it comes back as soon as the branch itself speaks"


def test_the_host_keeps_its_own_files_and_namespaces(network: Topology) -> None:
    router = network.branches[0].router
    router.write("/etc/fleet-lab-was-here", "")
    router.sh("ip link add name fleetlab0 type bridge; touch /usr/share/fleet-lab-was-here")
    assert not Path("/etc/fleet-lab-was-here").exists()
    assert not Path("/sys/class/net/fleetlab0").exists()
    assert not Path("/usr/share/fleet-lab-was-here").exists()


def test_a_killed_run_leaves_no_process_behind(tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    script = (
        f"import sys, time; sys.path.insert(0, {str(tests)!r})\nfrom pathlib import Path\nfrom lab.topology import build\n"
        f"topology = build(Path({str(tmp_path)!r}), branches=1)\n"
        "print(*(node.pid for node in topology.lab.everything), flush=True)\ntime.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    pids = [int(pid) for pid in run.stdout.readline().split()]
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert len(pids) == 10
    assert eventually(lambda: not any(_alive(pid) for pid in pids), within=5, every=0.02) is not None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("firewall", "init", "repair"),
    [
        ("nftables", "systemd", f"nft insert rule inet corporate incoming udp dport {PORT} accept"),
        ("iptables", "rc.local", f"iptables -I INPUT -p udp --dport {PORT} -j ACCEPT"),
    ],
)
def test_a_hardened_hub_drops_the_tunnel_until_somebody_opens_its_chain(
    tmp_path: Path, firewall: Firewall, init: Init, repair: str
) -> None:
    with build(tmp_path, branches=1, hub_firewall=firewall, hub_init=init) as network:
        branch, hub = network.branches[0], network.hub
        hub.router.restart()
        join(network)
        assert reaches(branch.router, hub.address), "the hub itself answers pings"
        assert wg_peers(branch.router)[public_key(hub.router)].handshake == 0
        hub.router.sh(repair)
        assert eventually(lambda: reaches(branch.router, address(hub)), within=15) is not None
        assert not reaches(branch.host, hub.host_address), "forwarding is still dropped"
