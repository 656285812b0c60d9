"""A simulated Omada controller on a loopback socket, with its sites and their gateways on the ether.

Written from the reference sheet alone, strict where the sheet says that a controller is strict; it shares no code with
fleet's driver or transport. What the sheet leaves open is in `strictness`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

from ..certificates import Certificate, self_signed
from ..ether import Clock, Ether
from .access import ACCESS_SECONDS, Application
from .codes import Refused
from .controller import Controller
from .faults import BEFORE, LOGIN_PAGE, Counters, Fault, Kind, When, afterwards
from .gateway import Gateway
from .operations.registry import Generation
from .site import Site
from .strictness import Strictness
from .web import Answered, Asked, WebServer, as_json


class OmadaSimulator:
    """One controller and its sites. `sites`: names, for sites with a gateway of the same name, or `Site` objects.

    `version` is a release such as "5.14" or "6.0", or a full version; 5.x answers generation 1 alone, 6.x both, unless
    `generations` says {0, 1}, {0, 2} or {0, 1, 2}. `client_id` and `client_secret` are those of an application that may
    everything; further ones are in `applications`, people in `users`: name -> (password, what they may do).
    The budget of requests is counted on `rate_clock`, real time unless told otherwise, everything else on `clock`.
    """

    def __init__(
        self,
        version: str = "6.2",
        sites: Iterable[str | Site] = ("site",),
        *,
        applications: Iterable[Application] = (),
        users: Mapping[str, tuple[str, Application]] | None = None,
        ether: Ether | None = None,
        clock: Clock | None = None,
        strictness: Strictness | None = None,
        generations: frozenset[Generation] | None = None,
        refresh_tokens: bool | None = None,
        certificate: Certificate | None = None,
        token_seconds: int = ACCESS_SECONDS,
        rate_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ether = ether
        self.clock = clock or (ether.clock if ether is not None else Clock())
        self.strictness = strictness or Strictness()
        self.application = Application()
        made = [Site(one, Gateway(one)) if isinstance(one, str) else one for one in sites]
        self.controller = Controller(
            version,
            made,
            [self.application, *applications],
            users=users,
            clock=self.clock,
            strictness=self.strictness,
            generations=generations,
            refresh_tokens=refresh_tokens,
            rate_clock=rate_clock,
        )
        self.controller.tokens.seconds = token_seconds
        self.sites = {site.name: site for site in made}
        self.certificate = certificate or self_signed("omada")
        self.latency = 0.0
        self.log: list[Asked] = []
        self.host, self.port = "127.0.0.1", 0
        self._faults: list[Fault] = []
        self._meanwhile: list[tuple[Fault, Callable[[], object]]] = []
        self._server: WebServer | None = None
        self._timer: threading.Thread | None = None
        self._over = False
        self._moved = threading.Condition()

    # --- who and where ---------------------------------------------------------------------------------------------------

    @property
    def client_id(self) -> str:
        """Of the application that may everything."""
        return self.application.client_id

    @property
    def client_secret(self) -> str:
        """Of the application that may everything."""
        return self.application.client_secret

    @property
    def omadac_id(self) -> str:
        """The controller's id, as /api/info tells it."""
        return self.controller.omadac_id

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"https://{self.host}:{self.port}"

    @property
    def counters(self) -> Counters:
        """What was asked of the controller."""
        return self.controller.counters

    @property
    def connections(self) -> int:
        """How many were made."""
        return 0 if self._server is None else self._server.connections

    def gateway(self, site: str) -> Gateway:
        """The gateway of a site, by the site's name. ValueError if it has none."""
        gateway = self.sites[site].gateway
        if gateway is None:
            raise ValueError(f"site {site} was made without a gateway: give it one")
        return gateway

    # --- life ------------------------------------------------------------------------------------------------------------

    def start(self) -> tuple[str, int]:
        """Listen, let the gateways join the ether, return host and port."""
        if self._server is None:
            for site in self.sites.values():
                self._take_in(site)
            self._over = False
            self._server = WebServer(self._answer, self.certificate, self.port)
            self.port = self._server.port
            self.clock.follow(self._advanced)
            self._timer = threading.Thread(target=self._watch, name="omada-timer", daemon=True)
            self._timer.start()
        return self.host, self.port

    def stop(self) -> None:
        """Leave everything; may be called twice."""
        server, self._server = self._server, None
        if server is None or self._timer is None:
            return
        self.clock.unfollow(self._advanced)
        with self._moved:
            self._over = True
            self._moved.notify_all()
        self._timer.join()
        server.close()
        for site in self.sites.values():
            if site.gateway is not None:
                site.gateway.leave()

    def _take_in(self, site: Site) -> None:
        site.strictness = self.strictness
        if site.gateway is not None:
            site.gateway.join(self.ether, self.clock, self.strictness)

    def add(self, site: Site) -> Site:
        """A new site, while it runs."""
        with self.controller.lock:
            self._take_in(site)
            self.sites[site.name] = self.controller.sites[site.id] = site
        return site

    def remove(self, name: str) -> None:
        """Somebody deletes the site; its gateway forgets its settings and is gone."""
        with self.controller.lock:
            site = self.sites.pop(name)
            del self.controller.sites[site.id]
            if site.gateway is not None:
                site.gateway.leave()

    def replace(self, site: str, gateway: Gateway, seconds: float = 0.0) -> None:
        """New hardware for a site: adopting it takes so many seconds, then it gets what the site has stored."""
        with self.controller.lock:
            there = self.sites[site]
            if there.gateway is not None:
                there.gateway.leave()
            there.gateway = gateway
            self._take_in(there)
            gateway.store(there.tunnels)
            gateway.enter("adopting", seconds)

    def __enter__(self) -> OmadaSimulator:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def present(self, certificate: Certificate) -> None:
        """Show another certificate from now on; every connection ends."""
        self.certificate = certificate
        if self._server is not None:
            self._server.present(certificate)

    def hang_up(self) -> None:
        """Every connection ends at once."""
        if self._server is not None:
            self._server.hang_up()

    def set_offline(self, offline: bool = True) -> None:
        """The controller is off, its gateways are not: nothing listens. False: back on the same port."""
        if self._server is not None and offline:
            self._server.pause()
        elif self._server is not None:
            self._server.resume()

    def fault(self, when: When, kind: Kind, *, code: int = -1, times: int = 1) -> None:
        """Plan a failure: at the nth request from now, at `METHOD end-of-path`, or where a test of the request says so."""
        self._faults.append(Fault(when, kind, code, times))

    def meanwhile(self, when: When, action: Callable[[], object]) -> None:
        """Let somebody else act just before that request is looked at: a person who edits between our read and our write."""
        self._meanwhile.append((Fault(when, "refuse"), action))

    def modify(
        self, application: Application, *, rights: frozenset[str] | None = None, sites: Iterable[str] | None = None
    ) -> None:
        """Somebody changes the role or, by name, the sites of an application: its tokens end (sheet 1.6)."""
        with self.controller.lock:
            application.rights = application.rights if rights is None else rights
            application.sites = application.sites if sites is None else frozenset(self.sites[one].id for one in sites)
            self.controller.tokens.revoke(application)

    # --- requests ----------------------------------------------------------------------------------------------------------

    def _answer(self, asked: Asked) -> Answered:
        self.log.append(asked)
        for trigger, action in list(self._meanwhile):
            if trigger.strikes(asked):
                self._meanwhile.remove((trigger, action))
                action()
        with self.controller.lock:
            fault = next((one for one in [*self._faults] if one.strikes(asked)), None)
            self._faults = [one for one in self._faults if one.times > 0]
        if fault is not None and fault.kind in BEFORE:
            instead = self._instead(fault)
            if instead is not None:
                return instead
        try:
            over = self.controller.begin_write(asked.method, asked.path)
        except Refused as refused:
            return as_json(self.controller.envelope(refused), refused.status)
        try:
            if self.latency:
                time.sleep(self.latency)
            answered = self.controller.answer(asked, endpoints_lost=fault is not None and fault.kind == "drop_endpoint")
        finally:
            over()
        if asked.method != "GET":
            with self._moved:
                self._moved.notify_all()  # a write may have brought a delivery forward
        return answered if fault is None else afterwards(fault, answered)

    def _instead(self, fault: Fault) -> Answered | None:
        match fault.kind:
            case "drop_before":
                return Answered(manner="reset")
            case "500":
                return Answered(500, b"Internal Server Error", "text/plain")
            case "html":
                return LOGIN_PAGE
            case "refuse":
                refused = Refused(fault.code, None if fault.code else "")
                return as_json(self.controller.envelope(refused))
            case "expire_token":
                self.controller.tokens.expire()
            case _:
                self.controller.tokens.revoke()
        return None

    # --- time ----------------------------------------------------------------------------------------------------------------

    def _advanced(self) -> None:
        self.controller.tick()
        with self._moved:
            self._moved.notify_all()

    def _watch(self) -> None:
        """Deliveries happen when they are due, whether or not somebody asks."""
        while not self._over:
            self.controller.tick()
            due = [at for site in self.sites.values() if site.gateway is not None and (at := site.gateway.next) is not None]
            with self._moved:
                if not self._over:
                    # Once a second at least: a write between the look and the wait would otherwise go unseen.
                    wait = 1.0 if not due else min(due) - self.clock.now()
                    self._moved.wait(min(max(wait, 0.01), 1.0))
