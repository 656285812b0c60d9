"""What a connection asks of the simulated router and what it is answered, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .values import Refused

WRITES: Final = frozenset({"add", "set", "remove", "enable", "disable", "comment", "unset", "move"})


@dataclass(frozen=True, slots=True)
class Command:
    """One sentence as received. `path` is the menu, `verb` the last part; tag None when there is none."""

    sentence: str
    path: str
    verb: str
    attributes: Mapping[str, str]
    queries: tuple[str, ...] = ()
    tag: str | None = None
    user: str = ""

    @property
    def writes(self) -> bool:
        """True if it changes configuration."""
        return self.verb in WRITES

    @classmethod
    def of(cls, words: Sequence[str], user: str = "") -> Command:
        """Out of the words of a sentence, in whatever order attributes, tag and queries come."""
        attributes: dict[str, str] = {}
        queries: list[str] = []
        tag: str | None = None
        for word in words[1:]:
            if word.startswith("="):
                name, _, value = word[1:].partition("=")
                attributes[name] = value
            elif word.startswith(".tag="):
                tag = word[5:] or None
            elif word.startswith("?"):
                queries.append(word)
        path, _, verb = words[0].rpartition("/")
        return cls(words[0], path, verb, attributes, tuple(queries), tag, user)


@dataclass
class Account:
    """Who is logged in on a connection, with the policies of that moment."""

    user: str
    policies: frozenset[str]
    address: str
    group: str = ""
    connection: object = field(default=None, repr=False)
    session: int = 0


class Answer:
    """Replies of one command: rows, then the words of `!done` or a trap. `unfinished`: more will come until cancelled."""

    __slots__ = ("done", "rows", "stop", "trap", "unfinished")

    def __init__(self, rows: Sequence[Sequence[str]] = (), done: Sequence[str] = (), trap: Refused | None = None) -> None:
        self.rows = rows
        self.done = done
        self.trap = trap
        self.unfinished = False
        self.stop: Callable[[], None] | None = None


def need(account: Account, policy: str) -> None:
    """Raises Refused without the policy."""
    if policy not in account.policies:
        raise Refused("not enough permissions (9)")
