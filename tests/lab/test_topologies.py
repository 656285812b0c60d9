"""Other shapes of network than one hub with its spokes: two hubs with spokes of their own, and a full mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .measure import wg_peers
from .product import Noc, keys, unreachable_lans
from .topology import build

pytestmark = [pytest.mark.lab, pytest.mark.exhaustive, pytest.mark.xdist_group("lab-topologies")]


@pytest.mark.parametrize(
    ("overlay", "routers"),
    [
        ({}, {"branch-2": {"hubs": ["hq2", "hq"]}}),
        ({"lan_supernets": []}, {}),
        ({"topology": "full-mesh"}, {}),
    ],
    ids=["two homes", "no supernets", "full mesh"],
)
def test_every_lan_reaches_every_other(tmp_path: Path, overlay: dict[str, Any], routers: dict[str, Any]) -> None:
    with build(tmp_path, branches=2, hubs=2) as network:
        noc = Noc(network, tmp_path / "noc", overlay=overlay, routers=routers)
        first = noc.sync()
        assert first.code == 0, first.said
        assert unreachable_lans(network) == []
        network.ship()
        shown = noc.fleet("plan")
        assert shown.code == 0, shown.said
        # Neither branch has an endpoint: the pair goes through a hub, whatever the topology.
        one, two = network.branches
        assert keys(network)[two.name] not in wg_peers(one.router)
