"""Who may do what: applications of the Open API, their roles and sites, and their tokens (sheet 1.2 to 1.6)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .codes import Refused
from .settings import Json

ACCESS_SECONDS: Final = 7200
REFRESH_SECONDS: Final = 14 * 86400

SETTINGS_VIEW: Final = frozenset({"Site Settings Manager View Only", "Network Config Page View Only"})
SETTINGS_MODIFY: Final = frozenset({"Site Settings Manager Modify", "Network Config Page Modify"})
DEVICES_VIEW: Final = frozenset({"Site Device Manager View Only"})
DEVICES_MODIFY: Final = frozenset({"Site Device Manager Modify"})
MAINTENANCE: Final = frozenset({"Site Settings Manager Modify", "Maintenance Page Modify"})
NO_RIGHT: Final[frozenset[str]] = frozenset()

VIEWER: Final = SETTINGS_VIEW | DEVICES_VIEW
ADMIN: Final = VIEWER | SETTINGS_MODIFY | DEVICES_MODIFY | MAINTENANCE


@dataclass(eq=False, slots=True)
class Application:
    """An application in client mode. `rights` are the sheet's names (1.2); `sites` None for all of them."""

    client_id: str = field(default_factory=lambda: secrets.token_hex(16))
    client_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    rights: frozenset[str] = ADMIN
    sites: frozenset[str] | None = None

    def may(self, alternatives: frozenset[str]) -> bool:
        """One of the alternatives suffices; the right to modify is also the right to view."""
        viewed = {right.replace("Modify", "View Only") for right in self.rights}
        return not alternatives or bool(alternatives & (self.rights | viewed))

    def reaches(self, site: str) -> bool:
        """True if the application was given this site."""
        return self.sites is None or site in self.sites


@dataclass(slots=True)
class _Token:
    application: Application
    ends: float


class Tokens:
    """Access and refresh tokens on the clock of the controller."""

    def __init__(self, now: Callable[[], float], *, refresh: bool, coexist: bool, seconds: int = ACCESS_SECONDS) -> None:
        self._now = now
        self._refresh = refresh
        self._coexist = coexist
        self.seconds = seconds
        self._access: dict[str, _Token] = {}
        self._refreshing: dict[str, _Token] = {}

    def grant(self, applications: Iterable[Application], omadac_id: str, query: Mapping[str, str], body: Json) -> Json:
        """`POST /openapi/authorize/token`. Raises Refused."""
        given: Mapping[str, Any] = {**query, **body}  # some builds want the fields twice (sheet 1.3): either place will do
        grant = query.get("grant_type")
        if grant == "client_credentials":
            if given.get("omadacId") != omadac_id:
                raise Refused(-7131)
            return self.issue(known(applications, given))
        if grant == "refresh_token":
            application = known(applications, given)
            token = self._refreshing.pop(str(given.get("refresh_token")), None)  # single use
            if token is None or token.application is not application or token.ends <= self._now():
                raise Refused(-44114)
            return self.issue(application)
        raise Refused(-44111)

    def issue(self, application: Application) -> Json:
        """A fresh pair; earlier access tokens of the application end unless tokens coexist (sheet 12.6)."""
        now = self._now()
        if not self._coexist:
            self._access = {text: one for text, one in self._access.items() if one.application is not application}
        access, refresh = f"AT-{secrets.token_hex(16)}", f"RT-{secrets.token_hex(16)}"
        self._access[access] = _Token(application, now + self.seconds)
        shown: Json = {"accessToken": access, "tokenType": "bearer", "expiresIn": self.seconds}
        if self._refresh:
            self._refreshing[refresh] = _Token(application, now + REFRESH_SECONDS)
            shown["refreshToken"] = refresh
        return shown

    def application(self, header: str | None, *, missing: int) -> Application:
        """Whose token `Authorization: AccessToken=...` carries. Raises Refused, with HTTP status `missing` without header."""
        if header is None:
            raise Refused(-44113, status=missing)
        kind, _, text = header.partition("=")
        token = self._access.get(text) if kind == "AccessToken" else None
        if token is None:
            raise Refused(-44113)
        if token.ends <= self._now():
            raise Refused(-44112)
        return token.application

    def expire(self) -> None:
        """Every access token has reached its end."""
        for token in self._access.values():
            token.ends = self._now()

    def revoke(self, application: Application | None = None) -> None:
        """Every token, or those of one application, is void: it was changed, sites were restored or copied (sheet 1.6)."""
        for tokens in (self._access, self._refreshing):
            for text in [text for text, one in tokens.items() if application in (None, one.application)]:
                del tokens[text]


def known(applications: Iterable[Application], given: Mapping[str, Any]) -> Application:
    """The application with this id and secret. Raises Refused (-44106)."""
    for one in applications:
        if (given.get("client_id"), given.get("client_secret")) == (one.client_id, one.client_secret):
            return one
    raise Refused(-44106)
