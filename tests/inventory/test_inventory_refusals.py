"""Every file under `tests/fixtures/inventory/bad` is refused for exactly what its first lines say.

`# expect: LINE: words | more words`: a problem at that line (`-`: at the file) whose two lines hold all the words. Nothing
else may be reported: a follow-up error that repairing the first one removes is noise.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from inventory_drivers import DRIVERS

from fleet.errors import InventoryError, Problem
from fleet.inventory import load

BAD = sorted((Path(__file__).parents[1] / "fixtures" / "inventory" / "bad").glob("*.yaml"))
COMMANDS = {"init", "check", "plan", "sync", "status", "show", "render", "trust", "history", "drivers"}


def _expected(path: Path) -> list[tuple[int, list[str]]]:
    found = re.findall(r"^# expect: (\d+|-): (.+)$", path.read_text(), flags=re.MULTILINE)
    return [(0 if line == "-" else int(line), words.split("|")) for line, words in found]


def _fits(problem: Problem, line: int, words: list[str]) -> bool:
    return problem.line == line and all(word in f"{problem.summary}\n{problem.cure}" for word in words)


def _problems(path: Path) -> list[Problem]:
    with pytest.raises(InventoryError) as caught:
        load(path, DRIVERS)
    return caught.value.problems


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_inventory_is_refused_at_its_line_for_its_reason_and_nothing_else(path: Path) -> None:
    problems, expected = _problems(path), _expected(path)
    assert len(problems) == len(expected), problems
    for line, words in expected:
        assert any(_fits(problem, line, words) for problem in problems), (line, words, problems)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_refusal_names_a_cure_and_only_commands_that_exist(path: Path) -> None:
    for problem in _problems(path):
        assert problem.cure
        assert set(re.findall(r"`fleet ([a-z-]+)", problem.cure)) <= COMMANDS


def test_the_corpus_has_all_kinds_of_mistakes() -> None:
    assert len(BAD) >= 100


def test_a_bare_secret_is_never_repeated_in_the_message() -> None:
    secret = "hunter2"
    holders = [path for path in BAD if secret in path.read_text()]
    assert len(holders) >= 2
    for path in holders:
        assert secret not in "".join(map(str, _problems(path)))
