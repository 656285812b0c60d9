"""Addresses that move under a living network: a carrier's, and the hub's own. Long timers of the field, side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from .measure import Pings, PingStream, eventually, public_key, reaches, wg_peers
from .net import everywhere
from .product import Noc, Run
from .topology import Branch, Topology, build

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab-moves"), pytest.mark.timeout(400)]

KEEPALIVE_SECONDS = 25
RETURN_SECONDS = 200
NEW_ADDRESS = "198.51.100.77"


@dataclass
class Moves:
    """Two networks: the carriers of one change their addresses, the hub of the other moves, all at the same time."""

    first: list[Run]
    carriers: dict[str, Pings] = field(default_factory=dict)
    returned: dict[str, float | None] = field(default_factory=dict)


@pytest.fixture(scope="module")
def moves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moves]:
    """Everything is under way at once; what the tests ask has been measured when the fixture is there."""
    near, far = tmp_path_factory.mktemp("carriers"), tmp_path_factory.mktemp("hub")
    with build(near, branches=2) as carriers, build(far, branches=3) as moving:
        nocs = [Noc(carriers, near / "noc"), Noc(moving, far / "noc")]
        moved = Moves(everywhere(lambda noc: noc.sync(), nocs))
        carriers.ship()
        moving.ship()
        move_hub(moving)
        threads = [threading.Thread(target=change_carrier, args=(moved, carriers, branch)) for branch in carriers.branches]
        threads += [threading.Thread(target=await_return, args=(moved, moving, branch)) for branch in moving.branches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield moved


def move_hub(topology: Topology) -> None:
    """The hub and its name move; nothing dials the old address with success any more."""
    topology.move_hub(NEW_ADDRESS)
    assert not reaches(topology.branches[0].router, topology.hub.address)


def change_carrier(moved: Moves, topology: Topology, branch: Branch) -> None:
    """Measure the gap that a hub's LAN sees in a stream of pings when a branch's carrier changes its address."""
    address = f"203.0.113.{200 + branch.number}"
    with PingStream(topology.hub.host, branch.host_address) as stream:
        time.sleep(1)
        branch.carrier.readdress(address)
        eventually(lambda: seen_at(topology, branch, address), within=KEEPALIVE_SECONDS + 15)
        time.sleep(1)
    moved.carriers[branch.name] = stream.pings


def seen_at(topology: Topology, branch: Branch, address: str) -> bool:
    """True once the hub has learned that the branch is at this address."""
    peer = wg_peers(topology.hub.router)[public_key(branch.router)]
    return (peer.endpoint or "").startswith(f"{address}:")


def await_return(moved: Moves, topology: Topology, branch: Branch) -> None:
    """Seconds until a branch's LAN reaches the moved hub's, with nobody but the routers at work and no data to help."""
    began = time.monotonic()
    back = eventually(lambda: seen_since(topology, branch, began), within=RETURN_SECONDS + 60, every=0.5)
    moved.returned[branch.name] = back if back is not None and reaches(branch.host, topology.hub.host_address) else None


def seen_since(topology: Topology, branch: Branch, began: float) -> bool:
    """True once the branch sends to the hub's new address and is answered: its handshake is younger than the move."""
    shown = branch.router.sh("wg show wg0 endpoints; wg show wg0 latest-handshakes; date +%s")
    endpoint, handshake, now = (line.split()[-1] for line in shown.splitlines())
    return endpoint.startswith(f"{NEW_ADDRESS}:") and int(now) - int(handshake) < time.monotonic() - began


def test_both_networks_stand_before_anything_moves(moves: Moves) -> None:
    assert [run.code for run in moves.first] == [0, 0], [run.said for run in moves.first]


def test_a_carriers_new_address_costs_at_most_2_s_beyond_the_keepalive(
    moves: Moves, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    gaps = {name: round(pings.max_gap_ms / 1000, 2) for name, pings in moves.carriers.items()}
    with capsys.disabled():
        print(f"\ncarrier address change, keepalive {KEEPALIVE_SECONDS} s: longest gap in s {gaps}")
    record_property("carrier_gap_seconds", gaps)
    assert len(gaps) == 2
    assert all(1 < gap <= KEEPALIVE_SECONDS + 2 for gap in gaps.values()), gaps


def test_spokes_return_by_themselves_when_the_hubs_name_moves(
    moves: Moves, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    back = {name: seconds and round(seconds, 1) for name, seconds in sorted(moves.returned.items())}
    with capsys.disabled():
        print(f"\nhub moved with its name: spokes back after s {back}")
    record_property("return_seconds", back)
    assert len(back) == 3
    assert all(seconds is not None and seconds <= RETURN_SECONDS for seconds in back.values()), back
