"""The one seam between drivers and routers: plain-data requests, replies, and the Link that carries them.

Everything that concerns talking (retry where repeating is safe, timeouts, redaction, recording) happens here once.
Drivers build requests and read replies; transports turn requests into bytes; nobody else opens a connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from .errors import ConnectionLost, Rejected, RouterError, Unreachable
from .model import Secret
from .shared import SharedAnswers

Part: TypeAlias = str | Secret
Body: TypeAlias = "str | int | float | bool | None | Secret | Sequence[Body] | Mapping[str, Body]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing sent to a router, as plain data: comparable, showable, replayable.

    `reads`: repeating it is safe. `shared`: answered once per endpoint and pass (one controller, many sites).
    `timeout` in seconds covers the whole exchange.
    """

    reads: bool = False
    shared: bool = False
    timeout: float = 30.0

    def native(self) -> str:
        """What the vendor's own tool would show, secrets as `***`; for `plan --native` and errors."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Exec(Request):
    """Run `command` on a shell, with `stdin` as parts so that secrets stay typed and never reach argv.

    Exit codes outside `accept` raise Rejected with the tail of standard error as evidence. `shown` is what people see of
    a long `stdin`, free of secrets: its last lines, where the calls are; empty: all of it.
    """

    command: str
    stdin: tuple[Part, ...] = ()
    accept: frozenset[int] = frozenset({0})
    shown: str = ""

    def native(self) -> str:
        """The command, then its standard input indented."""
        text = self.shown or "".join(str(part) for part in self.stdin)
        return self.command + ("\n" + "\n".join(f"    {line}" for line in text.splitlines()) if text else "")


@dataclass(frozen=True, slots=True)
class Words(Request):
    """One RouterOS API sentence: `command` (`/ip/address/add`), attributes in order, query words (`?comment=x`)."""

    command: str
    attributes: tuple[tuple[str, Part], ...] = ()
    queries: tuple[str, ...] = ()

    def native(self) -> str:
        """In console spelling: `/ip/address/add address=10.0.0.1/24 interface=wg0`."""
        words = [f'{name}="{value}"' if " " in str(value) else f"{name}={value}" for name, value in self.attributes]
        return " ".join([self.command, *words, *self.queries])


@dataclass(frozen=True, slots=True)
class Http(Request):
    """One REST call. `path` is relative to the transport's base; `body` is JSON with Secret leaves, None for no body.

    `form`: the body is a mapping sent as an HTML form. HTTP statuses from 300 and the vendor's application codes are Rejected
    unless they are in `accept`: a 404 that answers a question.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Body = None
    form: bool = False
    accept: frozenset[int] = frozenset()

    def native(self) -> str:
        """Method, path and body on one line."""
        query = "?" + "&".join(f"{name}={value}" for name, value in self.query) if self.query else ""
        return f"{self.method} {self.path}{query}" + ("" if self.body is None else f" {shown(self.body)}")


@dataclass(frozen=True, slots=True)
class Dialogue(Request):
    """Commands typed one after the other on an interactive command line, the next only when the one before was taken.

    A line is a string or parts, so that secrets stay typed. `mode` names a mode of the dialect that the lines are typed in:
    entered before, left after them, abandoned after a refusal. Output that matches one of `accept` (regular expressions) is
    no refusal whatever the dialect's errors say. `answers` are questions (regular expressions for the end of what is printed)
    with the keys that answer them. The reply's `data` is a tuple of the lines' outputs without echo and prompt, `text` all of
    it. Rejected names the line that was refused; those before it were taken, those after it were not typed.
    """

    lines: tuple[str | tuple[Part, ...], ...]
    mode: str = ""
    accept: tuple[str, ...] = ()
    answers: tuple[tuple[str, Part], ...] = ()

    def native(self) -> str:
        """The lines as they are typed, those of a mode indented below its name."""
        lines = [line if isinstance(line, str) else "".join(str(part) for part in line) for line in self.lines]
        return "\n".join([self.mode, *(f"    {line}" for line in lines)] if self.mode else lines)


