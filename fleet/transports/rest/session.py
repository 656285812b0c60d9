"""One connection to a REST API: requests one after the other, each with its own reply, refusal or loss."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, urlencode

import requests

from ...dialects import Call, Rest
from ...errors import ConnectionLost, LoginFailed, Rejected, RouterError, Unparseable, Unreachable
from ...link import Address, Http, Reply, Request
from .endpoint import Endpoint, Login
from .filling import SECRETS, at, filled, filled_body, learned, redacted, revealed, secrets_in
from .wire import MOST, Answer, Line, Lost, TooMuch

SHOWN: Final = 300
"""Characters that an error shows of a request or a reply."""

LOGIN_TIMEOUT: Final = 30.0
"""Seconds for one call of a login: a controller in the cloud may think."""

PAUSE: Final = 1.0
"""Seconds to wait for an endpoint that says "too fast" without saying for how long."""

HEADERS: Final = {"User-Agent": "fleet", "Accept": "application/json, */*;q=0.5", "Accept-Encoding": "gzip, deflate"}


@dataclass(frozen=True, slots=True)
class Heard:
    """A reply as it came, and what it means: JSON decoded, and the status and application codes that do not mean yes."""

    answer: Answer
    data: object
    text: str
    marks: frozenset[int | str]


class RestSession:
    """One connection to an endpoint. Not for use by two threads at once."""

    def __init__(self, endpoint: Endpoint, line: Line, given: Mapping[str, str], address: Address, identity: str) -> None:
        self.identity = identity
        self.address = address
        self._endpoint = endpoint
        self._rest: Rest = endpoint.rest
        self._line = line
        self._given = given
        self._closed = False

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        """One after the other; after a lost connection the rest is ConnectionLost(sent=False)."""
        outcome: list[Reply | RouterError] = []
        lost = False
        for request in requests:
            if not isinstance(request, Http):
                raise TypeError(f"transport rest carries Http, not {type(request).__name__}")
            reply = _lost(request, "the connection is closed", sent=False) if lost or self._closed else self._answer(request)
            lost = lost or isinstance(reply, ConnectionLost)
            outcome.append(reply)
        return outcome

    def close(self) -> None:
        """Close without waiting for the router; never raises. The login belongs to the endpoint and stays."""
        self._closed = True
        self._line.close()

    # -------------------------------------------------------------------------------------------------- login
    def log_in(self, over: Login | None = None) -> Login:
        """The endpoint's login, made or renewed now if need be. Raises LoginFailed, ConnectionLost(sent=False)."""
        return self._endpoint.login(self._enter, over)

    def log_out(self, login: Login) -> None:
        """End a login. Raises RouterError."""
        if self._rest.logout is not None:
            self._call(self._rest.logout, {**self._given, **login.values})

    def _enter(self, before: Login | None) -> Login:
        if before is not None and self._rest.renew is not None:
            try:
                return Login({**before.values, **self._call(self._rest.renew, {**self._given, **before.values})})
            except (LoginFailed, Rejected):
                pass  # a refresh token is over too, or was used: the credentials still tell
        values: dict[str, str] = {}
        for call in self._rest.login:
            values |= self._call(call, {**self._given, **values})
        return Login(values)

    def _call(self, call: Call, names: Mapping[str, str]) -> dict[str, str]:
        """One call of a login: what it teaches. Raises LoginFailed, Rejected, ConnectionLost(sent=False)."""
        query = tuple((name, filled(value, names)) for name, value in call.query)
        body = None if call.body is None else filled_body(call.body, names)
        request = Http(call.method, filled(call.path, names), query, body, timeout=LOGIN_TIMEOUT)
        prepared = self._prepared(request, {name: filled(value, names) for name, value in call.headers})
        secrets = [value for name, value in names.items() if name not in self._given or name in SECRETS]
        try:
            heard = self._patiently(request, prepared, secrets)
        except Lost as error:
            raise _lost(request, error.reason, sent=False) from None
        except TooMuch:
            raise _too_much(request) from None
        if heard.marks:
            raise self._no_login(heard, self._said(heard, secrets))
        return self._learned(call, heard)

    def _no_login(self, heard: Heard, said: str) -> RouterError:
        """A login that was refused, or something in its place that is not the vendor's API, or not yet: that may pass."""
        summary = f"login at {self.address} refused: {said}"
        answered = heard.answer.status in (200, 400) and "html" not in heard.marks and not heard.marks & self._rest.busy
        if answered or heard.marks & self._rest.denied:
            return LoginFailed(summary, "check the credentials of this router or its group")
        return Rejected(summary, "check that `host` and `port` are those of the vendor's API, and that it is up", evidence=said)

    def _learned(self, call: Call, heard: Heard) -> dict[str, str]:
        values = {}
        for name, place in call.learns.items():
            value = learned(place, heard.data, heard.answer.headers)
            if value is not None:
                values[name] = value
            elif name not in call.optional:
                raise LoginFailed(
                    f"login at {self.address}: the reply to {call.method} {call.path} has no {place}",
                    "check that `host` and `port` are those of the vendor's API",
                )
        return values

    # ------------------------------------------------------------------------------------------------ request
    def _answer(self, request: Http) -> Reply | RouterError:
        over: Login | None = None
        try:
            while True:
                login = self.log_in(over)
                heard = self._heard(request, login)
                expired = bool(self._rest.login and heard.marks & self._rest.expired and not heard.marks & request.accept)
                if not expired or over is not None:
                    return self._reply(request, heard, login)
                over = login  # certainly refused, so it may be repeated, a write too
        except Lost as error:
            return _lost(request, error.reason, sent=error.sent)
        except TooMuch:
            return _too_much(request)
        except Unreachable as error:  # a connection that the router closed meanwhile, and no other to be had
            return _lost(request, error.summary, sent=False)
        except RouterError as error:
            return error

    def _heard(self, request: Http, login: Login) -> Heard:
        names = {**self._given, **login.values}
        headers = {name: filled(value, names) for name, value in self._rest.headers}
        path = request.path
        for name in self._rest.path_names:
            path = path.replace(f"{{{name}}}", quote(login.values.get(name, ""), safe=""))
        prepared = self._prepared(replace(request, path=path), headers)
        with self._endpoint.writing(request.reads):
            return self._patiently(request, prepared, self._secrets(request, login))

    def _prepared(self, request: Http, headers: Mapping[str, str]) -> requests.PreparedRequest:
        headers = {**HEADERS, **headers}
        body = revealed(request.body)
        octets: bytes | None = None
        if body is not None and request.form:
            octets = urlencode(body).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif body is not None:
            # Without a body there is no content type: OPNsense answers 400 to a JSON body that is empty (sheet 1).
            octets = json.dumps(body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        basic = self._rest.basic
        auth = None if basic is None else tuple(filled(part, self._given).encode() for part in basic)
        url = f"https://router{self._rest.base}{request.path}"
        return requests.Request(request.method, url, headers, params=request.query, data=octets, auth=auth).prepare()

    def _patiently(self, request: Http, prepared: requests.PreparedRequest, secrets: Collection[str]) -> Heard:
        """The reply; "too fast" is waited out within the request's timeout, because nothing was done. Raises Lost, TooMuch."""
        ends = 0.0
        while True:
            self._endpoint.pace.turn()
            ends = ends or time.monotonic() + request.timeout
            heard = self._understood(request, self._line.exchange(prepared, max(ends - time.monotonic(), 0.001)), secrets)
            if not heard.marks & self._rest.busy:
                return heard
            pause = _pause(heard.answer)
            if time.monotonic() + pause >= ends:
                return heard
            self._endpoint.pace.rest(pause)

    def _understood(self, request: Http, answer: Answer, secrets: Collection[str]) -> Heard:
        kind = (answer.headers.get("Content-Type") or "").lower()
        text = answer.body.decode(_charset(kind), errors="replace")
        data: object = None
        marks: set[int | str] = {answer.status} if answer.status >= 300 else set()
        if "json" in kind or (text.lstrip()[:1] in ("{", "[") and "html" not in kind):
            try:
                data = json.loads(text) if text.strip() else None
            except (ValueError, RecursionError):
                if answer.status < 300 and "json" in kind:
                    shown = redacted(text, secrets)[:SHOWN]
                    raise Unparseable(f"{_brief(request)}: the reply says it is JSON and is not", shown) from None
        if "html" in kind and "html" in self._rest.expired:
            marks.add("html")
        code = at(data, self._rest.code) if self._rest.code else None
        if isinstance(code, int | str) and code not in self._rest.success:
            marks.add(code)
        return Heard(answer, data, text, frozenset(marks))

    # ------------------------------------------------------------------------------------------------ verdict
    def _reply(self, request: Http, heard: Heard, login: Login) -> Reply | RouterError:
        marks = heard.marks
        if not marks or marks & request.accept:
            return Reply(text=heard.text, code=heard.answer.status, data=heard.data, date=_date(heard.answer))
        said = self._said(heard, self._secrets(request, login))
        if heard.answer.status in self._rest.unknown:
            return _lost(request, f"{said} (whether it was carried out is not known)", sent=True)
        if marks & self._rest.denied or (self._rest.login and marks & self._rest.expired):
            return self._denied(request, said, allowed=403 in marks)
        if marks & self._rest.busy:
            return Rejected(f"{_brief(request)}: {said}", "too many ask this router or controller; try again", evidence=said)
        open_ended = heard.answer.status >= 500 and not request.reads
        cure = f"`fleet plan` reads again and shows {'what was carried out' if open_ended else 'what is still missing'}"
        return Rejected(f"refused {_brief(request)}: {said}", cure, evidence=said)

    def _denied(self, request: Http, said: str, *, allowed: bool) -> LoginFailed:
        if allowed:
            return LoginFailed(
                f"the account may not {request.method} {request.path} at {self.address}: {said}",
                "give it the rights that the README lists for this driver",
            )
        return LoginFailed(f"login at {self.address} refused: {said}", "check the credentials of this router or its group")

    def _said(self, heard: Heard, secrets: Collection[str]) -> str:
        """What the endpoint said, in one line free of secrets."""
        status = heard.answer.status
        if 300 <= status < 400:
            where = heard.answer.headers.get("Location") or "nowhere"
            said = f"HTTP {status}, a redirect to {where.partition('?')[0]}, which is never followed"
            return redacted(said, secrets)[:SHOWN]
        words = at(heard.data, self._rest.message) if self._rest.message else None
        code = at(heard.data, self._rest.code) if self._rest.code else None
        text = f"{words} ({code})" if words is not None else heard.text
        if "html" in (heard.answer.headers.get("Content-Type") or ""):
            text = "a page of HTML"
        line = " ".join(redacted(text, secrets).split())[-SHOWN:]
        return (f"HTTP {status}" if status >= 300 else "") + (": " if status >= 300 and line else "") + line

    def _secrets(self, request: Http, login: Login) -> list[str]:
        credentials = [self._given[name] for name in SECRETS if name in self._given]
        return [*credentials, *login.values.values(), *secrets_in(request.body)]


def _brief(request: Http) -> str:
    """A request in an error: no body, which may be long."""
    return f"{request.method} {request.path}"[:SHOWN]


def _too_much(request: Http) -> Unparseable:
    return Unparseable(f"{_brief(request)}: the reply is larger than {MOST >> 20} MiB")


def _lost(request: Http, reason: str, *, sent: bool) -> ConnectionLost:
    state = "before an answer came to" if sent else "before sending"
    return ConnectionLost(
        f"connection lost {state} {_brief(request)}: {reason}",
        "`fleet sync` again: it reads first what has landed" if sent and not request.reads else "try again",
        sent=sent,
    )


def _charset(kind: str) -> str:
    name = kind.partition("charset=")[2].strip().strip('"').partition(";")[0]
    try:
        "".encode(name or "utf-8")
    except LookupError:
        return "utf-8"
    return name or "utf-8"


def _date(answer: Answer) -> float | None:
    """Unix time by the router's clock, None if it does not say."""
    date = email.utils.parsedate_tz((answer.headers.get("Date") or "").strip())
    return None if date is None else float(email.utils.mktime_tz(date))


def _pause(answer: Answer) -> float:
    """Seconds that the endpoint asks to wait: Retry-After is a number or a date (RFC 9110, 10.2.3)."""
    value = (answer.headers.get("Retry-After") or "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), 3600.0)
    date = email.utils.parsedate_tz(value)
    if date is None:
        return PAUSE
    return min(max(email.utils.mktime_tz(date) - time.time(), 0.0), 3600.0)
