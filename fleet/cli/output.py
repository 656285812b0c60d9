"""Where text goes: results to standard output, everything said to a person to standard error.

Terminals get colour and progress; pipes, CI and NO_COLOR get plain lines.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..events import Emit, Event, silent
from ..report import ChangeLine, FleetReport, RouterReport, sentence

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


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    plain = bool(os.environ.get("NO_COLOR")) or bool(os.environ.get("CI")) or not stream.isatty()
    # Lines in a pipe are never wrapped and tables never squeezed: the reader is a program, or a pager.
    return Console(
        stderr=stderr,
        no_color=plain,
        highlight=False,
        soft_wrap=True,
        markup=False,
        emoji=False,
        width=None if stream.isatty() else 400,
    )


def say(text: str | Text = "") -> None:
    """A line to the person, on standard error."""
    _console(stderr=True).print(text)


def result(text: str | Text | Table = "") -> None:
    """A piece of the result, on standard output."""
    _console(stderr=False).print(text)


def result_json(value: Mapping[str, object]) -> None:
    """The result as JSON, on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def show_report(report: FleetReport, *, command_hint: str = "") -> None:
    """A plan or a sync as text: routers with something to say, then one sentence of counts."""
    width = max((len(router.router) for router in report.routers), default=0)
    for router in report.routers:
        if router.outcome == "in sync" and not router.notes:
            continue
        result(_router(router, width))
    for note in report.notes:
        result(Text(f"note: {note}", style="dim"))
    if report.not_enrolled:
        result(Text(f"not enrolled, no peers for them yet: {', '.join(report.not_enrolled)}", style="yellow"))
    result(Text(f"{report.overlay}: {sentence(report.routers)} in {report.seconds:.1f} s", style="bold"))
    if command_hint:
        say(command_hint)


def _router(router: RouterReport, width: int) -> Text:
    text = Text()
    text.append(f"{router.router:<{width}}  ", style="bold")
    text.append(f"{router.driver} {router.role}  ", style="dim")
    text.append("changes" if router.outcome == "changes" else router.outcome, style=STYLE.get(router.outcome, ""))
    if router.included:
        text.append(f"  (included: {router.included})", style="dim")
    if router.summary:
        text.append(f"\n    {router.summary}")
    if router.hint:
        for line in router.hint.splitlines():
            text.append(f"\n    {line.strip()}", style="dim")
    for change in router.changes:
        text.append("\n    ").append_text(_change(change))
    for note in router.notes:
        text.append(f"\n    note: {note}", style="dim")
    for request in router.native:
        for line in request.splitlines():
            text.append(f"\n      | {line}", style="cyan")
    return text


def _change(change: ChangeLine) -> Text:
    text = Text(f"{change.sign} {change.text}", style=SIGN_STYLE.get(change.sign, ""))
    if change.reason == "drift":
        text.append("  (drift: the router was changed)", style="magenta")
    return text


@contextmanager
def progress(total: int, *, quiet: bool, verbose: int) -> Iterator[Emit]:
    """An Emit: a live bar on terminals, one plain line per finished router in pipes, every step with -v."""
    console = _console(stderr=True)
    if quiet:
        yield silent
    elif console.is_terminal and not verbose:
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
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
                    bar.update(task, description=f"{event.router}: {event.text}"[:70])
                elif event.phase == "plan":
                    bar.console.print(event.text)

            yield emit
    else:

        def emit_line(event: Event) -> None:
            router = f"{event.router}: " if event.router else ""
            if event.phase == "plan":
                console.print(event.text)
            elif verbose:
                console.print(f"{router}{event.phase} {event.text}".rstrip())
            elif event.phase == "verify" and event.text != "in sync":
                console.print(f"{router}written, {event.text}")

        yield emit_line
