"""People with a user name: sessions of the web page, and the authorization-code flow (sheet 1.5, 3)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from .access import Application
from .codes import Refused
from .settings import Json

CODE_SECONDS: Final = 120
COOKIE: Final = "TPOMADA_SESSIONID"


@dataclass(slots=True)
class _Session:
    person: Application
    csrf: str


class People:
    """User name -> (password, what they may do, as an application). Sessions last until `log_out`."""

    def __init__(self, users: Mapping[str, tuple[str, Application]], now: Callable[[], float]) -> None:
        self._users = users
        self._now = now
        self._sessions: dict[str, _Session] = {}
        self._codes: dict[str, tuple[Application, float]] = {}

    def log_in(self, body: Json) -> tuple[str, str]:
        """Session id and CSRF token. Raises Refused (-30109)."""
        password, person = self._users.get(str(body.get("username")), ("", None))
        if person is None or body.get("password") != password:
            raise Refused(-30109)
        session, csrf = secrets.token_hex(16), secrets.token_hex(16)
        self._sessions[session] = _Session(person, csrf)
        return session, csrf

    def log_out(self) -> None:
        """Every session ends: a restart, or the idle limit."""
        self._sessions.clear()

    def person(self, headers: Mapping[str, str], *, csrf: int, session: int) -> Application:
        """Whose session the cookie and `Csrf-Token` name. Raises Refused with these codes."""
        cookies = dict(one.strip().partition("=")[::2] for one in headers.get("cookie", "").split(";"))
        found = self._sessions.get(cookies.get(COOKIE, ""))
        if found is None:
            raise Refused(session)
        if headers.get("csrf-token") != found.csrf:
            raise Refused(csrf)
        return found.person

    def code(self, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
        """An authorization code, good for two minutes. Raises Refused."""
        if query.get("response_type") != "code":
            raise Refused(-44107)
        person = self.person(headers, csrf=-44108, session=-44109)
        code = f"OC-{secrets.token_hex(16)}"
        self._codes[code] = (person, self._now() + CODE_SECONDS)
        return code

    def redeem(self, code: str) -> Application:
        """Who a code stands for, once. Raises Refused (-44110)."""
        person, ends = self._codes.pop(code, (None, 0.0))
        if person is None or ends <= self._now():
            raise Refused(-44110)
        return person
