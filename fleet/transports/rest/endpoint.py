"""What all routers behind one API endpoint share: one login, one pace, one writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...dialects import Rest
from ...errors import LoginFailed
from .pace import Pace

DENIED_FOR = 300.0
"""Seconds that a refused login is not tried again: `status --watch` runs for days, and somebody may mend it meanwhile."""


@dataclass(frozen=True, slots=True)
class Login:
    """A login that holds until the endpoint says otherwise, and what it gave. Equal only to itself."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)


class Endpoint:
    """One REST API, however many sessions speak to it. Thread-safe."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.pace = Pace(rest.rate)
        self._lock = threading.Lock()
        self._writer = threading.Lock()
        self._login: Login | None = None if rest.login else Login()
        self._denied: LoginFailed | None = None
        self._denied_at = 0.0

    def login(self, enter: Callable[[Login | None], Login], over: Login | None = None) -> Login:
        """The login that holds, made by `enter` if there is none, or if the one that holds is `over`.

        `enter` gets the login that is over, to renew it. All who ask meanwhile wait for it. A refusal is remembered: asking
        again for every router behind the endpoint would lock the account. Raises RouterError.
        """
        with self._lock:
            if self._denied is not None and time.monotonic() - self._denied_at < DENIED_FOR:
                raise LoginFailed(self._denied.summary, self._denied.hint)
            if self._login is None or self._login is over:
                before, self._login = self._login, None
                try:
                    self._login = enter(before)
                except LoginFailed as error:
                    self._denied, self._denied_at = error, time.monotonic()
                    raise
            return self._login

    def leave(self) -> Login | None:
        """The login that holds, given up."""
        with self._lock:
            login, self._login = self._login, None
            return login if self.rest.login else None

    @contextmanager
    def writing(self, reads: bool) -> Iterator[None]:
        """The only write at this moment, where the endpoint wants one at a time."""
        if reads or not self.rest.one_writer:
            yield
        else:
            with self._writer:
                yield
