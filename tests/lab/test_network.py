"""fleet brings up a network of blank routers behind carrier-grade NAT, keeps it, and touches only what is its own."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from .measure import PingStream, eventually, reaches, wg_peers
from .net import everywhere
from .product import Noc, ProcessWatch, Run, keys, unreachable_lans
from .router import SSHD, LabRouter, random_key
from .topology import Branch, Topology, build

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab-network")]

RECORDER = """#!/bin/bash
errors=$(mktemp)
/bin/sh -c "$SSH_ORIGINAL_COMMAND" 2>$errors | tee -a /root/sent
code=${PIPESTATUS[0]}
tee -a /root/sent <$errors >&2
exit $code
"""
"""Keeps on the router everything that leaves it over SSH."""

FILES = {"/usr/local/sbin/recorder": RECORDER, "/etc/ssh/sshd_config": SSHD + "ForceCommand /usr/local/sbin/recorder\n"}
STATE = ("/etc", "/root/.ssh", "/var/spool", "/usr/local")
"""Where a write that outlives a restart would land."""


@dataclass
class Living:
    """The network after its first sync from the bench, and what that sync said and showed to others."""

    topology: Topology
    noc: Noc
    first: Run
    watch: ProcessWatch


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """Branch 3 is in the lab but not yet in the inventory."""
    folder = tmp_path_factory.mktemp("network")
    with build(folder, branches=3, files=FILES) as topology:
        noc = Noc(topology, folder / "noc", without={"branch-3"})
        with ProcessWatch() as watch:
            first = noc.sync()
        yield Living(topology, noc, first, watch)


def running(router: LabRouter) -> str:
    """What runs, without counters: WireGuard, addresses, routes, rules."""
    return router.sh(
        "wg showconf wg0; ip -o address show dev wg0; ip route show; ip -o link show dev wg0\n"
        "nft -s list ruleset; cat /proc/sys/net/ipv4/ip_forward"
    )


def everything(routers: Sequence[LabRouter]) -> set[str]:
    """One line for each file that outlives a restart, with its times, and for each thing that runs."""
    seen = everywhere(lambda router: (router.times(*STATE), running(router)), routers)
    files = {
        f"{router.name}: {path} {when}"
        for router, (times, _) in zip(routers, seen, strict=True)
        for path, when in times.items()
    }
    return files | {
        f"{router.name}: {line}" for router, (_, text) in zip(routers, seen, strict=True) for line in text.splitlines()
    }


def returns(topology: Topology, *branches: Branch) -> bool:
    """True once pings from these LANs reach the hub's again.

    Only a spoke can dial; when its data is not answered it does so after 15 s, with keepalives alone after 120 s.
    """
    pairs = [(branch, topology.hub) for branch in branches]
    return eventually(lambda: not unreachable_lans(topology, pairs), within=30) is not None


# ------------------------------------------------------------------------------------------ from nothing to a network
def test_one_sync_takes_blank_routers_to_a_network(living: Living) -> None:
    assert living.first.code == 0, living.first.said
    one, two, _ = living.topology.branches
    hub = living.topology.hub
    assert unreachable_lans(living.topology, [(one, hub), (hub, one), (two, hub), (hub, two), (one, two), (two, one)]) == []


def test_no_secret_was_in_a_process_list_during_the_sync(living: Living) -> None:
    routers = [living.topology.hub.router, *(branch.router for branch in living.topology.branches[:2])]
    text = "\n".join(living.watch.seen)
    assert "wireguard-go wg0" in text, "the watch saw nothing of the routers"
    assert [secret for router in routers for secret in secrets_of(router) if secret in text] == []
    assert (living.noc.folder / ".fleet" / "secret").read_text().strip() not in text


def secrets_of(router: LabRouter) -> list[str]:
    """Private key and preshared keys of a running interface."""
    shown = router.sh("wg show wg0 private-key; wg show wg0 preshared-keys | cut -f 2").split()
    assert len(shown) > 1
    return shown


def test_no_secret_was_said(living: Living) -> None:
    again = living.noc.fleet("-vv", "plan", "--native", *living.noc.bench())
    routers = [living.topology.hub.router, living.topology.branches[0].router]
    text = living.first.out + living.first.err + again.out + again.err
    assert again.code == 0, again.said
    assert [secret for router in routers for secret in secrets_of(router) if secret in text] == []


def test_no_private_key_ever_left_its_router(living: Living) -> None:
    for site in (living.topology.hub, *living.topology.branches[:2]):
        sent = site.router.read("/root/sent")
        assert "@done" in sent or "wg0" in sent, "the recorder saw nothing"
        assert site.router.private_key() not in sent


def test_a_spokes_private_key_is_nowhere_at_the_noc(living: Living) -> None:
    private = [branch.router.private_key().encode() for branch in living.topology.branches[:2]]
    files = [path for path in living.noc.folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" or "state" in path.name for path in files)
    assert [path for path in files for key in private if key in path.read_bytes()] == []


def test_files_with_secrets_are_for_root_only(living: Living) -> None:
    for site in (living.topology.hub, *living.topology.branches[:2]):
        loose = site.router.sh("find /etc/wireguard -perm /077").split()
        assert loose == []


def test_after_shipping_the_tunnel_carries_the_management(living: Living) -> None:
    living.topology.ship()
    shown = living.noc.fleet("plan", "--json")
    assert shown.code == 0, shown.said
    assert shown.outcomes() == {"hq": "in sync", "branch-1": "in sync", "branch-2": "in sync"}


def test_a_second_sync_writes_nothing(living: Living) -> None:
    routers = [living.topology.hub.router, *(branch.router for branch in living.topology.branches[:2])]
    before = everything(routers)
    again = living.noc.sync("--json")
    assert (again.code, set(again.outcomes().values())) == (0, {"in sync"}), again.said
    assert everything(routers) ^ before == set()
    run = living.noc.fleet("history", "--json", "--last", "1").json()["runs"][0]["id"]
    steps = living.noc.fleet("history", "--json", run).json()["entries"]
    assert {(step["phase"], step["text"]) for step in steps} == {("outcome", "in sync")}


def test_status_tells_where_each_branch_is_seen(living: Living) -> None:
    shown = living.noc.fleet("status")
    assert shown.code == 0, shown.said
    assert all(branch.carrier.address in shown.out for branch in living.topology.branches[:2])


# --------------------------------------------------------------------------------------------------------- growing
def test_a_new_branch_changes_the_hub_and_nobody_else_and_disturbs_nobody(living: Living) -> None:
    one, two, three = living.topology.branches
    living.topology.stage(three)
    living.noc.without.clear()
    living.noc.write()
    before = everything([one.router, two.router])
    with PingStream(one.host, living.topology.hub.host_address) as stream:
        grown = living.noc.sync("--json")
    assert grown.code == 0, grown.said
    assert grown.outcomes() == {"hq": "changed", "branch-1": "in sync", "branch-2": "in sync", "branch-3": "changed"}
    assert everything([one.router, two.router]) ^ before == set()
    assert stream.pings.received >= stream.pings.sent - 1, "the last one may still be under way"
    living.topology.ship()
    assert unreachable_lans(living.topology) == []


def test_the_hub_has_exactly_the_expected_peers(living: Living) -> None:
    known = keys(living.topology)
    peers = wg_peers(living.topology.hub.router)
    addresses = {router["router"]: router["address"] for router in living.noc.fleet("status", "--json").json()["routers"]}
    assert {key: peer.allowed_ips for key, peer in peers.items()} == {
        known[branch.name]: {f"{addresses[branch.name]}/32", branch.lan} for branch in living.topology.branches
    }
    assert all(peer.preshared and peer.keepalive == 0 for peer in peers.values())


# ----------------------------------------------------------------------------------------------- drift, and what is not
def test_a_peer_removed_by_hand_is_drift_and_heals(living: Living) -> None:
    hub, branch = living.topology.hub, living.topology.branches[0]
    hub.router.run("wg", "set", "wg0", "peer", keys(living.topology)[branch.name], "remove")
    assert not reaches(hub.host, branch.host_address)
    shown = living.noc.fleet("plan")
    assert shown.code == 2, shown.said
    assert "branch-1" in shown.out
    assert "drift" in shown.out
    healed = living.noc.sync()
    assert healed.code in (0, 6), healed.said
    assert returns(living.topology, branch)
    assert living.noc.fleet("plan").code == 0


def test_a_peer_deleted_from_the_file_is_drift_too_although_it_still_runs(living: Living) -> None:
    branch, router = living.topology.branches[1], living.topology.branches[1].router
    saved = router.read("/etc/wireguard/wg0.conf")
    router.write("/etc/wireguard/wg0.conf", saved[: saved.index("[Peer]")], mode=0o600)
    shown = living.noc.fleet("-vv", "plan", "branch-2", "--native")
    assert shown.code == 2, shown.said
    healed = living.noc.fleet("-vv", "sync", "branch-2", "--yes")
    assert healed.code == 0, healed.said
    text = shown.said + healed.said
    assert [secret for secret in secrets_of(router) if secret in text] == [], "not even the commands that write it say it"
    router.restart()
    assert returns(living.topology, branch)


def test_what_a_router_lost_at_run_time_is_put_back(living: Living) -> None:
    branch = living.topology.branches[0]
    branch.router.sh("ip route delete 192.168.0.0/16 dev wg0; echo 0 >/proc/sys/net/ipv4/ip_forward")
    assert living.noc.fleet("plan").code == 2
    healed = living.noc.sync()
    assert healed.code == 0, healed.said
    assert reaches(branch.host, living.topology.hub.host_address)


def test_a_foreign_peer_and_a_hand_written_line_survive_a_change(living: Living) -> None:
    router, stranger = living.topology.hub.router, random_key()
    peer = f"[Peer]\n# the auditor's laptop\nPublicKey = {stranger}\nAllowedIPs = 10.100.15.1/32\n"
    by_hand = "PostUp = touch /run/by-hand # ticket 4711"
    text = router.read("/etc/wireguard/wg0.conf").replace("[Interface]\n", f"[Interface]\n{by_hand}\n")
    router.write("/etc/wireguard/wg0.conf", f"{text}\n{peer}", mode=0o600)
    router.run("wg", "set", "wg0", "peer", stranger, "allowed-ips", "10.100.15.1/32")
    assert living.noc.fleet("plan").code == 0, "what is not ours is no difference"
    living.noc.routers["branch-2"] = {"enabled": False}
    living.noc.write()
    changed = living.noc.sync("--json")
    assert changed.code == 0, changed.said
    assert changed.outcomes()["hq"] == "changed"
    assert peer in router.read("/etc/wireguard/wg0.conf")
    assert stranger in wg_peers(router)
    router.restart()
    assert router.path("/run/by-hand").exists()
    assert stranger in wg_peers(router)
    assert returns(living.topology, living.topology.branches[0], living.topology.branches[2])


def test_a_suspended_branch_comes_back_with_its_key_and_address(living: Living) -> None:
    branch, before = living.topology.branches[1], keys(living.topology)["branch-2"]
    assert before not in wg_peers(living.topology.hub.router)
    living.noc.routers["branch-2"] = {}
    living.noc.write()
    # Its only way in is the tunnel that this very run gives back: pending in it, in sync in the next.
    assert living.noc.sync().code in (0, 6)
    assert returns(living.topology, branch)
    assert keys(living.topology)["branch-2"] == before
    assert living.noc.fleet("plan").code == 0


# ------------------------------------------------------------------------------------------------------------- trouble
def test_a_branch_that_is_off_is_pending_and_the_others_are_served(living: Living) -> None:
    off = living.topology.branches[2]
    off.router.run("ip", "link", "set", "wan", "down")
    run = living.noc.sync("--json")
    off.router.sh("ip link set wan up; ip route replace default via 10.77.3.1 dev wan")
    assert run.code == 6, run.said
    assert run.outcomes() == {"hq": "in sync", "branch-1": "in sync", "branch-2": "in sync", "branch-3": "pending"}
    assert returns(living.topology, off)


def test_a_restart_of_everything_brings_everything_back(living: Living) -> None:
    everywhere(lambda router: router.restart(), living.topology.routers)
    assert eventually(lambda: not unreachable_lans(living.topology), within=30) is not None
    shown = living.noc.fleet("plan")
    assert shown.code == 0, shown.said


def test_without_its_state_and_with_the_secret_the_noc_knows_everything_again(living: Living, tmp_path: Path) -> None:
    clone = Noc(living.topology, tmp_path / "clone")
    (clone.folder / ".fleet").mkdir(mode=0o700)
    shutil.copy2(living.noc.folder / ".fleet" / "secret", clone.folder / ".fleet" / "secret")
    before = everything(living.topology.routers)
    shown = clone.fleet("plan")
    assert shown.code == 0, shown.said
    run = clone.sync("--json")
    assert (run.code, set(run.outcomes().values())) == (0, {"in sync"}), run.said
    assert everything(living.topology.routers) ^ before == set()


def test_without_the_secret_nothing_is_written_anywhere(living: Living, tmp_path: Path) -> None:
    clone = Noc(living.topology, tmp_path / "clone", overlay={"secret_id": secret_id(living.noc)})
    before = everything(living.topology.routers)
    run = clone.sync()
    assert run.code == 3, run.said
    assert "FLEET_SECRET" in run.err
    assert everything(living.topology.routers) ^ before == set()
    assert [path for path in clone.folder.rglob("*") if path.is_file()] == [clone.inventory]


def secret_id(noc: Noc) -> str:
    """What the inventory must say about this fleet's secret, as the first sync told to add."""
    from fleet.keys import secret_fingerprint
    from fleet.model import Secret

    return secret_fingerprint(Secret((noc.folder / ".fleet" / "secret").read_text().strip()))


def test_another_host_key_stops_one_router_and_no_other(living: Living) -> None:
    router = living.topology.branches[0].router
    old = router.read("/etc/ssh/ssh_host_ed25519_key")
    router.sh("rm /etc/ssh/ssh_host_ed25519_key; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key")
    before = hashlib.sha256(running(router).encode()).digest()
    run = living.noc.sync("--json")
    router.write("/etc/ssh/ssh_host_ed25519_key", old, mode=0o600)
    assert run.code == 1, run.said
    failed = next(one for one in run.json()["routers"] if one["router"] == "branch-1")
    assert failed["outcome"] == "failed"
    assert "fleet trust branch-1" in failed["hint"]
    assert run.outcomes()["branch-2"] == "in sync"
    assert hashlib.sha256(running(router).encode()).digest() == before
