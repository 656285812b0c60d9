"""Interactive recordings of an EdgeRouter, as exchanges: what was typed, what appeared, what the templates ran."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from edgeos_routers import plain

from fleet.testing.edgeos import EdgeOsSimulator, Terminal

FOLDER = Path(__file__).parents[2] / "fixtures/edgeos"
_PROMPT = re.compile(r"^(?:[AB]> )?\w+@edge(?::\S+\$|#|>) ?(.*)$")


@dataclass
class Exchange:
    """One command. `ran` is what the recording shows of it, `got_ran` what the simulator ran."""

    command: str
    lines: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    got: str = ""
    got_ran: list[str] = field(default_factory=list)

    @property
    def expected(self) -> str:
        """What appeared, without the prompt."""
        return "\n".join(self.lines)


def exchanges(name: str) -> list[Exchange]:
    """The recording `name`."""
    found: list[Exchange] = []
    waiting = False
    text = re.sub(r"(<ESC>>)(\w+@edge|\[edit)", r"\1\n\2", (FOLDER / f"{name}.txt").read_text())
    for line in text.splitlines()[1:]:
        prompt = _PROMPT.match(line)
        ran = re.match(r"^\s+<<ran: (.*)>>$", line)
        if ran:
            found[-1].ran.append(ran[1])
        elif prompt is not None:
            if found and found[-1].lines[-1:] and found[-1].lines[-1].startswith("[edit"):
                found[-1].lines.pop()
            waiting = not prompt[1]
            if prompt[1]:
                found.append(Exchange(prompt[1]))
        elif waiting and line and not line.startswith("[edit"):
            found.append(Exchange(line))
            waiting = False
        elif found and not waiting:
            found[-1].lines.append(line)
    return found


def replay(router: EdgeOsSimulator, recording: list[Exchange]) -> list[Exchange]:
    """Type every command of a recording; what appeared and what ran is kept beside what was recorded."""
    terminal = Terminal(router, rows=1000)
    terminal.greeting()
    for exchange in recording:
        router.ran.clear()
        said = plain(terminal.send(exchange.command)).removeprefix(exchange.command + "\n")
        if terminal.wants_key:
            said += "y\n" + plain(terminal.answer("y"))
        exchange.got = said.removesuffix(plain(terminal.prompt)).rstrip("\n")
        exchange.got_ran = list(router.ran)
    return recording
