"""Answers that routers behind one endpoint share: one controller, many sites, one question.

A request that is `shared` is sent once for all who ask it in the same pass. An answer is old for a link that has had one to
the same question, has written, or starts anew (`fresh`), and for everybody once anyone has written through the endpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import RouterError

if TYPE_CHECKING:
    from .link import Reply, Request


@dataclass(slots=True, eq=False)
class _Asked:
    """A question on its way or answered; `at` is when it was asked, in the order of events at this endpoint."""

    request: Request
    at: int
    done: threading.Event = field(default_factory=threading.Event)
    reply: Reply | None = None


class SharedAnswers:
    """What one endpoint answered, for all links that lead to it. Thread-safe; those who ask together wait for one answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[str, _Asked] = {}
        self._events = 0
        self._written = 0

    def now(self) -> int:
        """The moment, as a number that grows: answers asked for before it are older than it."""
        with self._lock:
            self._events += 1
            return self._events

    def wrote(self) -> None:
        """Something was written through this endpoint: every answer asked for so far is old."""
        with self._lock:
            self._events += 1
            self._written = self._events

    def ask(self, request: Request, since: int, send: Callable[[], Reply | RouterError]) -> Reply | RouterError:
        """An answer that was asked for after `since`, from another link or by `send`.

        A refusal or a loss is nobody else's: who waited for it asks for himself. Raises what `send` raises.
        """
        while True:
            asked, mine = self._join(request, since)
            if mine:
                return self._answer(asked, send)
            if not asked.done.wait(request.timeout):
                return send()  # whoever asked waits for something else; his answer may never come
            if asked.reply is not None:
                return asked.reply

    def _join(self, request: Request, since: int) -> tuple[_Asked, bool]:
        """The question as it stands, and whether the caller is to ask it."""
        with self._lock:
            known = self._asked.get(repr(request))
            if known is not None and known.request == request and known.at > max(since, self._written):
                return known, False
            self._events += 1
            asked = self._asked[repr(request)] = _Asked(request, self._events)
            return asked, True

    def _answer(self, asked: _Asked, send: Callable[[], Reply | RouterError]) -> Reply | RouterError:
        reply: Reply | RouterError | None = None
        try:
            reply = send()
            return reply
        finally:
            with self._lock:
                if reply is None or isinstance(reply, RouterError):
                    if self._asked.get(repr(asked.request)) is asked:
                        del self._asked[repr(asked.request)]
                else:
                    asked.reply = reply
            asked.done.set()
