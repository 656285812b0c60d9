"""Accepting what changed: host keys of jumps, and what `differences` compares with what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from simulated import SimulatedFleet
from sshserver import SshServer, serving

from fleet.trust import Difference


@pytest.fixture
def bastion() -> Iterator[SshServer]:
    with serving(SshServer(password="of-the-bastion")) as server:
        yield server


@pytest.fixture
def net(tmp_path: Path, bastion: SshServer) -> Iterator[SimulatedFleet]:
    """A hub, and a jump that was pinned at its first contact."""
    net = SimulatedFleet(tmp_path)
    net.add("hq", 1, hub=True)
    net.jumps = {
        "bastion": {
            "host": bastion.address.host,
            "port": bastion.address.port,
            "username": "noc",
            "password": "env:BASTION",
        }
    }
    net.environ["BASTION"] = "of-the-bastion"
    with net.state() as state:
        state.pin_identity("acme", "bastion", "ssh", bastion.identity)
    yield net
    net.close()


def test_a_jump_that_shows_what_is_pinned_has_nothing_to_accept(net):
    done = net.run("trust", "bastion", "--yes")
    assert done.code == 0
    assert "nothing to accept" in done.err


def test_a_jump_with_a_new_host_key_is_shown_old_and_new_and_accepted(net, bastion):
    bastion.host_key = paramiko.ECDSAKey.generate()
    shown = net.run("trust", "bastion", "--json").json["differences"]
    assert [difference["kind"] for difference in shown] == ["ssh"]
    assert shown[0]["pinned"].startswith("SHA256:")
    assert shown[0]["pinned"] != shown[0]["now"]
    assert net.run("trust", "bastion", "--yes").code == 0
    with net.state() as state:
        assert state.identity("acme", "bastion") == {"ssh": (bastion.identity,)}
    assert "nothing to accept" in net.run("trust", "bastion", "--yes").err


def test_a_jump_whose_host_key_the_inventory_gives_is_changed_in_the_inventory(net, bastion):
    net.jumps["bastion"] |= {"host_key": bastion.identity}
    bastion.host_key = paramiko.ECDSAKey.generate()
    done = net.run("trust", "bastion", "--yes")
    assert done.code == 1
    assert "correct `host_key:` or `tls:` of bastion" in done.err


def test_a_jump_that_does_not_answer_is_a_failure_of_trust(net):
    net.jumps["bastion"] |= {"port": 1}
    done = net.run("trust", "bastion", "--yes")
    assert done.code == 1
    assert "no TCP connection" in done.err


def test_what_was_accepted_is_in_the_history(net, bastion):
    bastion.host_key = paramiko.ECDSAKey.generate()
    assert net.run("trust", "bastion", "--yes").code == 0
    run = net.run("history", "--json").json["runs"][0]
    assert (run["command"], run["routers"]) == ("trust", ["bastion"])
    (entry,) = net.run("history", run["id"], "--json").json["entries"]
    assert entry["text"].startswith("SSH host key: SHA256:")


def test_a_difference_is_named_in_words():
    kinds = {kind: Difference(kind, "a", "b", "b").what for kind in ("ssh", "tls", "public_key")}
    assert kinds == {"ssh": "SSH host key", "tls": "TLS certificate", "public_key": "WireGuard public key"}