def shown(body: Body) -> str:
    """A JSON-like body in one line, with every Secret as `***`."""
    if isinstance(body, Mapping):
        return "{" + ", ".join(f"{name}: {shown(value)}" for name, value in body.items()) + "}"
    if isinstance(body, str | int | float | Secret) or body is None:
        return str(body)
    return "[" + ", ".join(shown(value) for value in body) + "]"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Each transport fills what it has.

    `text`: standard output or body. `error`: standard error. `code`: exit code or HTTP status. `rows`: RouterOS `!re`
    sentences as raw words. `value`: RouterOS `=ret=`. `data`: decoded JSON, or the outputs of a dialogue. `date`: Unix time by
    the router's clock, as HTTP's Date header says it, None without one.
    """

    text: str = ""
    error: str = field(default="", repr=False)
    code: int = 0
    rows: tuple[Mapping[str, str], ...] = ()
    value: str | None = None
    data: object = None
    date: float | None = None

    def __repr__(self) -> str:
        # A reply may hold secrets that a router printed; a traceback must not.
        return f"Reply(code={self.code}, {len(self.text)} characters, {len(self.rows)} rows)"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a router's management answers: `host` without brackets, TCP `port`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Access:
    """How to log in to one router, resolved and ready for a transport.

    `addresses` are tried in order. `ssh_key` is private key text. `host_keys` are accepted identities (OpenSSH public
    key lines or `SHA256:...`), empty: none pinned yet, the one seen is to be pinned. `tls_fingerprint` is 64 hex digits.
    `plain_ok` says why an unencrypted connection is allowed, empty if it is not. `dialect` is what the driver declares about
    its vendor's protocol. `via` names the jumps, because the same address behind another jump is another router.
    """

    router: str
    addresses: tuple[Address, ...]
    username: str | None = None
    password: Secret | None = None
    ssh_key: Secret | None = None
    api_key: Secret | None = None
    api_secret: Secret | None = None
    host_keys: tuple[str, ...] = ()
    tls_fingerprint: str | None = None
    tls_ca: str | None = None
    plain_ok: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    dialect: object = None
    via: tuple[str, ...] = ()


@runtime_checkable
class Session(Protocol):
    """One open, logged-in connection."""

    identity: str
    """Host key line or certificate fingerprint seen at connect, empty for a plain connection."""

    address: Address
    """The address that answered."""

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        """Send independent requests, together where the protocol can; one reply or error for each, in order.

        A request that was never sent because the connection broke gets ConnectionLost(sent=False).
        """

    def close(self) -> None:
        """Close without waiting for the router; never raises."""


Connect: TypeAlias = Callable[[], Session]


Question: TypeAlias = Literal["rights", "marker"]
"""What a read may be asked for besides the configuration; where a vendor would need more requests, only then."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a driver may know about the router it talks to: names and its own options, never how it is reached.

    `username` is the account of the login. `asks` is what the caller wants to know besides the configuration: `rights` of
    that account (`check --login`), the writer's `marker` (hubs).
    """

    router: str
    overlay: str
    interfaces: tuple[str, ...]
    options: object = None
    username: str = ""
    asks: frozenset[Question] = frozenset()


class Link(Protocol):
    """What a driver sees: real, recording, replaying or simulated."""

    @property
    def target(self) -> Target:
        """The router's names and options."""

    def send(self, request: Request) -> Reply:
        """Send one request. Raises RouterError."""

    def send_all(self, requests: Sequence[Request]) -> list[Reply]:
        """Send independent requests together where the protocol can. Raises the first error."""


Check: TypeAlias = Callable[[Request, Reply], None]
Observer: TypeAlias = Callable[[Request, "Reply | RouterError", float], None]


def _no_check(request: Request, reply: Reply) -> None:
    """The check of drivers whose transport already tells yes from no."""


