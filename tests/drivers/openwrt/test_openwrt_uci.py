"""UCI in text, as `openwrt-captures.md` has it."""

from __future__ import annotations

import pytest

from fleet.drivers.openwrt.uci import list_, quoted, read_show, set_
from fleet.errors import Unparseable
from fleet.model import Secret


def test_quotes_inside_a_value_are_read_as_the_shell_writes_them() -> None:
    """Capture 2.1."""
    shown = "network.cfg0696fc=wireguard_wg0\nnetwork.cfg0696fc.description='Bob'\\''s \"laptop\" two  spaces'\n"
    section = read_show(shown)["cfg0696fc"]
    assert section.options["description"] == ['Bob\'s "laptop" two  spaces']
    assert section.anonymous


def test_a_list_is_read_value_by_value() -> None:
    """Capture 2.1."""
    shown = "network.wg0=interface\nnetwork.wg0.addresses='10.200.0.1/24' 'fd00:200::1/64'\nnetwork.wg0.x='a b'\n"
    section = read_show(shown)["wg0"]
    assert section.options["addresses"] == ["10.200.0.1/24", "fd00:200::1/64"]
    assert section.options["x"] == ["a b"]
    assert section.many("x") == ["a", "b"]


def test_a_value_goes_on_over_newlines_and_may_look_like_another_line() -> None:
    """Capture 2.2."""
    shown = "network.a=b\nnetwork.a.note='line1\nnetwork.wg0.private_key=x\nline3'\nnetwork.a.c='d'\n"
    assert read_show(shown)["a"].options == {"note": ["line1\nnetwork.wg0.private_key=x\nline3"], "c": ["d"]}


def test_a_backslash_at_the_end_of_a_value_escapes_no_quote() -> None:
    shown = "network.a=b\nnetwork.a.c='x\\'\nnetwork.a.d='y'\n"
    assert read_show(shown)["a"].options == {"c": ["x\\"], "d": ["y"]}


def test_an_answer_that_breaks_off_in_a_value_is_refused_without_the_value() -> None:
    with pytest.raises(Unparseable) as refused:
        read_show("network.a=b\nnetwork.a.c='secret-of-some")
    assert "secret-of-some" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize(("text", "truth"), [("1", True), ("yes", True), ("0", False), ("off", False), ("maybe", False)])
def test_booleans_are_what_config_get_bool_takes_them_for(text: str, truth: bool) -> None:
    """Sheet 1.2."""
    section = read_show(f"network.a=b\nnetwork.a.c='{text}'\n")["a"]
    assert section.flag("c") is truth


def test_a_value_for_a_batch_is_one_word() -> None:
    assert quoted("it's") == "'it'\\''s'"
    with pytest.raises(ValueError, match="one line"):
        quoted("two\nlines")


def test_a_secret_stays_a_secret_in_a_batch() -> None:
    secret = Secret("c2VjcmV0")
    assert secret in set_("network.a.preshared_key", secret)


def test_a_list_is_written_whole() -> None:
    """`add_list` always appends (sheet 2.2)."""
    lines = list(list_("network.a.b", ["1", "2"], present=True))
    assert lines == ["delete network.a.b\n", "add_list network.a.b='1'\n", "add_list network.a.b='2'\n"]
