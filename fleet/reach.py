"""How each router of one inventory is reached: addresses, login, pins, jumps.

Hosts are tried in the order of the inventory; a router that is reached through others is tried at its overlay address
first once a sync confirmed it. `--at` replaces all of that for one run.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from . import engine
from .dial import Dialer, Hop, JumpPool
from .driver import Driver
from .errors import UsageError
from .events import Emit, Event, silent
from .link import Access, Address, RouterLink, Session, Target
from .local import connected_prefix
from .model import Fact, Fleet, IPAddress, Jump, Router, Secret
from .plugins import Registry
from .secrets import Resolver
from .shared import SharedAnswers
from .state import State
from .transports import Transport
from .transports.hostkeys import KNOWN_HOSTS, fingerprint
from .transports.ssh import CONNECT_TIMEOUT, connect_ssh


class Reach:
    """Links to the routers of one fleet for one command; close it at the end."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        registry: Registry,
        state: State,
        resolver: Resolver,
        at: Mapping[str, str] | None = None,
        emit: Emit = silent,
        known_hosts: Path = KNOWN_HOSTS,
    ) -> None:
        self._fleet = fleet
        self._registry = registry
        self._state = state
        self._resolver = resolver
        self._at = at or {}
        self._emit = emit
        self._overlay = fleet.overlay.name
        self._known_hosts = known_hosts
        self._pool = JumpPool(self._hop, seen=self._seen_ssh, known_hosts=known_hosts)
        # Read once: a thousand routers would read a thousand pins each. What a run pins it uses from its own memory.
        self._facts = state.facts(self._overlay)
        self._identities = state.identities(self._overlay)
        self._confirmed = frozenset(state.confirmed_all(self._overlay))
        self._links: list[RouterLink] = []
        self._transports: dict[str, Transport] = {}
        self._shared: dict[object, SharedAnswers] = {}
        self._lock = threading.Lock()

    def driver(self, name: str) -> Driver:
        """The driver of a router."""
        return self._registry.driver(self._fleet.routers[name].driver)

    def endpoint(self, name: str) -> str:
        """What a router's requests meet at: its first host, shared by all routers behind one controller."""
        router = self._fleet.routers[name]
        return self._at.get(name) or (router.hosts[0] if router.hosts else name)

    def router(self, name: str, *, at: IPAddress | None = None) -> engine.Router:
        """An engine router whose link connects on first use and holds the router to its pins; `at` this address only.

        What `--at` says goes before either.
        """
        return self._router(name, pinned=True, at=at)

    def unpinned(self, name: str) -> engine.Router:
        """The same without regard to pins and without pinning: only for showing a person what changed."""
        return self._router(name, pinned=False)

    def _router(self, name: str, *, pinned: bool, at: IPAddress | None = None) -> engine.Router:
        router, driver = self._fleet.routers[name], self.driver(name)
        options = driver.Options.model_validate(dict(router.options))
        target = Target(name, self._overlay, (router.interface,), options, router.username or "")
        transport = self._transport(driver.transport)
        dialer = Dialer(self._pool, () if name in self._at else router.via)

        def connect() -> Session:
            access = self.access(name)
            if at is not None and name not in self._at:
                access = replace(access, addresses=(Address(str(at), router.port or driver.port),))
            session = transport.connect(access if pinned else _without_pins(access, router), dialer)
            if session.identity and pinned:
                self._pin(name, _kind(driver), session.identity, str(session.address))
            return session

        link = RouterLink(target, connect, check=driver.check, shared=self._answers(router, driver))
        with self._lock:
            self._links.append(link)
        return engine.Router(name, self._overlay, driver, link, emit=self._emit, renew=lambda: self._pool.fresh(name))

    def shown(self, name: str) -> Mapping[str, str]:
        """What a router or jump identifies itself with now, without regard to pins: `ssh` or `tls` to its value.

        Raises RouterError; IdentityChanged only for what the inventory itself gives, or known_hosts.
        """
        if name in self._fleet.routers:
            identity = self.unpinned(name).link.session.identity
            return {_kind(self.driver(name)): identity} if identity else {}
        jump = self._fleet.jumps[name]
        access = replace(self._jump_access(jump), host_keys=(jump.host_key,) if jump.host_key else ())
        transport, identity, _ = connect_ssh(access, Dialer(), self._known_hosts, CONNECT_TIMEOUT)
        transport.close()
        return {"ssh": identity}

    def learned(self, facts: Mapping[str, Fact]) -> None:
        """Overlay addresses that hubs tell of routers which the state does not know."""
        self._facts = {**facts, **self._facts}

    def moved(self, facts: Mapping[str, Fact]) -> None:
        """Overlay addresses changed: reach routers at their new ones, through new jump connections."""
        self._facts = {**self._facts, **facts}
        for name in facts:
            self._pool.fresh(name)

    def close(self) -> None:
        """Close every connection of this command."""
        for link in self._links:
            link.close()
        for transport in self._transports.values():
            transport.close()
        self._pool.close()

    def _transport(self, name: str) -> Transport:
        """One object per kind and run: routers behind one controller share its login."""
        with self._lock:
            if name not in self._transports:
                self._transports[name] = self._registry.transport(name)
            return self._transports[name]

    def _answers(self, router: Router, driver: Driver) -> SharedAnswers:
        """What routers behind one endpoint share: the same way to it, and the same account there."""
        account = (router.username, router.password, router.api_key, router.api_secret)
        at = self._at.get(router.name)
        key = (driver.name, router.hosts if at is None else at, router.port, router.via if at is None else (), account)
        with self._lock:
            return self._shared.setdefault(key if router.hosts or at else router.name, SharedAnswers())

    # ------------------------------------------------------------------------------------------------- access
    def access(self, name: str) -> Access:
        """How to log in to a router. Raises UsageError when a secret reference gives nothing or nothing says where it is."""
        router, driver = self._fleet.routers[name], self.driver(name)
        addresses = self._addresses(router, driver)
        if not addresses:
            raise UsageError(
                f"{name}: nothing says where to reach it: no `host`, and no overlay address known yet",
                f"give it a `host`, or reach it once with --at {name}=ADDRESS",
            )
        pins = self._pins(name)
        return Access(
            router=name,
            addresses=addresses,
            username=router.username,
            password=self._ask(router.password, name, "password"),
            ssh_key=self._ask_key(router.ssh_key, name),
            api_key=self._ask(router.api_key, name, "api_key"),
            api_secret=self._ask(router.api_secret, name, "api_secret"),
            host_keys=(router.host_key,) if router.host_key else tuple(pins.get("ssh", ())),
            tls_fingerprint=(router.tls.fingerprint if router.tls else None) or _last(pins.get("tls", ())),
            tls_ca=router.tls.ca if router.tls else None,
            plain_ok=self._plain_ok(router, addresses[0]) if driver.transport == "routeros" else "",
            options=router.options,
            dialect=driver.dialect,
            via=() if name in self._at else router.via,
        )

    def _addresses(self, router: Router, driver: Driver) -> tuple[Address, ...]:
        port = router.port or driver.port
        if router.name in self._at:
            return (_address(self._at[router.name], port),)
        fact = self._facts.get(router.name) or self._facts.get(router.formerly or "")
        overlay = tuple(Address(str(address), port) for address in fact.addresses) if fact else ()
        hosts = tuple(_address(host, port) for host in router.hosts)
        if router.via and not self._confirmed.isdisjoint(self._names(router.name)):
            return tuple(dict.fromkeys((*overlay, *hosts)))
        return hosts or overlay

    def _plain_ok(self, router: Router, address: Address) -> str:
        """Why an unencrypted connection is allowed here, empty if it is not."""
        if router.via and router.name not in self._at:
            return f"inside the SSH connection to {router.via[0]}"
        try:
            host = ipaddress.ip_address(address.host)
        except ValueError:
            return ""
        if host.is_loopback:
            return "loopback"
        if any(host.version == prefix.version and host in prefix for prefix in self._fleet.overlay.prefixes):
            return "inside the overlay"
        prefix = connected_prefix(host) if router.name in self._at else None
        if prefix is not None:
            self._emit(Event(router.name, "plan", f"{router.name}: unencrypted to {host}, on the directly connected {prefix}"))
            return f"directly connected {prefix}"
        return ""

    def _ask(self, reference: str | None, name: str, field: str) -> Secret | None:
        return None if reference is None else self._resolver.resolve(reference, f"{name}: {field}")

    def _ask_key(self, reference: str | None, name: str) -> Secret | None:
        return self._resolver.key_file(reference, f"{name}: ssh_key")

    # -------------------------------------------------------------------------------------------------- jumps
    def _hop(self, name: str) -> Hop:
        if name in self._fleet.jumps:
            return Hop(self._jump_access(self._fleet.jumps[name]))
        if name not in self._fleet.routers:
            raise UsageError(f"via names {name!r}, which is neither a router nor a jump", "see `jumps:` in the inventory")
        return Hop(self.access(name), () if name in self._at else self._fleet.routers[name].via)

    def _jump_access(self, jump: Jump) -> Access:
        pins = self._pins(jump.name)
        return Access(
            router=jump.name,
            addresses=(Address(jump.host, jump.port),),
            username=jump.username,
            password=self._ask(jump.password, jump.name, "password"),
            ssh_key=self._ask_key(jump.ssh_key, jump.name),
            host_keys=(jump.host_key,) if jump.host_key else tuple(pins.get("ssh", ())),
        )

    # --------------------------------------------------------------------------------------------------- pins
    def _names(self, name: str) -> tuple[str, ...]:
        """A name and the one before it: until a sync has moved the pins, they stand under `formerly`."""
        router = self._fleet.routers.get(name)
        return (name, router.formerly) if router is not None and router.formerly else (name,)

    def _pins(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """Accepted identities by kind. A renamed router is no stranger: what was pinned before still holds."""
        return next((self._identities[known] for known in self._names(name) if known in self._identities), {})

    def _seen_ssh(self, name: str, identity: str) -> None:
        self._pin(name, "ssh", identity, name)

    def _pin(self, name: str, kind: str, identity: str, where: str) -> None:
        """Pin the identity of a first contact, and say so: the one moment when nobody can verify it for the operator."""
        router = self._fleet.routers.get(name) or self._fleet.jumps.get(name)
        given = router is not None and (router.host_key if kind == "ssh" else getattr(router, "tls", None))
        if given or identity in self._pins(name).get(kind, ()):
            return
        with self._lock:
            if self._pins(name).get(kind):
                return
            self._state.pin_identity(self._overlay, name, kind, identity)
            self._identities.setdefault(name, {})[kind] = (identity,)
        shown = fingerprint(identity) if kind == "ssh" else f"certificate {identity}"
        self._emit(Event(name, "plan", f"{name}: first contact at {where}, pinned {shown}"))


def _address(text: str, port: int) -> Address:
    """`host`, `host:port`, an IPv6 address bare or `[address]:port`. Raises UsageError."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return Address(host, _port(rest.removeprefix(":"), text) if rest else port)
    host, colon, rest = text.partition(":")
    if colon and ":" not in rest:
        return Address(host, _port(rest, text))
    return Address(text, port)


def _port(text: str, whole: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise UsageError(f"not a port: {text!r} in {whole!r}", "write HOST:PORT with a port of 1 to 65535")
    return int(text)


def _without_pins(access: Access, router: Router) -> Access:
    """What the inventory itself gives stays: that is not a pin, and only an editor changes it."""
    return replace(
        access,
        host_keys=(router.host_key,) if router.host_key else (),
        tls_fingerprint=router.tls.fingerprint if router.tls else None,
    )


def _kind(driver: Driver) -> str:
    """What a driver's transport identifies routers by."""
    return "ssh" if driver.transport in ("ssh", "cli", "netconf") else "tls"


def _last(values: tuple[str, ...] | list[str]) -> str | None:
    return values[-1] if values else None
