"""Files made to hurt: each ends in one InventoryError with printable messages, and soon."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory_drivers import DRIVERS, SMALL

from fleet.errors import InventoryError
from fleet.inventory import flow, load, load_text
from fleet.inventory.files import decoded
from fleet.inventory.problems import Problems

SECONDS = 5


def _refused(tmp_path: Path, content: bytes) -> InventoryError:
    """The refusal of a file with this content, in time and safe to print."""
    file = tmp_path / "fleet.yaml"
    file.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(InventoryError) as caught:
        load(file, DRIVERS)
    assert time.monotonic() - began < SECONDS
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    return caught.value


def _one(tmp_path: Path, content: bytes) -> str:
    problems = _refused(tmp_path, content).problems
    assert len(problems) == 1, problems
    return str(problems[0])


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    assert "aliases repeat more than 10,000 values" in _one(tmp_path, bomb.encode())


def test_a_bomb_of_merge_keys_is_refused(tmp_path: Path) -> None:
    text = "x: &x {a: b}\nrouters:\n  a:\n    <<: *x\n"
    assert "the merge key <<" in str(_refused(tmp_path, text.encode()))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_bottomless_nesting_is_refused(tmp_path: Path, opening: str) -> None:
    assert "nested deeper than 32 levels" in _one(tmp_path, (opening * 100_000).encode())


def test_a_file_of_fifty_megabytes_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    with open(file, "wb") as stream:
        stream.truncate(50 * 2**20)
    began = time.monotonic()
    with pytest.raises(InventoryError, match="50 MiB is too large for an inventory"):
        load(file, DRIVERS)
    assert time.monotonic() - began < 1


def test_sixteen_megabytes_of_list_are_refused(tmp_path: Path) -> None:
    assert "a list of more than 20,000 values" in _one(tmp_path, b"routers: [" + b"a, " * 5_000_000)


def test_more_values_than_any_fleet_has_are_refused(tmp_path: Path) -> None:
    text = "routers:\n" + "".join(f" r{number}: 1\n" for number in range(450_000))
    assert "more than 250,000 values" in _one(tmp_path, text.encode())


def test_a_giant_value_is_refused(tmp_path: Path) -> None:
    assert "a value of 15,000,000 characters" in _one(tmp_path, b"overlay: " + b"x" * 15_000_000)


def test_thousands_of_problems_are_cut_short(tmp_path: Path) -> None:
    text = SMALL + "".join(f"  r{number}: {{mtu: 1}}\n" for number in range(3000))
    assert len(_refused(tmp_path, text.encode()).problems) == 1001


def test_one_typo_in_a_group_of_thousands_is_one_problem(tmp_path: Path) -> None:
    text = "groups:\n  g: {driver: mikrotik, via: hqq}\n" + SMALL
    text += "".join(f"  r{number}: {{groups: [g]}}\n" for number in range(3000)).replace("10.100.0.0/24", "10.64.0.0/16")
    text = text.replace("10.100.0.0/24", "10.64.0.0/16")
    assert "group g: via: no router or jump is called hqq" in _one(tmp_path, text.encode())


def test_binary_is_refused(tmp_path: Path) -> None:
    assert "a NUL byte: this is binary, or UTF-16" in _one(tmp_path, b"\x7fELF\x02\x01\x01\0\0\0\xff")


def test_utf_16_is_refused(tmp_path: Path) -> None:
    assert "save it again with that encoding" in _one(tmp_path, SMALL.encode("utf-16"))


def test_latin_1_is_refused_at_its_line(tmp_path: Path) -> None:
    assert "fleet.yaml:2: byte 0xfc is not UTF-8" in _one(tmp_path, "overlay:\n  name: zürich\n".encode("latin-1"))


def test_an_escape_sequence_is_refused_at_its_line(tmp_path: Path) -> None:
    assert r"fleet.yaml:2: control character '\x1b' in the text" in _one(tmp_path, b"overlay:\n  name: \x1b[2Jx\n")


def test_a_c1_control_character_is_refused(tmp_path: Path) -> None:
    assert "control character" in _one(tmp_path, "overlay:\n  name: \x9b2J\n".encode())


@pytest.mark.parametrize("content", [b"", b"\n\n# nothing\n", b"~\n", b"---\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "the file is empty" in _one(tmp_path, content)


@pytest.mark.parametrize("content", [b"hello", b"- a\n- b\n", b"17", b'"x"'])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "not a mapping of keys" in _one(tmp_path, content)


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert set(load(tmp_path, DRIVERS).routers) == {"hq"}


def test_windows_line_ends_are_no_problem(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_bytes(SMALL.replace("\n", "\r\n").encode())
    assert load(tmp_path, DRIVERS).routers["hq"].where.line == 3


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fleet.yaml")
    with pytest.raises(InventoryError, match="not a regular file"):
        load(tmp_path / "fleet.yaml", DRIVERS)


def test_a_dangling_link_is_one_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(InventoryError, match="cannot be read: No such file"):
        load(tmp_path / "fleet.yaml", DRIVERS)


def test_the_name_of_a_file_cannot_play_tricks_on_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "\x1b[31mfleet.yaml"
    file.write_text("overlay: [")
    with pytest.raises(InventoryError) as caught:
        load(file, DRIVERS)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "name", [r"a\nb", "a'b", r"a\"b", "$(reboot)", "`reboot`", r"\e[31m", "a;b", "../a", "a b", r"\u202ea", "ä"]
)
def test_a_hostile_router_name_is_refused_and_shown_harmlessly(tmp_path: Path, name: str) -> None:
    message = _one(tmp_path, f'{SMALL}  "{name}": {{driver: mikrotik}}\n'.encode())
    assert "\x1b" not in message
    assert "fleet.yaml:4" in message


@pytest.mark.parametrize(
    "key", ["driver", "host", "endpoint", "username", "via", "interface", "role", "lans", "address", "hubs"]
)
def test_hostile_values_of_any_key_are_refused_and_shown_harmlessly(tmp_path: Path, key: str) -> None:
    for value in ('"\\e]0;x\\a"', '"$(reboot)\\n"', '"x\' y"', "{a: b}", "[[]]"):
        extra = "" if key == "driver" else "driver: mikrotik, "
        _refused(tmp_path, f"{SMALL}  a: {{{extra}{key}: {value}}}\n".encode())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_an_inventory_error(raw: bytes) -> None:
    problems = Problems()
    text = decoded(raw, "f", problems)
    if text is None:
        assert problems
        return
    with pytest.raises(InventoryError):
        load_text(text, DRIVERS)


_KEYS = [
    "overlay",
    "routers",
    "groups",
    "defaults",
    "jumps",
    "name",
    "ipv4",
    "lans",
    "via",
    "driver",
    "links",
    "options",
    "keys",
]
_WORDS = st.sampled_from(
    [*_KEYS, "labels", "tls", "manage", "acme", "10.0.0.0/24", "hq", "h:1", "~", "1", "{name}", "\x80", "["]
)
_TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), _WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, max_size=4)),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["overlay", "routers", "groups", "defaults", "jumps"]), _TREES))
def test_no_tree_of_known_words_raises_anything_but_an_inventory_error(tree: dict[str, object]) -> None:
    with contextlib.suppress(InventoryError):
        load_text("".join(f"{key}: {flow(value)}\n" for key, value in tree.items()), DRIVERS)
