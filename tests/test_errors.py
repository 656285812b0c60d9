"""Errors end with the next action, once."""

from __future__ import annotations

from fleet.errors import hints


def test_hints_of_several_origins_are_lines_of_one():
    assert hints("free some space", "", "it was undone after 2 s") == "free some space\n  it was undone after 2 s"


def test_a_command_is_named_once_and_where_it_was_said_last():
    first = "`fleet plan` reads again and shows what is still missing"
    assert hints(first, "undone after 2 s", "tried: peer pune: add\n  see the difference with `fleet plan pune`") == (
        "undone after 2 s\n  tried: peer pune: add\n  see the difference with `fleet plan pune`"
    )


def test_two_commands_are_both_named():
    assert hints("see `fleet history`", "then `fleet sync`").count("fleet ") == 2
