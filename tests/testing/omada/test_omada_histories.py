"""Whatever is asked in whatever order: what must hold of the settings of a site holds, and both generations agree."""

from __future__ import annotations

import random
from typing import Any

import pytest
from omada_client import interface, peer, s2s, s2s_peer

from fleet.testing.omada.curve import new_private_key, public_key_of

INTERFACES, PEERS, VPNS = "/vpn/wireguards", "/vpn/wireguard-peers", "/vpn/site-to-site-vpns"
KEYS = [public_key_of(new_private_key()) for _ in range(4)]


class Meddler:
    """Asks for something, sensible or not."""

    def __init__(self, one: Any, seed: int) -> None:
        self.one = one
        self.random = random.Random(seed)

    def step(self) -> int:
        """The errorCode of one random write."""
        choose = self.random.choice
        tunnels = [row["id"] for row in self.one.rows(INTERFACES)] or ["0" * 24]
        peers = [row["id"] for row in self.one.rows(PEERS)] or ["0" * 24]
        method, rest, body, version = choose(
            [
                ("POST", INTERFACES, self.interface(), 1),
                ("PUT", f"{INTERFACES}/{choose(tunnels)}", self.interface(), 1),
                ("DELETE", f"{INTERFACES}/{choose(tunnels)}", None, 1),
                ("POST", PEERS, self.peer(choose(tunnels)), 1),
                ("POST", PEERS, self.peer(choose(tunnels)), 1),
                ("PUT", f"{PEERS}/{choose(peers)}", self.peer(choose(tunnels)), 1),
                ("DELETE", f"{PEERS}/{choose(peers)}", None, 1),
                ("POST", VPNS, self.vpn(), 2),
                ("PATCH", f"{VPNS}/{choose(tunnels)}", self.vpn(), 2),
            ]
        )
        return int(self.one.code(method, rest, body, version=version))

    def interface(self) -> dict[str, Any]:
        choose = self.random.choice
        return interface(name=choose("abc"), listenPort=choose([1, 2, 3]), mtu=choose([1420, 1420, 1500]))

    def peer(self, tunnel: str) -> dict[str, Any]:
        choose = self.random.choice
        return peer(tunnel, publicKey=choose(KEYS), allowAddress=[choose(["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"])])

    def vpn(self) -> dict[str, Any]:
        choose = self.random.choice
        prefixes = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]
        peers = [s2s_peer(serverPublicKey=choose(KEYS), remoteSubnet=[choose(prefixes)]) for _ in range(choose([0, 1, 2]))]
        return s2s(*peers, name=choose("abc"), servicePort=choose([1, 2, 3]))


def settings(one: Any) -> object:
    return one.rows(INTERFACES), one.rows(PEERS)


@pytest.mark.parametrize("seed", range(6))
def test_after_every_write_the_settings_are_sound_and_a_refused_one_changed_nothing(client, seed):
    one = client()
    meddler = Meddler(one, seed)
    codes = set()
    for _ in range(60):
        before = settings(one)
        code = meddler.step()
        codes.add(code)
        after = settings(one)
        assert code == 0 or after == before
        tunnels, peers = after
        for field in ("id", "name", "listenPort"):
            assert len({row[field] for row in tunnels}) == len(tunnels)
        assert len({(row["interfaceId"], row["publicKey"]) for row in peers}) == len(peers)
        assert len({(row["interfaceId"], *row["allowAddress"]) for row in peers}) == len(peers)
        assert {row["interfaceId"] for row in peers} <= {row["id"] for row in tunnels}
    assert 0 in codes
    assert len(codes) > 2, "the meddler is refused too little to prove anything"
    for tunnel in tunnels:
        detail = one.result("GET", f"{VPNS}/{tunnel['id']}", version=2)
        keys = [row["publicKey"] for row in peers if row["interfaceId"] == tunnel["id"]]
        assert [row["serverPublicKey"] for row in detail["peers"]] == keys
        assert (detail["name"], detail["servicePort"], detail["tunnelIp"]) == (
            tunnel["name"],
            tunnel["listenPort"],
            tunnel["localIp"],
        )
    assert one.simulator.gateway("site").delivered
