"""The controller: applications, sites, and one answer for each request (sheet 1)."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ..ether import Clock
from . import webpage
from .access import Application, Tokens, known
from .codes import MEANINGS, BadPaging, Refused
from .faults import Counters
from .operations import NOTHING, Call, Operation, find
from .operations.maintenance import BARE, occupied
from .operations.registry import Generation
from .people import People
from .settings import Json
from .site import Site
from .strictness import Strictness
from .web import Answered, Asked, as_json, body_of

# Seen in public: 5.7.6, 6.0.0.36, 6.1.0.19, 6.2.10.18 (sheet 0, 1.1). The other builds only stand for their release.
VERSIONS: Final = {
    "5.7": "5.7.6",
    "5.14": "5.14.26.1",
    "5.15": "5.15.20.18",
    "6.0": "6.0.0.36",
    "6.1": "6.1.0.19",
    "6.2": "6.2.10.18",
}
BOTH: Final[frozenset[Generation]] = frozenset({0, 1, 2})


_SUCCESS: Final[Json] = {"errorCode": 0, "msg": MEANINGS[0]}


class Controller:
    """State and answers, without sockets. `generations`: which families of WireGuard operations answer (sheet 11.12)."""

    def __init__(
        self,
        version: str,
        sites: Iterable[Site],
        applications: Iterable[Application],
        *,
        clock: Clock,
        strictness: Strictness,
        generations: frozenset[Generation] | None = None,
        refresh_tokens: bool | None = None,
        users: Mapping[str, tuple[str, Application]] | None = None,
        rate_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.version = VERSIONS.get(version, version)
        self.omadac_id = secrets.token_hex(16)
        self.sites = {site.id: site for site in sites}
        self.applications = list(applications)
        self.clock = clock
        self._began = time.time() - clock.now()
        self.strictness = strictness
        # Which release brought v2 is unverified: 5.x has v1 alone, 6.x both; the spec of 2026 only deprecates v1 (sheet 2).
        self.generations = generations or (frozenset({0, 1}) if self.version.startswith("5.") else BOTH)
        refreshes = not self.version.startswith("6.0.") if refresh_tokens is None else refresh_tokens  # sheet 1.3
        self.tokens = Tokens(clock.now, refresh=refreshes, coexist=strictness.tokens_coexist)
        self.people = People(users or {}, clock.now)
        self.counters = Counters()
        self.maintenance_seconds = 0.0
        self.lock = threading.RLock()
        self._rate_clock = rate_clock
        self._recent: deque[float] = deque()
        self._writing: set[tuple[Operation, str]] = set()

    def wall(self) -> float:
        """Unix seconds, with what the clock was advanced."""
        return self._began + self.clock.now()

    def tick(self) -> None:
        """Let what is due on the gateways happen."""
        with self.lock:
            for site in self.sites.values():
                if site.gateway is not None:
                    site.gateway.tick()

    # --- requests --------------------------------------------------------------------------------------------------------

    def answer(self, asked: Asked, *, endpoints_lost: bool = False) -> Answered:
        """One reply, whatever was asked."""
        if asked.path == "/api/info":
            return self._info(asked)
        page = webpage.PATH.fullmatch(asked.path)
        try:
            if page is None:
                self._within_budget()
            with self.lock:
                self.tick()
                if page is not None:
                    return webpage.answer(self, asked, page)
                if asked.path.startswith("/openapi/authorize/"):
                    return self._authorize(asked)
                return self._operation(asked, endpoints_lost)
        except Refused as refused:
            self.counters.refused += 1
            return as_json(self.envelope(refused), refused.status)

    def perform(
        self,
        application: Application,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Json,
        *,
        endpoints_lost: bool = False,
        by_hand: bool = False,
    ) -> Json:
        """One operation for somebody who is logged in; the envelope, refusals included. `by_hand`: at the web page."""
        try:
            operation, parts = self._found(method, path, BOTH if by_hand else self.generations)
            self._allowed(application, operation, parts)
            result = operation.run(Call(self, application, parts, query, body, endpoints_lost))
        except Refused as refused:
            if isinstance(refused, BadPaging) and self.strictness.bad_paging == "400":
                refused.status = 400
            if refused.status != 200:
                raise
            self.counters.refused += 1
            return self.envelope(refused)
        self._count(operation, parts, "WEB" if by_hand else "Open API")
        if operation.run.__name__ in BARE and self.strictness.bare_results:
            return dict(result)
        return _SUCCESS if result is NOTHING else {**_SUCCESS, "result": result}

    def envelope(self, refused: Refused) -> Json:
        """The refusal as it is sent."""
        return {"errorCode": refused.code, "msg": refused.message}

    def reachable(self, application: Application, site_id: str) -> Site:
        """The site, if it exists (-33000), the application has it (-1505) and nothing keeps it busy (-33004)."""
        site = self.sites.get(site_id)
        if site is None:
            raise Refused(-33000)
        if not application.reaches(site_id):
            raise Refused(-1505)
        if site.busy:
            raise Refused(-33004)
        return site

    def begin_write(self, method: str, path: str) -> Callable[[], None]:
        """Take the place of the one write of its kind at a site; call the result when it is over. Raises Refused."""
        found = find(method, path, self.generations)
        if self.strictness.concurrent_writes or isinstance(found, str) or not found[0].writes:
            return lambda: None
        key = (found[0], found[1].get("siteId", ""))
        with self.lock:
            if key in self._writing:
                raise self._too_fast()
            self._writing.add(key)
        return lambda: self._writing.discard(key)

    # --- checks ----------------------------------------------------------------------------------------------------------

    def _info(self, asked: Asked) -> Answered:
        result = {
            "controllerVer": self.version,
            "apiVer": "3",
            "configured": True,
            "type": 11,
            "supportApp": True,
            "omadacId": self.omadac_id,
        }
        return as_json({**_SUCCESS, "result": result}) if asked.method == "GET" else Answered(405)

    def _authorize(self, asked: Asked) -> Answered:
        """Tokens, and the two steps before them in authorization-code mode (sheet 1.3 to 1.5)."""
        step = asked.path.removeprefix("/openapi/authorize/")
        if step not in ("token", "login", "code"):
            raise Refused(-1600)
        if asked.method != "POST":
            raise self._verb()
        if step == "token":
            return as_json({**_SUCCESS, "msg": "Open API Get Access Token successfully.", "result": self._token(asked)})
        if asked.query.get("omadac_id") != self.omadac_id:
            raise Refused(-7131)
        if asked.query.get("client_id") not in {one.client_id for one in self.applications}:
            raise Refused(-44106)
        if step == "code":
            return as_json({**_SUCCESS, "result": self.people.code(asked.query, asked.headers)})
        session, csrf = self.people.log_in(body_of(asked))
        return as_json({**_SUCCESS, "result": {"csrfToken": csrf, "sessionId": session}})

    def _token(self, asked: Asked) -> Json:
        self.counters.logins += 1
        body = body_of(asked)
        if asked.query.get("grant_type") == "authorization_code":
            known(self.applications, {**asked.query, **body})
            return self.tokens.issue(self.people.redeem(asked.query.get("code", "")))
        return self.tokens.grant(self.applications, self.omadac_id, asked.query, body)

    def _operation(self, asked: Asked, endpoints_lost: bool) -> Answered:
        self._found(asked.method, asked.path, self.generations)
        application = self._caller(asked)
        body = {} if asked.method == "GET" else body_of(asked)
        shown = self.perform(application, asked.method, asked.path, asked.query, body, endpoints_lost=endpoints_lost)
        return as_json(shown)

    def _caller(self, asked: Asked) -> Application:
        """Who asks. A session of the web page is refused (-44116) or taken, as two tools report (sheet 3)."""
        header = asked.headers.get("authorization")
        if header is None and "csrf-token" in asked.headers:
            if not self.strictness.web_sessions:
                raise Refused(-44116)
            return self.people.person(asked.headers, csrf=-1200, session=-1200)
        return self.tokens.application(header, missing=401 if self.strictness.no_token == "401" else 200)

    def _found(self, method: str, path: str, generations: frozenset[Generation]) -> tuple[Operation, Mapping[str, str]]:
        found = find(method, path, generations)
        if found == "verb":
            raise self._verb()
        if isinstance(found, str):
            raise Refused(-1600)
        return found

    def _verb(self) -> Refused:
        return Refused(-1600, status=405 if self.strictness.wrong_verb == "405" else 200)

    def _allowed(self, application: Application, operation: Operation, parts: Mapping[str, str]) -> None:
        if parts.get("omadacId") != self.omadac_id:
            raise Refused(-7131)
        if not application.may(operation.rights):
            raise Refused(-1005)
        if "siteId" in parts:
            site = self.reachable(application, parts["siteId"])
            if operation.writes and occupied(self, site):
                raise Refused(-33004)

    def _count(self, operation: Operation, parts: Mapping[str, str], resource: str) -> None:
        self.counters.by_path[operation.path] = self.counters.by_path.get(operation.path, 0) + 1
        if not operation.writes:
            self.counters.reads += 1
            return
        self.counters.writes += 1
        if "siteId" in parts:
            self._audit(self.sites[parts["siteId"]], operation, resource)

    def _audit(self, site: Site, operation: Operation, resource: str) -> None:
        site.audit.append(
            {
                "time": int(self.wall() * 1000),
                "operator": resource,
                "resource": resource,
                "auditType": "Settings",
                "content": f"{operation.method} {operation.path.partition('{siteId}')[2]}",
                "label": "",
                "level": "Notice",
                "result": "Succeed",
                "oldValue": "",  # may be empty (sheet 6): nothing secret goes in here
                "newValue": "",
                "ip": "127.0.0.1",
            }
        )

    def _within_budget(self) -> None:
        self.counters.requests += 1
        budget, now = self.strictness.budget, self._rate_clock()
        if budget is None:
            return
        with self.lock:
            while self._recent and now - self._recent[0] >= 1.0:
                self._recent.popleft()
            if len(self._recent) >= budget:
                raise self._too_fast()
            self._recent.append(now)

    def _too_fast(self) -> Refused:
        self.counters.too_fast += 1
        return Refused(-7132, status=429 if self.strictness.too_fast == "429" else 200)
