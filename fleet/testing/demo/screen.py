"""What the demo looks like: acts, sentences, prompts and pings; colour on terminals, plain text in pipes."""

from __future__ import annotations

import os
import sys
from typing import Final

from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from ..ether import Trace

WIDTH: Final = 100
"""Columns at most: prose and rules wider than this are tiring; commands get the whole terminal."""

EXIT_MEANS: Final = {
    0: ("green", "done, or in sync"),
    1: ("bold red", "some router failed"),
    2: ("yellow", "plan found changes"),
    3: ("bold red", "usage or inventory error"),
    4: ("bold red", "refused for safety"),
    5: ("bold red", "some router rolled back"),
    6: ("yellow", "done, but some routers are pending, waiting or not enrolled"),
}


class Screen:
    """Prints on one console."""

    def __init__(self, console: Console | None = None) -> None:
        plain = bool(os.environ.get("NO_COLOR")) or bool(os.environ.get("CI"))
        width = None if sys.stdout.isatty() else WIDTH
        self.console = console or Console(highlight=False, markup=False, emoji=False, no_color=plain, width=width)
        self.colour = self.console.is_terminal and not self.console.no_color
        self.width = min(self.console.width, WIDTH)
        self._act = 0

    def say(self, text: str | Text) -> None:
        """A sentence, wrapped at words."""
        self.console.print(text, width=self.width)

    def blank(self) -> None:
        """An empty line."""
        self.console.print()

    def title(self, text: str) -> None:
        """The first and the last line."""
        self.console.print(Rule(Text(text, style="bold"), characters=self._character("═", "="), style="cyan"), width=self.width)

    def act(self, name: str, sentence: str) -> None:
        """A new act: its number, its name, and one sentence that says what is about to be seen."""
        self._act += 1
        self.blank()
        title = Text.assemble((f"{self._act}", "bold cyan"), "  ", (name, "bold"))
        self.console.print(Rule(title, align="left", characters=self._character("─", "-"), style="cyan"), width=self.width)
        self.say(sentence)
        self.blank()

    def yaml(self, text: str) -> None:
        """A YAML file."""
        if not self.colour:
            self.console.out(text, end="", highlight=False)
            return
        self.console.print(Syntax(text.rstrip(), "yaml", theme="ansi_dark", background_color="default", word_wrap=True))

    def prompt(self, command: str) -> None:
        """The command line about to run."""
        self.console.print(Text.assemble(("$ ", "cyan"), (command, "bold")))

    def by_hand(self, router: str, command: str) -> None:
        """A command that somebody types on a router."""
        self.console.print(Text.assemble((f"{router}# ", "magenta"), (command, "bold")))

    def line(self, text: str) -> None:
        """One line of a command's result, with its own colours."""
        self.console.print(Text.from_ansi(text), soft_wrap=True)

    def aside(self, text: str) -> None:
        """One line of what a command says to the person, or the demo about it."""
        self.console.print(Text.from_ansi(text, style="dim"))

    def exited(self, code: int, seconds: float) -> None:
        """How the command ended."""
        style, meaning = EXIT_MEANS.get(code, ("bold red", "unexpected"))
        self.console.print(Text.assemble((f"exit {code}", style), (f"  {meaning}, {seconds:.1f} s", "dim")))

    def expectation(self, text: str) -> None:
        """Something that the demo itself looked at and found as promised."""
        self.say(Text.assemble((self._character("✓ ", "ok  "), "green"), text))

    def pings(self, rows: list[tuple[str, str, Trace]]) -> None:
        """From whom to whom, whether it arrives, and the way it took or why it stopped."""
        arrow = self._character(" → ", " -> ")
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for source, target, trace in rows:
            answer = Text("no answer", style="red") if trace.stopped else Text("answers", style="green")
            # Without a route into a tunnel it leaves by the uplink, masqueraded.
            stopped = f"{source} sends it to the Internet" if trace.stopped.endswith(" rewritten") else trace.stopped
            way = Text(stopped or "by " + arrow.join(trace.hops), style="dim")
            table.add_row(Text("ping", style="bold"), f"{source}{arrow}{target}", answer, way)
        self.console.print(table, width=self.width)

    def facts(self, rows: list[tuple[str, str]]) -> None:
        """Name and sentence, in two columns."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="cyan", no_wrap=True)
        table.add_column()
        for name, sentence in rows:
            table.add_row(name, sentence)
        self.console.print(table, width=self.width)

    def _character(self, unicode: str, ascii_: str) -> str:
        return ascii_ if self.console.options.ascii_only else unicode