class RouterLink:
    """A Link over a real connection, opened on first use and again after a loss where repeating is safe.

    `check` is the driver's own test of replies that say "200, failed". `observer` sees every exchange (recording,
    counting); it is called with the request, the reply or error, and the seconds it took. `shared` holds the answers that all
    links to one endpoint have in common; None: every request is sent.
    """

    READ_ATTEMPTS = 3

    def __init__(
        self,
        target: Target,
        connect: Connect,
        *,
        check: Check = _no_check,
        observer: Observer | None = None,
        shared: SharedAnswers | None = None,
    ) -> None:
        self._target = target
        self._connect = connect
        self._check = check
        self._observer = observer
        self._session: Session | None = None
        self._shared = shared
        self._since = 0
        self._had: dict[str, int] = {}

    @property
    def target(self) -> Target:
        """The router's names and options."""
        return self._target

    @property
    def session(self) -> Session:
        """The open session; connects if there is none. Raises Unreachable, LoginFailed, IdentityChanged."""
        if self._session is None:
            self._session = self._named(self._connect)
        return self._session

    def send(self, request: Request) -> Reply:
        """Send one request. Raises RouterError."""
        return self.send_all([request])[0]

    def send_all(self, requests: Sequence[Request]) -> list[Reply]:
        """Send independent requests together where the protocol can. Raises the first error, in request order."""
        replies: list[Reply] = []
        for reply in self.attempt(requests):
            if isinstance(reply, RouterError):
                raise reply
            replies.append(reply)
        return replies

    def attempt(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        """Like send_all, but each request has its own reply or error: for applying, where the truth is per request.

        Requests lost before they were sent, and reads, are sent again on a new connection; a write that may have
        arrived is never repeated, its ConnectionLost(sent=True) is the answer.
        """
        outcome: list[Reply | RouterError | None] = [None] * len(requests)
        for attempt in range(self.READ_ATTEMPTS):
            missing = [index for index, reply in enumerate(outcome) if reply is None or _again(requests[index], reply)]
            if not missing:
                break
            try:
                self._exchange(requests, missing, outcome)
            except Unreachable as error:
                if attempt == 0 and all(reply is None for reply in outcome):
                    raise
                for index in missing:
                    outcome[index] = outcome[index] or error
                break
        return [reply for reply in outcome if reply is not None]

    def ask(self, question: Question) -> None:
        """From now on reads are asked for this, too."""
        self._target = replace(self._target, asks=self._target.asks | {question})

    def through(self, wrap: Callable[[Connect], Connect]) -> None:
        """Put `wrap` around every connection opened from now on: counting, recording, faults of a drill."""
        self._connect = wrap(self._connect)

    def fresh(self) -> None:
        """Drop the connection; the next request opens a new one, and no answer from before is good enough any more."""
        if self._shared is not None:
            self._since = self._shared.now()
        self._drop()

    close = fresh

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _exchange(self, requests: Sequence[Request], which: list[int], outcome: list[Reply | RouterError | None]) -> None:
        own = []
        for index in which:
            if self._shared is not None and requests[index].shared and requests[index].reads:
                outcome[index] = self._asked(self._shared, requests[index])
            else:
                own.append(index)
        replies = self._sent([requests[index] for index in own]) if own else []
        for index, reply in zip(own, replies, strict=True):
            outcome[index] = reply

    def _asked(self, shared: SharedAnswers, request: Request) -> Reply | RouterError:
        """The answer to a shared request: no older than the last one this link had to it."""
        since = max(self._since, self._had.get(repr(request), 0))
        reply = shared.ask(request, since, lambda: self._sent([request])[0])
        self._had[repr(request)] = shared.now()
        return reply

    def _sent(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        session = self.session
        began = time.monotonic()
        replies = session.send(requests)
        took = time.monotonic() - began
        if self._observer is not None:
            for request, reply in zip(requests, replies, strict=True):
                self._observer(request, reply, took)
        if self._shared is not None and not all(request.reads for request in requests):
            self._shared.wrote()
        if any(isinstance(reply, ConnectionLost) for reply in replies):
            self._drop()
        return [self._checked(request, reply) for request, reply in zip(requests, replies, strict=True)]

    def _checked(self, request: Request, reply: Reply | RouterError) -> Reply | RouterError:
        if isinstance(reply, Reply):
            try:
                self._check(request, reply)
            except Rejected as error:
                reply = error
        if isinstance(reply, RouterError) and not reply.router:
            reply.router = self._target.router
        return reply

    def _named(self, connect: Connect) -> Session:
        try:
            return connect()
        except RouterError as error:
            error.router = error.router or self._target.router
            raise


def _again(request: Request, reply: Reply | RouterError) -> bool:
    return isinstance(reply, ConnectionLost) and (request.reads or not reply.sent)
