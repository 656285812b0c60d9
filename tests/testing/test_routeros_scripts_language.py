"""Simulated RouterOS scripts: the language, by section of the vendor's manual "Scripting"."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from routeros_scripts import log, output, put, quoted, run

from fleet.testing.ether import Clock
from fleet.testing.routeros import RouterosSimulator


@pytest.fixture(scope="module")
def router():
    return RouterosSimulator("r1", "7.20", clock=Clock(frozen=True))


# --- data types, operators -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("(1 + 2 * 3)", "7"),
        ("((1 + 2) * 3)", "9"),
        ("(10 / 3)", "3"),
        ("(-7 / 2)", "-3"),
        ("(7 % 4)", "3"),
        ("(0x0A)", "10"),
        ('("12" + 1)', "13"),
        ("(15h - 2s)", "14:59:58"),
        ("(12s * 4)", "00:00:48"),
        ("(10s / 3)", "00:00:03.333"),
        ("(1w2d)", "1w2d00:00:00"),
        ("(1d2h3m4s)", "1d02:03:04"),
        ("(10.0.0.15 + 10)", "10.0.0.25"),
        ("(10.0.0.15 - 10.0.0.3)", "12"),
        ("(10.0.0.15 - 12)", "10.0.0.3"),
        ('("a" . "b" . 1)', "ab1"),
        ('({"a";"b"} . "x")', "ax;bx"),
        ("(1,2,3)", "1;2;3"),
        ("({1;2},3)", "1;2;3"),
        ("({b=2;a=1;9})", "9;a=1;b=2"),
        ('({"my key"=1}->"my key")', "1"),
        ("({5;6;7}->1)", "6"),
        ("({5;6;7}->9)", ""),
        ("({})", ""),
        ("*1F", "*1F"),
        ("fd00::1", "fd00::1"),
        ("yes", "true"),
    ],
)
def test_expressions_give_what_the_manual_says(router: RouterosSimulator, expression: str, shown: str) -> None:
    """Data types, arithmetic and concatenation operators."""
    assert put(router, expression) == shown


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("1 < 2", True),
        ("2 <= 2", True),
        ("3 > 3", False),
        ("100000s>27h", True),
        ("60s,1d != 1m,3600s", True),
        ('"a" = "a"', True),
        ('"a" != "b"', True),
        ("yes=false", False),
        ("10+1-6*2=11-12=(2+(-3)=-1)", True),
        ('"peer: hq" ~ "^peer"', True),
        ('"peer: hq" ~ "hq\\$"', True),
        ('"peer" ~ "x"', False),
        ("192.168.1.7 in 192.168.0.0/16", True),
        ("10.0.0.1 in 192.168.0.0/16", False),
        ("10.0.2.3<=2.0.3.10", False),
        ("true && false", False),
        ("true || false", True),
        ("true and not false", True),
        ("false or (1 = 1)", True),
        ("!(2>3)", True),
        ("![:len x] = 0", None),
        ("(true && false) || (true && true)", True),
        ("[] = [:nothing]", True),
        ('[] = ""', False),
        ("00:02:30 = 150s", True),
        ("2m30s <= 150s", True),
    ],
)
def test_comparisons(router: RouterosSimulator, condition: str, holds: bool | None) -> None:
    """Relational and logical operators; None: refused because the manual leaves the order open."""
    source = f':if ({condition}) do={{:put "yes"}} else={{:put "no"}}'
    if holds is None:
        assert "not documented" in run(router, source)
    else:
        assert output(router, source) == ["yes" if holds else "no"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("1", "num"), ("yes", "bool"), ('"1"', "str"), ("word", "str"), ("1.2.3.4", "ip"), ("1.2.3.0/24", "ip-prefix"),
        ("fd00::1", "ip6"), ("fd00::/64", "ip6-prefix"), ("*1F", "id"), ("150s", "time"), ("00:02:30", "time"),
        ("[]", "nil"), ("[:nothing]", "nothing"), ("{1;2}", "array"), ("(1,2)", "array"), ("[:parse \":put 1\"]", "code"),
        ("[/ip/address/find]", "array"), ("fleet:acme:hq", "str"), ("00:11:22:33:44:55", "str"),
    ],
)  # fmt: skip
def test_typeof_names_the_type(router: RouterosSimulator, value: str, name: str) -> None:
    """Data types."""
    assert put(router, f"[:typeof {value}]") == name


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (':if ([] > 150s) do={}', "cannot compare if time is less than nil"),
        (':if ("a" > 150s) do={}', "cannot compare"),
        (':if ("a") do={}', "conditional not boolean"),
        (':put (1 / 0)', "division by zero"),
        (':put (10.0.0.15 + 0.0.10.0)', "cannot add ip to ip"),
        (':put ("a" ~ "(")', "bad regular expression"),
        (':put ([:len x] -> 1)', "-> wants an array"),
        (':error "no luck"', "no luck"),
        ('/nonsense/add x=1', "bad command name"),
        (':beep', "bad command name beep"),
    ],
)  # fmt: skip
def test_what_goes_wrong_while_running_ends_the_script(router: RouterosSimulator, source: str, reason: str) -> None:
    """Line structure: until the end of the script or until a runtime error occurs."""
    assert reason in run(router, f'{source}\n:log info "never"')
    assert ("script,info", "never") not in log(router)


# --- lines, comments, names ----------------------------------------------------------------------------------------------


def test_lines_end_at_a_newline_or_a_semicolon_and_may_be_joined(router: RouterosSimulator) -> None:
    """Line structure."""
    assert output(router, ":put a;:put b\r\n:put c \\\n;\n# a comment; :put no\n  # another\n:put (1 \\\n + 1)") == [
        "a",
        "b",
        "c",
        "2",
    ]


@pytest.mark.parametrize(
    "source",
    [
        ":put a # not at the beginning",
        ":put a :put b",
        ":local my-name 1",
        ":local and 1",
        ':put "no end',
        ":put (1 + 2",
        ":put [:len x",
        ":if (true) do={:put a",
        ":put a}",
        ':put "\\q"',
        ':put "costs $ 5"',
        ":put $undeclared",
        ":set undeclared 1",
        "{ :local a 1 }; :put $a",
        ":local f do={ :return 1 }; :put [$f]]",
        ":put ($a . $b)",
        ":for i from = 1 to=2 do={}",
        ":if (true) do = {}",
        ":local a {}",
        ":put (1 . 2 + 3)",
        "/ip/address/add address=10.0.0.1/24 interface=bridge nonsense=1",
        "/ip/address/add address = 10.0.0.1/24",
        "/interface/wireguard/peers/set [find public-key=abc=] disabled=yes",
        "/ip/address/print where nonsense=1",
        "/ip/address/find name=x",
        "/ip/address/remove [find] [find]",
        "/ip address add address=10.0.0.1/24 address=10.0.0.2/24",
        "/ip/address/set [find] comment=",
        "/ip/address/add interface=bridge address=$ip/24",
        "x" * 10 + "\x00",
        "\\",
        '"',
        "{" * 500,
        "(" * 500,
        "[" * 500,
        "]",
        ":",
        "$",
        ":put $",
    ],
)
def test_a_syntax_error_is_found_before_anything_runs(router: RouterosSimulator, source: str) -> None:
    """Sheet 5.2, import; what the manual calls bad is an error here. Found too late is not catchable either."""
    before = len(log(router))
    outcome = run(router, f':log info "began"\n:do {{\n{source}\n}} on-error={{ :log info "caught" }}')
    assert "line " in outcome
    assert [topics for topics, _ in log(router)[before:]] == ["script,error"]


def test_a_syntax_error_says_where(router: RouterosSimulator) -> None:
    """Line and column."""
    assert run(router, ':put "a"\n  :put $x') == "undeclared variable x: declare it with :local or :global (line 2 column 8)"


def test_an_unknown_command_is_found_only_when_it_is_reached(router: RouterosSimulator) -> None:
    """Command names bind late on a router; what came before is done."""
    assert output(router, ':do { :put "before"; /tool/nonsense url="x" mode=y } on-error={ :put "caught" }') == [
        "before",
        "caught",
    ]
    assert output(router, ":if (false) do={ /tool/nonsense }") == []


def test_names_with_other_characters_are_quoted(router: RouterosSimulator) -> None:
    """Variables."""
    assert output(router, ':local "my-name" 5; :put $"my-name"; :put "$("x" . $"my-name")"') == ["5", "x5"]


def test_a_variable_ends_where_its_letters_and_digits_end(router: RouterosSimulator) -> None:
    """Variables."""
    assert output(router, ':local a 1; :put "$a-b $a_c"') == ["1-b 1_c"]


def test_a_block_has_names_of_its_own(router: RouterosSimulator) -> None:
    """Scopes."""
    assert output(router, ":local a 1; { :local a 2; :put $a }; :put $a; { :set a 3 }; :put $a") == ["2", "1", "3"]


def test_globals_outlive_scripts_and_are_declared_where_read(router: RouterosSimulator) -> None:
    """Global variables."""
    run(router, ":global count 41")
    assert output(router, ":global count; :set count ($count + 1); :put $count") == ["42"]
    assert "undeclared" in run(router, ":put $count")
    assert output(router, ":global count; :set count; :put [:typeof $count]") == ["nothing"]


# --- strings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r'"\48\45\4C\4C\4F"', "HELLO"),
        (r'"\E2\82\AC"', "€"),
        (r'"a\_b\tc\nd\re"', "a b\tc\nd\re"),
        (r'"\"\\\$\?"', '"\\$?'),
        (r'"\a\b\f\v"', "\a\b\f\v"),
        ('"two\nlines"', "two\nlines"),
        ('"joined\\\n    line"', "joinedline"),
        ('"€ ü"', "€ ü"),
        ('"# no comment; no end"', "# no comment; no end"),
        ('"{ ( [ ] ) }"', "{ ( [ ] ) }"),
    ],
)
def test_escape_sequences(router: RouterosSimulator, written: str, value: str) -> None:
    """Constant escape sequences."""
    assert put(router, written) == value


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",))))
@example('"; /system/reset-configuration; :put "')
@example("$(:error x) $[/ip/address/remove [find]] $x")
@example('\\" \\$ \x00\x7f\x1b[31m \\_')
def test_a_quoted_string_comes_back_as_it_was(text: str) -> None:
    """Whatever is in it, nothing of it is run."""
    assert put(_SHARED, quoted(text)) == text


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(lambda one: not one.isspace()))
def test_a_quoted_comment_is_stored_and_found_again(text: str) -> None:
    """Sheet 4: marks are found by their exact text."""
    setting = f'/ip/address/set [find address="192.168.88.1/24"] comment={quoted(text)}'
    source = f"{setting}\n:put [:len [/ip/address/find comment={quoted(text)}]]"
    assert output(_SHARED, source) == ["1"]
    assert _SHARED.rows("/ip/address")[0]["comment"] == text


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_a_script_in_a_script_is_quoted_twice(text: str) -> None:
    """Scheduler entries that add scheduler entries."""
    assert output(_SHARED, f":put [:execute script={quoted(':put ' + quoted(text))} as-string]") == [text]


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_the_interpreter(text: str) -> None:
    """Hostile scripts end with an outcome."""
    assert run(_SHARED, text)


_TOKENS = (
    ":put", ":local a", ":set a", ":if", ":foreach i in=", ":do", "do={", "}", "{", "on-error={", "(", ")", "[", "]", '"', "$a",
    "$i", "1", "-", "->", ".", ",", "=", "!", "~", "and", "in", ";", "\n", " ", "\\", "/ip/address", "find", "where", "get",
    "print", "add", "address=", "comment", "10.0.0.0/8", "150s", "*1", "yes", ":return", ":error x", ":while (true) do={", "#",
    "disabled=yes", "%",
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.sampled_from(_TOKENS), max_size=30))
def test_no_tokens_in_any_order_break_it(tokens: list[str]) -> None:
    """What is nearly a script ends with an outcome too."""
    assert run(_SHARED, "".join(tokens))
    assert run(_SHARED, ":local a 1\n:local i 2\n" + " ".join(tokens))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (':local a "x"; :while (true) do={ :set a ($a . $a) }', "string too long"),
        (':local a "x"; :while (true) do={ :set a "$a$a" }', "string too long"),
        (":local a {1}; :while (true) do={ :set a ($a,$a) }", "array too long"),
        (":local n 0; :while (true) do={ :put $n }", "never end"),
        (":put (255.255.255.255 + 1)", "not permitted"),
        (":put (" + "1+" * 5000 + "1)", "too long"),
        (':put ("a" ~ "[[:nonsense:]]")', "no class nonsense"),
        (':put ("1" ~ "\\\\d")', "not POSIX"),
    ],
    ids=lambda value: value[:40],
)
def test_a_script_cannot_hurt_its_host(router: RouterosSimulator, source: str, reason: str) -> None:
    """Memory, stack and time are bounded."""
    assert reason in run(router, source)


@pytest.mark.parametrize(
    ("text", "pattern", "found"),
    [
        ("fleet:acme:s1", r"^fleet:[a-z]+:s[[:digit:]]\$", True),
        ("fleet:acme:sx", r"^fleet:[a-z]+:s[[:digit:]]\$", False),
        ("a.b", r"a\\.b", True),
        ("axb", r"a\\.b", False),
        ("x", "^(x|y)?\\$", True),
        ("a]b", "[]]", True),
        ("a[b", "[[]", True),
        ("s1 ", "s1\\$", False),
        ("s1\\n", "s1\\$", False),
    ],
)
def test_regular_expressions_are_posix(router: RouterosSimulator, text: str, pattern: str, found: bool) -> None:
    """Operators, `~`."""
    assert put(router, f'("{text}" ~ "{pattern}")') == ("true" if found else "false")


def test_numbers_have_64_bits(router: RouterosSimulator) -> None:
    """Data types."""
    assert put(router, "(9223372036854775807 + 1)") == "-9223372036854775808"
    assert put(router, "[:typeof 9223372036854775808]") == "str"


_SHARED = RouterosSimulator("shared", "7.20", clock=Clock(frozen=True))


def test_strings_take_in_variables_expressions_and_commands(router: RouterosSimulator) -> None:
    """Operators, other: substitution."""
    assert output(router, ':local a 5; :put "a=$a b=$($a + 1) c=$[:len "xyz"]"') == ["a=5 b=6 c=3"]


# --- commands ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ('[:len "abcd"]', "4"),
        ("[:len {1;2;3}]", "3"),
        ("[:len []]", "0"),
        ('[:pick "abcde" 1]', "b"),
        ('[:pick "abcde" 1 3]', "bc"),
        ("[:pick {1;2;3} 1 3]", "2;3"),
        ('[:find "abcabc" "b"]', "1"),
        ('[:find "abcabc" "b" 1]', "4"),
        ('[:typeof [:find "abc" "x"]]', "nil"),
        ("[:find {1;2;3} 3]", "2"),
        ('[:toarray "1,2,3"]', "1;2;3"),
        ('[:len [:toarray ""]]', "0"),
        ('[:tonum "12"]', "12"),
        ('[:typeof [:tonum "x"]]', "nil"),
        ('[:totime "90"]', "00:01:30"),
        ('[:totime "1m45s"]', "00:01:45"),
        ("[:tostr 105s]", "00:01:45"),
        ("[:pick [:tostr 105s] 3 5]", "01"),
        ('[:toip "10.0.0.1"]', "10.0.0.1"),
        ('[:tobool "yes"]', "true"),
        ("[len abc]", "3"),
    ],
)
def test_global_commands_give_values(router: RouterosSimulator, command: str, shown: str) -> None:
    """Global commands."""
    assert put(router, command) == shown


def test_if_else(router: RouterosSimulator) -> None:
    """Conditional statement."""
    assert output(router, ":local a 1\n:if ($a = 1) do={\n :put one\n} else={\n :put other\n}") == ["one"]


def test_loops(router: RouterosSimulator) -> None:
    """Loops."""
    assert output(router, ":for i from=1 to=3 do={ :put $i }") == ["1", "2", "3"]
    assert output(router, ":for i from=3 to=1 do={ :put $i }") == ["3", "2", "1"]
    assert output(router, ":for i from= 0 to= 10 step= 5 do={ :put $i }") == ["0", "5", "10"]
    assert output(router, ":foreach i in={a;b} do={ :put $i }") == ["a", "b"]
    assert output(router, ':foreach k,v in={x=1;a=2} do={ :put "$k=$v" }') == ["a=2", "x=1"]
    assert output(router, ":local n 0; :while ($n < 3) do={ :set n ($n + 1) }; :put $n") == ["3"]
    assert output(router, ":local n 0; :do { :set n ($n + 1) } while=($n < 3); :put $n") == ["3"]
    assert output(router, ":foreach i in=[/ip/address/find comment=none] do={ :put $i }") == []


def test_functions_take_arguments_and_return_values(router: RouterosSimulator) -> None:
    """Functions."""
    assert output(router, ":local add do={ :return ($1 + $2) }; :put [$add 2 3]") == ["5"]
    assert output(router, ':local hello do={ :return "hello $who" }; :put [$hello who=noc]') == ["hello noc"]
    assert output(router, ':local f [:parse ":put (1 + \\$1)"]; $f 4') == ["5"]
    assert output(router, ":local seen 1; :local f do={ :return [:typeof $seen] }; :put [$f]") == ["nothing"]


def test_elements_of_arrays_are_set(router: RouterosSimulator) -> None:
    """Arrays."""
    assert output(router, ':local a [:toarray ""]; :set ($a->"x") 1; :set ($a->0) 9; :put $a; :put [:len $a]') == ["9;x=1", "2"]
    assert output(router, ":local a {1;2}; :local b $a; :set ($b->0) 7; :put $a") == ["1;2"]


def test_an_error_goes_to_the_nearest_on_error_and_the_script_goes_on(router: RouterosSimulator) -> None:
    """Catch run-time errors."""
    source = ':do { :put 1; :error "x"; :put 2 } on-error={ :put caught }; :put on'
    assert output(router, source) == ["1", "caught", "on"]
    assert output(router, ":do { :do { :error a } on-error={ :error b } } on-error={ :put outer }") == ["outer"]


def test_onerror_gives_the_message_from_7_13_on(router: RouterosSimulator) -> None:
    """Catch run-time errors."""
    assert output(router, ":onerror e in={ :error broken } do={ :put $e }") == ["broken"]
    assert "bad command name" in run(RouterosSimulator("old", "7.12"), ":onerror e in={} do={}")


def test_a_script_that_never_ends_is_stopped(router: RouterosSimulator) -> None:
    """A simulated router has no patience."""
    assert "never end" in run(router, ":do { :while (true) do={ :nothing } } on-error={ :put no }")
    assert "too deeply" in run(router, ":global f do={ :global f; $f }; $f")
    assert run(router, ':global again ":global again; :execute \\$again"; :execute $again') == "ok"


def test_topics_of_the_log(router: RouterosSimulator) -> None:
    """Log."""
    run(router, ':log warning "w"; :log error message="e"; /log info "i"; /log debug message=d')
    assert log(router)[-4:] == [("script,warning", "w"), ("script,error", "e"), ("script,info", "i"), ("script,debug", "d")]


def test_a_long_script_is_quick(router: RouterosSimulator) -> None:
    """500 lines in well under a second, parsed and run."""
    lists = "/ip/firewall/address-list"
    made = "\n".join(f'{lists} add list=x address=10.9.{n // 250}.{n % 250} comment="fleet:a:{n}"' for n in range(500))
    assert run(router, made) == "ok"
    undone = "\n".join(
        f':do {{ {lists} remove [find comment="fleet:a:{n}"] }} on-error={{ :log error "{n}" }}' for n in range(500)
    )
    began = time.process_time()
    assert run(router, undone) == "ok"
    assert time.process_time() - began < 0.5  # about 0.1 s of work here; slower processors must not fail the run
    assert router.rows(lists) == []
