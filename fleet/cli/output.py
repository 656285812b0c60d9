"""Where text goes: results to standard output, everything said to a person to standard error.

Terminals get colour and progress; pipes, CI and NO_COLOR get plain lines.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..events import Emit, Event
from ..report import ChangeLine, FleetReport, RouterReport, sentence
from .fitting import fitted, hanging

STYLE = {
    "in sync": "green",
    "changed": "green",
    "changes": "yellow",
    "waiting": "yellow",
    "not enrolled": "yellow",
    "pending": "yellow",
    "failed": "bold red",
    "refused": "bold red",
    "rolled back": "bold red",
    "suspended": "dim",
    "left": "dim",
}
SIGN_STYLE = {"+": "green", "~": "yellow", "-": "red"}


class _Console(Console):
    """Rich's own answer to a closed pipe is to leave the program, from whatever thread, and to close standard output too."""

    def on_broken_pipe(self) -> None:
        """What it was: an error that `report_error` knows. Without an errno, or typer would make it an exit of its own."""
        raise BrokenPipeError


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    plain = bool(os.environ.get("NO_COLOR")) or bool(os.environ.get("CI")) or not stream.isatty()
    # Lines in a pipe are never wrapped and tables never squeezed: the reader is a program, or a pager. Results are for
    # copying, so a terminal breaks them itself; what is said to a person breaks at words.
    return _Console(
        stderr=stderr,
        # Plain means no escape sequence at all; NO_COLOR alone would leave Rich its bold, and FORCE_COLOR everything.
        force_terminal=False if plain else None,
        no_color=plain,
        highlight=False,
        soft_wrap=not (stderr and stream.isatty()),
        markup=False,
        emoji=False,
        width=None if stream.isatty() else 400,
    )


_CONTROL = {code: "?" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def clean(text: str | Text) -> Text:
    """The text without control characters: names and comments come from routers, and must not write on a terminal."""
    text = Text(text) if isinstance(text, str) else text
    text.plain = text.plain.translate(_CONTROL)  # same length, so that styles stay where they are
    return text


def add_row(table: Table, *cells: str | Text) -> None:
    """A row whose cells are clean."""
    table.add_row(*map(clean, cells))


def say(text: str | Text = "") -> None:
    """A line to the person, on standard error; if nobody listens there, the result is still due."""
    with suppress(BrokenPipeError):
        _console(stderr=True).print(clean(text))


def result(text: str | Text | Table = "") -> None:
    """A piece of the result, on standard output. The cells of a table are cleaned by `add_row`."""
    console = _console(stderr=False)
    if isinstance(text, Table):
        console.print(fitted(text, console), soft_wrap=not console.is_terminal)
    else:
        console.print(clean(text))


def _paragraph(text: Text) -> None:
    """Prose of a result, wrapped at words on terminals."""
    console = _console(stderr=False)
    console.print(hanging(clean(text), console))


def result_json(value: Mapping[str, object]) -> None:
    """The result as JSON, on standard output."""
    try:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise BrokenPipeError from None


def show_report(report: FleetReport, *, command_hint: str = "") -> None:
    """A plan or a sync as text: routers with something to say, then one sentence of counts."""
    width = max((len(router.router) for router in report.routers), default=0)
    for router in report.routers:
        if router.outcome == "in sync" and not router.notes:
            continue
        _paragraph(_router(router, width))
        if router.native:
            result(_native(router))
    for note in report.notes:
        _paragraph(Text(f"note: {note}", style="dim"))
    if report.not_enrolled:
        _paragraph(Text(f"not enrolled, no peers for them yet: {', '.join(report.not_enrolled)}", style="yellow"))
    _paragraph(Text(f"{report.overlay}: {sentence(report.routers)} in {report.seconds:.1f} s", style="bold"))
    if command_hint:
        say(command_hint)


def _router(router: RouterReport, width: int) -> Text:
    text = Text()
    text.append(f"{router.router:<{width}}  ", style="bold")
    text.append(f"{router.driver} {router.role}  ", style="dim")
    text.append(router.outcome, style=STYLE.get(router.outcome, ""))
    if router.interrupts not in ("", "nothing") and router.outcome == "changes":
        text.append(f"  (interrupts: {router.interrupts})", style="yellow")
    if router.included:
        text.append(f"  (included for {router.included})", style="dim")
    if router.changes and router.confirmed:
        text.append(f"  (last confirmed {router.confirmed})", style="dim")
    if router.summary:
        text.append(f"\n    {router.summary}")
    if router.hint:
        for line in router.hint.splitlines():
            text.append(f"\n    {line.strip()}", style="dim")
    for change in router.changes:
        text.append("\n    ").append_text(_change(change))
    for note in router.notes:
        text.append(f"\n    note: {note}", style="dim")
    return text


def _native(router: RouterReport) -> Text:
    """The vendor's own commands: never wrapped, they are for copying."""
    lines = [f"      | {line}" for request in router.native for line in request.splitlines()]
    return Text("\n".join(lines), style="cyan")


def _change(change: ChangeLine) -> Text:
    text = Text(f"{change.sign} {change.text}", style=SIGN_STYLE.get(change.sign, ""))
    if change.reason == "drift":
        text.append("  (drift: the router was changed)", style="magenta")
    elif change.reason == "intent":
        text.append("  (intent)", style="dim")
    return text


@contextmanager
def progress(total: int, *, quiet: bool, verbose: int) -> Iterator[Emit]:
    """An Emit: a live bar on terminals, one plain line per finished router in pipes, every step with -v.

    `quiet` (JSON) leaves what must be said to a person: first contacts, and that there is no guard.
    """
    console = _console(stderr=True)
    if console.is_terminal and not verbose and not quiet:
        with _bar(console, total) as emit:
            yield _safe(emit)
    else:
        yield _safe(lambda event: _line(event, console, quiet=quiet, verbose=verbose))


@contextmanager
def _bar(console: Console, total: int) -> Iterator[Emit]:
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("reading routers", total=total)
        seen: set[str] = set()

        def emit(event: Event) -> None:
            if event.phase == "observe" and event.router not in seen:
                seen.add(event.router)
                bar.update(task, completed=len(seen))
            elif event.phase == "apply":
                bar.update(task, description=clean(f"{event.router}: {event.text}"[:70]).plain)
            elif event.phase == "plan":
                bar.console.print(clean(event.text))

        yield emit


def _line(event: Event, console: Console, *, quiet: bool, verbose: int) -> None:
    router = f"{event.router}: " if event.router else ""
    if event.phase == "plan":
        console.print(clean(event.text))
    elif verbose:
        console.print(clean(f"{router}{event.phase} {event.text}".rstrip()))
    elif event.phase == "verify" and event.text != "in sync" and not quiet:
        console.print(clean(f"{router}written, {event.text}"))


def _safe(emit: Emit) -> Emit:
    """The same, but nobody who watches can stop a run: a closed pipe must not end a write half way."""

    def guarded(event: Event) -> None:
        with suppress(OSError, ValueError):
            emit(event)

    return guarded
