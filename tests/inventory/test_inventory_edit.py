from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inventory_drivers import DRIVERS

from fleet.errors import InventoryError
from fleet.inventory import add_router, flow, load, set_enabled, set_secret_id
from fleet.inventory.problems import Problems
from fleet.inventory.tree import parse

TEXT = """\
# Our network.
overlay:
    name: acme   # four spaces, on purpose
    ipv4: 10.100.0.0/24

routers:
  # the head office
  hq:
    driver: wg-quick
    role: hub
    endpoint: "vpn.example.com:51820"
    lans:
    - 192.168.1.0/24   # servers
    - 192.168.2.0/24   # desks

  # branches
  mumbai: {driver: mikrotik, lans: [192.168.20.0/24]}   # behind CGNAT
  pune:
    driver: mikrotik
    enabled: true # for now
  # end of the list
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(TEXT)
    return path


def changed(path: Path, before: str = TEXT) -> list[str]:
    """Lines removed and added, as `git diff` would show them."""
    lines = difflib.unified_diff(before.splitlines(), path.read_text().splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def test_suspending_a_router_on_one_line_changes_that_line_only(file: Path) -> None:
    set_enabled(file, "mumbai", False)
    assert changed(file) == [
        "-  mumbai: {driver: mikrotik, lans: [192.168.20.0/24]}   # behind CGNAT",
        "+  mumbai: {driver: mikrotik, lans: [192.168.20.0/24], enabled: false}   # behind CGNAT",
    ]


def test_suspending_a_router_of_many_lines_adds_one_line(file: Path) -> None:
    set_enabled(file, "hq", False)
    assert changed(file) == ["+    enabled: false"]
    assert "    - 192.168.2.0/24   # desks\n    enabled: false\n" in file.read_text()


def test_suspending_replaces_the_word_and_keeps_its_comment(file: Path) -> None:
    set_enabled(file, "pune", False)
    assert changed(file) == ["-    enabled: true # for now", "+    enabled: false # for now"]


def test_suspending_and_resuming_gives_the_file_back(file: Path) -> None:
    set_enabled(file, "pune", False)
    set_enabled(file, "pune", True)
    assert file.read_text() == TEXT


def test_enabling_what_nobody_suspended_writes_nothing(file: Path) -> None:
    before = file.stat()
    set_enabled(file, "mumbai", True)
    assert file.stat() == before


def test_enabling_what_a_group_suspends_says_it_on_the_router(file: Path) -> None:
    file.write_text(TEXT + "defaults: {enabled: false}\n")
    set_enabled(file, "hq", True)
    set_enabled(file, "mumbai", True)
    assert load(file, DRIVERS).routers["mumbai"].enabled


def test_an_unknown_router_cannot_be_suspended(file: Path) -> None:
    with pytest.raises(InventoryError, match="no router is called 'delhi'"):
        set_enabled(file, "delhi", False)


def test_a_new_router_is_one_line_behind_the_last(file: Path) -> None:
    add_router(file, "delhi", {"driver": "mikrotik", "lans": ["192.168.40.0/24"], "password": "cmd:pass fleet/{name}"})
    assert changed(file) == ['+  delhi: {driver: mikrotik, lans: [192.168.40.0/24], password: "cmd:pass fleet/{name}"}']
    assert load(file, DRIVERS).routers["delhi"].password == "cmd:pass fleet/delhi"


def test_a_router_that_exists_is_not_added_again(file: Path) -> None:
    with pytest.raises(InventoryError, match=r"fleet.yaml:17: router 'mumbai' is there already"):
        add_router(file, "mumbai", {"driver": "mikrotik"})


@pytest.mark.parametrize("routers", ["", "routers:\n", "routers: {}\n", "routers: ~\n"])
def test_the_first_router_can_be_added(tmp_path: Path, routers: str) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text("overlay: {name: acme, ipv4: 10.100.0.0/24}\n" + routers)
    add_router(file, "hq", {"driver": "wg-quick", "role": "hub", "endpoint": "vpn.example.com:51820"})
    assert set(load(file, DRIVERS).routers) == {"hq"}


def test_a_router_goes_into_the_last_file_of_a_directory_that_has_routers(tmp_path: Path, file: Path) -> None:
    (tmp_path / "branches.yaml").write_text("routers: {a: {driver: mikrotik}}\n")
    (tmp_path / "zones.yaml").write_text("groups: {}\n")
    add_router(tmp_path, "b", {"driver": "mikrotik"})
    assert "  b: {driver: mikrotik}\n" in file.read_text()


def test_the_secret_id_is_quoted_because_it_may_look_like_a_number(file: Path) -> None:
    set_secret_id(file, "1234567890123456")
    assert changed(file) == ['+    secret_id: "1234567890123456"']
    assert load(file, DRIVERS).overlay.secret_id == "1234567890123456"


def test_a_secret_id_is_replaced_in_place(file: Path) -> None:
    set_secret_id(file, "00000000000000aa")
    set_secret_id(file, "00000000000000ee")
    assert load(file, DRIVERS).overlay.secret_id == "00000000000000ee"
    assert len(file.read_text().splitlines()) == len(TEXT.splitlines()) + 1


def test_a_secret_id_fits_into_an_overlay_on_one_line(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text("overlay: {name: acme, ipv4: 10.100.0.0/24,} # ours\nrouters: {}\n")
    set_secret_id(file, "00000000000000aa")
    assert file.read_text().startswith("overlay: {name: acme, ipv4: 10.100.0.0/24, secret_id: 00000000000000aa,} # ours\n")


def test_windows_line_ends_and_byte_order_mark_stay(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    set_enabled(file, "hq", False)
    raw = file.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf#")
    assert raw.count(b"\n") == raw.count(b"\r\n")


def test_a_file_without_a_last_line_end_can_be_edited(file: Path) -> None:
    file.write_text("overlay: {name: acme, ipv4: 10.100.0.0/24}\nrouters:\n  a:\n    driver: mikrotik")
    set_enabled(file, "a", False)
    assert file.read_text().endswith("    driver: mikrotik\n    enabled: false\n")


def test_what_an_alias_stands_for_is_left_to_its_owner(file: Path) -> None:
    file.write_text(TEXT.replace("mumbai: {", "mumbai: &m {") + "  delhi: *m\n")
    before = file.read_text()
    with pytest.raises(InventoryError, match="add it by hand: `enabled: false`"):
        set_enabled(file, "delhi", False)
    assert file.read_text() == before


def test_the_mode_of_the_file_stays(file: Path) -> None:
    file.chmod(0o640)
    set_enabled(file, "hq", False)
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_stays_one(file: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "fleet.yaml"
    os.replace(file, real)
    file.symlink_to(real)
    set_enabled(file, "hq", False)
    assert file.is_symlink()
    assert "enabled: false" in real.read_text()


def test_nothing_but_the_file_is_left_in_the_folder(file: Path) -> None:
    set_enabled(file, "hq", False)
    assert [each.name for each in file.parent.iterdir()] == ["fleet.yaml"]


@given(
    st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(10**9), 10**9),
            st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_what_is_written_on_one_line_reads_back_the_same(value: object) -> None:
    problems = Problems()
    root = parse(f"value: {flow(value)}\n", "f", problems)
    assert root is not None
    assert root.at("value").plain() == value
