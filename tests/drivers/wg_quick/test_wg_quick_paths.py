"""No script of ours can write beside its place: a folder that was never made stops it."""

from __future__ import annotations

import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

SCRIPTS = [each for each in files("fleet.drivers.wg_quick").iterdir() if each.name.endswith(".sh")]
FOLDERS = ("WORK", "NEW", "GUARD", "NEXT", "STATE", "LIB")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: each.name)
def test_every_path_below_a_folder_of_ours_insists_on_the_folder(script: Path) -> None:
    bare = re.findall(rf"\$(?:{'|'.join(FOLDERS)}|{{(?:{'|'.join(FOLDERS)})}})/\S*", script.read_text())
    assert bare == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: each.name)
def test_what_is_deleted_with_all_inside_is_named_by_a_folder_that_must_be_there(script: Path) -> None:
    deleted = re.findall(r"rm -rf ([^;|&}\n']*)", script.read_text())
    bare = [each for each in deleted if re.search(r'"\$(?:WORK|NEW|GUARD|NEXT|STATE|LIB|DIR)\b', each) and ":+" not in each]
    assert bare == []


@pytest.mark.parametrize(
    "call",
    [
        "make_folders() { :; }; begin acme",
        "helper wg0 </dev/null",
        "stage wg0",
        "key_make wg0",
        "routes_apply /dev/null wg0",
        "firewall_scan acme wg0",
    ],
)
def test_without_its_folder_a_call_ends_and_writes_nothing(tmp_path: Path, call: str) -> None:
    parts = ("common", "pending", "firewall_read", "firewall_write", "running_read", "running_write", "build", "live", "saved")
    library = "".join(each.read_text() for name in parts for each in SCRIPTS if each.name == f"{name}.sh")
    (tmp_path / "etc/wireguard").mkdir(parents=True)
    stand_ins = 'wg() { :; }; ip() { :; }; nft() { :; }; iptables() { :; }; lock() { :; }; settle() { cat "${WORK:?}/gone"; }\n'
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        ["sh", "-c", f"{library}\n{stand_ins}guard_paths acme\nWORK= NEW=\n{call}\necho reached\n"],
        env={"PATH": "/usr/bin:/bin", "FLEET_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "reached" not in done.stdout
    assert "WORK" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
