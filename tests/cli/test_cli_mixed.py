"""Two vendors in one fleet: a Linux hub over SSH, a RouterOS branch over its API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mixed import Mixed

from fleet.testing.sshd import new_host_key


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Mixed]:
    with ExitStack() as open_:
        net = Mixed(tmp_path / "noc", open_)
        open_.callback(net.close)
        yield net


def test_a_linux_hub_and_a_mikrotik_branch_come_up_together_and_stay_as_they_are(mixed):
    done = mixed.sync("--json")
    assert done.code == 0
    assert done.outcomes() == {"gateway": "changed", "pune": "changed"}
    assert mixed.ether.ping(mixed["pune"], "192.168.30.1", "192.168.1.1")
    before = mixed.linux.snapshot()
    assert mixed.sync().code == 0
    assert mixed.linux.snapshot() == before
    assert mixed.run("plan").code == 0
    assert mixed.run("status").code == 0


def test_a_changed_host_key_is_refused_until_trust_accepts_it_and_others_go_on(mixed):
    assert "gateway: first contact at" in mixed.sync().err
    mixed.ssh.host_key = new_host_key()
    mixed["pune"].change("/interface/wireguard", "wg0", mtu=1300)
    done = mixed.sync()
    assert done.code == 1
    head, summary, hint = mixed.run("plan").block("gateway")
    assert "failed" in head
    assert "host key" in summary
    assert "fleet trust gateway" in hint
    assert mixed.interface("pune")["mtu"] == "1420", "the branch was healed meanwhile"
    shown = mixed.run("trust", "gateway", "--yes")
    assert shown.code == 0
    assert "SSH host key" in shown.out
    assert mixed.sync().code == 0
