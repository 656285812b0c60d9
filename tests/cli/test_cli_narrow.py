"""Results on terminals of any width: every word is still there, unbroken."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleet.cli.fitting import fitted, hanging

ENDPOINT = "vpn.example.com:51820"
ROW = ("hq", "10.100.0.1", "192.168.1.0/24, 192.168.100.0/24", ENDPOINT, "", "not made yet")


def network() -> Table:
    table = Table("router", "address", "LANs", "endpoint", "via", "key", box=None, pad_edge=False)
    table.add_row(*ROW)
    table.add_row("mumbai", "10.100.0.2", "", "dials only", "", "known")
    return table


def shown(width: int, *, terminal: bool = True) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, no_color=True, soft_wrap=True, _environ={})
    console.print(fitted(network(), console), soft_wrap=not terminal)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def plain(text: str) -> str:
    return Text.from_ansi(text).plain


@pytest.mark.parametrize("width", [140, 100, 90, 80, 60])
def test_no_address_is_cut_or_broken(width: int) -> None:
    text = plain(shown(width))
    for word in ("10.100.0.1", "192.168.1.0/24", "192.168.100.0/24", ENDPOINT):
        assert word in text


@pytest.mark.parametrize("width", [140, 100, 90, 80, 60])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert all(len(line) <= width for line in plain(shown(width)).splitlines())


def test_a_table_that_fits_is_one_line_per_row() -> None:
    assert len(plain(shown(140)).splitlines()) == 3


def test_a_column_gives_way_at_words_before_the_table_becomes_paragraphs() -> None:
    lines = plain(shown(85)).splitlines()
    assert lines[0].split() == ["router", "address", "LANs", "endpoint", "key"]
    assert len(lines) > 3


def test_where_words_would_break_each_row_is_a_paragraph() -> None:
    lines = plain(shown(60)).splitlines()
    assert lines[0] == "hq"
    assert lines[1].startswith("    address 10.100.0.1; LANs 192.168.1.0/24,")


def test_a_column_without_content_is_not_shown_on_a_terminal() -> None:
    assert "via" not in plain(shown(140)).split()


def test_a_pipe_gets_every_column_on_one_line_per_row() -> None:
    lines = shown(400, terminal=False).splitlines()
    assert len(lines) == 3
    assert "via" in lines[0]


def test_the_rest_of_a_wrapped_line_hangs_under_it() -> None:
    console = Console(file=io.StringIO(), width=40, force_terminal=True, _environ={})
    text = hanging(Text("mumbai changes\n    + peer hq: add, allowed IPs 10.100.0.0/20, 192.168.0.0/16"), console)
    assert [line.rstrip() for line in text.plain.split("\n")] == [
        "mumbai changes",
        "    + peer hq: add, allowed IPs",
        "      10.100.0.0/20, 192.168.0.0/16",
    ]


def test_prose_in_a_pipe_is_not_wrapped() -> None:
    text = Text("    " + "word " * 100)
    assert hanging(text, Console(file=io.StringIO(), width=40)) is text
