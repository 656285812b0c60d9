"""The wg-quick file that `fleet render` prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from strategies import desired_of, facts_of, fleet_of, fleets, hub, key, router

from fleet import keys
from fleet.model import Fleet, Secret
from fleet.overlay import resolve_preshared
from fleet.wgconf import render_wg_quick

SECRET = Secret("the fleet secret")
FLEET = fleet_of(hub("hq", "192.168.1.0/24"), router("mumbai", "192.168.20.0/24"), router("pune"))
KEYS = {
    "PrivateKey",
    "Address",
    "ListenPort",
    "DNS",
    "MTU",
    "PublicKey",
    "PresharedKey",
    "AllowedIPs",
    "Endpoint",
    "PersistentKeepalive",
}


def rendered(name: str, *, secret: bool = False, without: tuple[str, ...] = (), fleet: Fleet = FLEET) -> str:
    desired = desired_of(fleet, facts_of(fleet, without=without))
    configuration = desired.configuration(name)
    if secret:
        configuration = resolve_preshared(configuration, SECRET)
    return render_wg_quick(configuration["wg0"], desired.missing_peers(name), preshared=secret)


def test_a_spokes_file_reads_as_an_operator_would_write_it() -> None:
    assert (
        rendered("mumbai")
        == f"""\
[Interface]
# fleet:acme:mumbai
# The private key stays on the router; its public key is {key("mumbai")}
# PrivateKey = (insert it here)
Address = 10.100.0.2/24
ListenPort = 51820
MTU = 1420

[Peer]
# fleet:acme:hq
PublicKey = {key("hq")}
# PresharedKey = (derived from the fleet secret, which is not at hand here)
AllowedIPs = 10.100.0.0/24, 192.168.1.0/24
Endpoint = hq.example.com:51820
PersistentKeepalive = 25
"""
    )


def test_a_peer_whose_key_is_unknown_is_a_line_of_its_own() -> None:
    text = rendered("hq", without=("mumbai",))
    assert text.splitlines()[-1] == "# not enrolled: mumbai"
    assert key("pune") in text


def test_a_router_that_has_no_key_yet_says_so_instead_of_having_peers() -> None:
    text = rendered("mumbai", without=("mumbai", "hq"))
    assert "[Peer]" not in text
    assert text.splitlines()[-3:] == ["# not enrolled: mumbai", "", "# not enrolled: hq"]


def test_preshared_keys_are_written_if_the_fleet_secret_is_at_hand() -> None:
    psk = keys.derive_preshared_key(SECRET, key("mumbai"), key("hq")).reveal()
    assert f"\nPresharedKey = {psk}\n" in rendered("mumbai", secret=True)


def test_without_being_asked_a_derived_preshared_key_is_not_printed() -> None:
    interface = resolve_preshared(desired_of(FLEET).configuration("mumbai"), SECRET)["wg0"]
    psk = keys.derive_preshared_key(SECRET, key("mumbai"), key("hq")).reveal()
    assert psk not in render_wg_quick(interface, (), preshared=False)


@given(fleets())
def test_only_lines_that_every_importer_accepts(fleet: Fleet) -> None:
    for name in desired_of(fleet).names:
        sections = re.split(r"^\[(?:Interface|Peer)\]$", rendered(name, secret=True, fleet=fleet), flags=re.MULTILINE)[1:]
        for section in sections:
            lines = [line for line in section.splitlines() if line and not line.startswith("# ")]
            names = [line.split(" = ")[0] for line in lines]
            assert set(names) <= KEYS
            assert len(names) == len(set(names))
            assert all(line.split(" = ")[1].isascii() and "#" not in line for line in lines)


@pytest.mark.skipif(shutil.which("wg-quick") is None, reason="wireguard-tools are not installed")
def test_wg_quick_strip_accepts_it_once_the_key_is_in(tmp_path: Path) -> None:
    private = keys.new_private_key().reveal()
    file = tmp_path / "wg0.conf"
    file.touch(mode=0o600)
    file.write_text(rendered("hq", secret=True).replace("# PrivateKey = (insert it here)", f"PrivateKey = {private}"))
    done = subprocess.run(["wg-quick", "strip", str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.count("[Peer]") == 2
    assert "Address" not in done.stdout
