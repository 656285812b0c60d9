"""A branch that is reached only through its hub's tunnel: what mends the hub reaches the branch in the same run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mixed import Mixed
from strategies import OVERLAY, fleet_of, hub, key, nets, router

from fleet.changes import AddPeer, RemovePeer
from fleet.model import Mark, Peer
from fleet.sync.way import leads_to


class Behind(Mixed):
    """`pune` is managed at its overlay address, through an SSH connection to `gateway`."""

    def __init__(self, folder: Path, open_: ExitStack) -> None:
        super().__init__(folder, open_)
        self.ssh.forward = self._forward
        self.real = (str(self.routers["pune"]["host"]), int(str(self.routers["pune"]["port"])))
        assert self.sync().code == 0
        self.routers["pune"]["via"] = "gateway"
        assert self.sync().code == 0, "now its management is open to the hub"
        del self.routers["pune"]["host"]
        assert self.run("plan").code == 0, "and that way works"

    def _forward(self, host: str, port: int) -> tuple[str, int] | None:
        """From the hub into its tunnel: only where packets go that way, and come back."""
        if host.startswith("127."):
            return host, port
        return self.real if self.ether.ping(self.linux, None, host) else None

    def cut(self) -> None:
        """Somebody removes the branch's peer from the hub, running and saved."""
        self.linux.ok(f"wg set wg0 peer {self.interface('pune')['public-key']} remove; wg-quick save wg0")
        self.ether.clock.advance(1)


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behind]:
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 5.0)
    with ExitStack() as open_:
        behind = Behind(tmp_path, open_)
        yield behind
        behind.close()


def test_one_sync_mends_the_hub_and_then_the_branch_behind_it(net):
    net.cut()
    assert net.run("plan", "--json").outcomes() == {"gateway": "changes", "pune": "pending"}
    route = next(row for row in net["pune"].rows("/ip/route") if row.get("comment") == "fleet:acme:gateway")
    net["pune"].delete("/ip/route", route[".id"])
    done = net.sync("--json")
    assert done.outcomes() == {"gateway": "changed", "pune": "changed"}
    assert done.code == 0
    assert net.run("plan").code == 0


def test_a_branch_that_is_off_is_not_waited_for_when_the_hub_changes_for_others(net, monkeypatch):
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 60.0)
    net["pune"].set_offline()
    net.add("surat", 40)
    done = net.sync("--json")
    assert done.outcomes()["pune"] == "pending"
    assert done.json["seconds"] < 30


def peer(name: str) -> Peer:
    return Peer(key(name), nets("10.0.0.9/32"), mark=Mark(OVERLAY, name))


FLEET = fleet_of(hub(), router("pune", via=("hq",)), router("mumbai"))


def test_the_peer_of_a_branch_on_its_hub_is_on_its_way():
    assert leads_to("pune", {"hq": [AddPeer(interface="wg0", wanted=peer("pune"))]}, FLEET)


def test_the_peer_of_another_branch_is_not():
    assert not leads_to("pune", {"hq": [AddPeer(interface="wg0", wanted=peer("mumbai"))]}, FLEET)


def test_a_removal_mends_nothing():
    assert not leads_to("pune", {"hq": [RemovePeer(interface="wg0", old=peer("pune"))]}, FLEET)


def test_a_router_that_is_reached_without_the_overlay_is_not_behind_its_hub():
    assert not leads_to("mumbai", {"hq": [AddPeer(interface="wg0", wanted=peer("mumbai"))]}, FLEET)
