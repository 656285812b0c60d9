"""What is written for people is true: README, help, messages, docstrings; and nothing of one machine is in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import fleet.cli
from fleet.report import EXIT, PRECEDENCE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCES = sorted(path for path in (ROOT / "fleet").rglob("*.py"))
COMMANDS: dict[str, Any] = typer.main.get_command(fleet.cli.app).commands  # type: ignore[attr-defined]  # a group
HELP = {"--help", "-h"}


def options(command: Any) -> set[str]:
    """Long options of a command, or short ones that have no long form."""
    found = set()
    for parameter in command.params:
        names = [name for name in parameter.opts if name.startswith("-")]
        found |= {name for name in names if name.startswith("--")} or set(names)
    return found - HELP


# ------------------------------------------------------------------------------------------------------------ README
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_all_its_options_are_in_the_readme(name):
    assert f"`fleet {name}" in README
    missing = [option for option in sorted(options(COMMANDS[name])) if not re.search(rf"{option}(?![\w-])", README)]
    assert missing == []


def test_the_options_before_the_command_are_in_the_readme():
    everywhere = typer.main.get_command(fleet.cli.app)
    short = {"--inventory": "-i", "--verbose": "-v"}
    missing = [option for option in options(everywhere) if f"`{short.get(option, option)}" not in README]
    assert missing == []


def test_environment_variables_of_the_command_line_are_in_the_readme():
    everywhere = typer.main.get_command(fleet.cli.app)
    names = {parameter.envvar for parameter in everywhere.params if parameter.envvar} | {"FLEET_SECRET"}
    assert [name for name in sorted(names) if name not in README] == []


def test_the_readme_names_no_command_and_no_option_that_does_not_exist():
    known = set().union(*(options(command) for command in COMMANDS.values()), options(typer.main.get_command(fleet.cli.app)))
    ours = README.partition("## Commands")[2].partition("## Routers")[0]
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert named - known == set()
    assert set(re.findall(r"`fleet ([a-z-]+)", README)) - set(COMMANDS) == set()


def test_the_exit_codes_of_the_readme_are_those_of_the_code():
    table = dict(re.findall(r"^\| (\d) \| (.+?) \|$", README, flags=re.MULTILINE))
    assert set(map(int, table)) == {0, 3, *EXIT.values()}
    for outcome in ("pending", "waiting", "not enrolled", "rolled back", "refused", "failed"):
        assert outcome in table[str(EXIT[outcome])]
    said = re.search(r"Several at once: ([\d, ]+) in this order", README)
    assert said is not None
    order = [int(number) for number in said[1].split(",")]
    assert order == [code for code in PRECEDENCE if str(code) in table and code != 0]


def test_links_of_the_readme_lead_somewhere():
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


# -------------------------------------------------------------------------------------------------------------- help
def test_every_command_and_every_option_says_what_it_does():
    silent = [
        f"{name} {parameter.name}"
        for name, command in COMMANDS.items()
        for parameter in command.params
        if not getattr(parameter, "help", "") and parameter.name != "help"
    ]
    assert silent == []
    assert [name for name, command in COMMANDS.items() if not command.help] == []


def test_no_line_of_help_is_a_stub():
    words = " ".join(str(command.help) for command in COMMANDS.values()).lower()
    assert not re.search(r"todo|not implemented|coming soon|later version", words)


# ---------------------------------------------------------------------------------------------------------- messages
@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """String literals of a module with their lines, the holes of f-strings as NAME."""
    inside: set[int] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in ast.walk(node) if isinstance(part, ast.Constant)}
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "NAME" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def commands_named(text: str) -> Iterator[tuple[str, list[str]]]:
    """Command lines of ours that a text names in backticks or behind a colon: the command and its options."""
    for line in [*re.findall(r"`fleet ([^`]+)`", text), *re.findall(r": fleet ((?:sync|plan|trust|status|show) [^`]+)$", text)]:
        words = [word for word in line.split() if word not in ("-i", "NAME", "-v", "-vv")]
        named = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
        if named:
            yield named[0], [word.partition("=")[0].rstrip(",.;:") for word in words if word.startswith("--")]


def test_no_message_names_a_command_or_an_option_that_does_not_exist():
    wrong = []
    everywhere = options(typer.main.get_command(fleet.cli.app)) | HELP
    for path in SOURCES:
        for line, text in literals(path):
            for command, given in commands_named(text) if "fleet " in text else ():
                place = f"{path.relative_to(ROOT)}:{line}"
                if command not in COMMANDS:
                    wrong.append(f"{place}: fleet {command}")
                else:
                    known = options(COMMANDS[command]) | everywhere
                    wrong += [f"{place}: fleet {command} {option}" for option in given if option not in known]
    assert wrong == []


def test_the_scan_of_messages_would_find_one():
    assert list(commands_named("see `fleet doctor --deep`")) == [("doctor", ["--deep"])]
    assert list(commands_named("again with `fleet -i NAME sync NAME`")) == [("sync", [])]


# -------------------------------------------------------------------------------------------------------- docstrings
def public(path: Path) -> bool:
    parts = path.relative_to(ROOT / "fleet").parts
    return not any(part.startswith("_") and part != "__init__.py" for part in parts)


@cache
def inherited() -> frozenset[tuple[str, str]]:
    """(class, method) of every class of fleet whose method has a docstring: who overrides it need not repeat it."""
    classes = [node for path in SOURCES for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)]
    return frozenset(
        (node.name, method.name)
        for node in classes
        for method in node.body
        if isinstance(method, ast.FunctionDef) and ast.get_docstring(method)
    )


def undocumented(node: ast.AST, where: str) -> Iterator[str]:
    bases = [ast.unparse(base).partition("[")[0] for base in getattr(node, "bases", [])]
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or child.name.startswith("_"):
            continue
        overrides = any((base, child.name) in inherited() for base in bases)
        if ast.get_docstring(child) is None and not overloaded(child) and not overrides:
            yield f"{where}: {child.name}"
        if isinstance(child, ast.ClassDef):
            yield from undocumented(child, f"{where}: {child.name}")


def overloaded(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any("overload" in ast.unparse(it) or ast.unparse(it).endswith(".setter") for it in decorators)


def test_every_public_class_function_and_method_of_fleet_says_what_it_is():
    missing = [found for path in SOURCES if public(path) for found in undocumented(tree(path), str(path.relative_to(ROOT)))]
    assert missing == []


def test_every_module_says_what_it_is_for():
    assert [str(path.relative_to(ROOT)) for path in SOURCES if path.read_text() and ast.get_docstring(tree(path)) is None] == []


# -------------------------------------------------------------------------------------------------------- repository
@cache
def repository() -> tuple[Path, ...]:
    """Text files under version control; without git, what an archive of the sources holds."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=False).stdout
    names = [name.decode() for name in listed.split(b"\0") if name]
    paths = [ROOT / name for name in names] or [path for path in ROOT.rglob("*") if not {".venv", ".git"} & set(path.parts)]
    return tuple(path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096])


MACHINE = {
    "a home directory": r"(?<![\w.~])/(?:home|Users)/(?!fleet\b|NAME\b)\w+",
    "a root home": r"(?<![\w}])/root/",
    "a scratch folder": r"(?<![\w.$}])/(?:work|workspace|tmp/pytest-of)(?:/|\b)(?=\w)",
    "a registry or mirror": r"(?i)\b(?:index-url|extra-index-url|trusted-host)\b|\b(?:artifactory|nexus|devpi|pypi-mirror)\.",
    "a private host": r"(?i)https?://[^\s/\"')>]*\.(?:internal|corp|local|intranet)\b",
}


@pytest.mark.parametrize("what", MACHINE)
def test_nothing_of_one_machine_is_in_the_repository(what):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in repository()
        if path != Path(__file__) and not (what == "a root home" and path.is_relative_to(ROOT / "tests" / "lab"))
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if re.search(MACHINE[what], line)
    ]
    assert found == []
