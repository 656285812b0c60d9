"""The contract between fleet and a vendor: what a driver author implements and what it is given.

A driver translates. `observe` turns what the router says into an `Observed`; `render` turns the changes the core wants into a
`Script` of native requests. It holds no connection and no state, and does not diff, sort, retry, sleep, log or read
the inventory. Everything it cannot do is declared in `limits`, as data, with the sentence an operator needs.

How the contract maps onto vendors that have no driver yet, by their sheets (2026-11); "sheet N" is a section there:

```
          openwrt                opnsense               edgeos                 omada                  NETCONF (Infix)
========= ====================== ====================== ====================== ====================== =======================
stored    uci -X show (nothing   server/get,            /config/config.boot    interfaces and peers,  get-config startup
          staged by others)      client/get, filter                            v1 or v2, all pages
                                 rules, routes
running   wg show, netifd, ip    service/show; what it  active config, kernel  None; settled: gateway get-config running,
          route, nft             lacks: from stored     where it drifts        detailStatus 14        peer-status
prepare   -                      peers linked to no     key file /config/      -                      key, PSK, bag: own
                                 server                 auth/NEW                                      plain commit
guard     emulated: restore, in  none; emulated if our  emulated: inverse set  none                   native: commit
          flash, at boot too     action is installed    list, not at                                  confirmed, persist
apply     1 exec: uci batch,     client/set,            1 exec, sg vyattacfg;  1 call an object; ids  edit, validate; the
          commit, wg set         server/set; then       a failure is partial   by the next pass       commit is the arming
                                 reconfigure
verify    uci, wg show, new SSH  show: a peer missing   active and wg show on  read back, 14, then    new session; never the
                                 there is a Reapply     new SSH                peer statistics        reply
                                 that alters a record
confirm   touch confirmed        cron/del_job           touch confirmed, save  -                      persist-id; copy to
                                                                                                      startup
clean up  own files; disabled    del_client, one by one old key file           DELETE what was        unused keys and bags,
          sections               before 26.1.3                                 disabled               2nd copy
trip      run the restore        job due next minute    run the revert         - (plan back to the    cancel-commit, discard-
                                                                               snapshot)              changes
stage key option beside          core holds it          a second key file      core holds it          a second keystore key
          private_key
activate  uci, wg set: no reload server/set privkey     private-key NEWFILE    PUT interface          leafref: wg is remade
park      no allowed_ips         /32 of 198.18/15       no allowed-ips         /32 of 198.18/15       no allowed-ips
probe     ping -I                None: no API           ping -I                None: no API           None: no RPC
marker    file in /tmp           a disabled filter      file in /run           None: no place         None: lock candidate
                                 rule; Date header                                                    while writing
enrol     sheet 8: shell paste   sheet 8: console, with sheet 7: one line      calls through the      None: bench, --at
                                 the watchdog                                  controller, no paste
adopt     by key, not section;   by key; mark in name,  by key; mark in        by key; mark in peer   by key; mark in bag
          mark in description    dots for colons        description            comment                name
```

What these five taught the contract:

- Who has three views (EdgeOS: saved, active, kernel) reports the saved one as `stored` and, as `running`, the kernel where it
  shows a thing and the active configuration for the rest; which of the two a `Reapply` must mend is in `native`. Who shows
  only a part of what runs (OPNsense: no address, no MTU) takes the rest from `stored`: what is not seen is not drift.
- `saves_on_confirm` is one answer for a router, not for each change. OpenWrt could save peers at the confirm; zones and
  addresses run only once they are committed, so it commits all of it under guard, and its restore runs at boot too.
- A native guard may have no step of its own. With confirmed commit the first write arms (`arms_by_write`); a refused one arms
  too and is tripped; every later pass sets the timer anew, to `RouterPlan.remaining`, with the same token, because a plain
  commit would confirm. No read tells whose commit is pending, so the plan id is written with it, in the interface's
  description, and taken out before the copy to startup.
- What only activates (reconfigure, commit) goes last, as a batch of its own that covers nothing: the requests of one batch
  may be sent at once. A driver may split a batch and never merges two.
- An undo may be late: cron counts in minutes, a reboot takes some (`undo_seconds`).
- A controller tells whether a tunnel is up and not since when: `Live.connected`. Stored and not delivered is `settled=False`;
  a gateway that stays so is pending, not failed, and so is one that its controller shows as off.
- A mark needs room: OPNsense has 64 characters without colons (`mark_length`, dots stand for the colons), routes of Omada and
  EdgeOS have none and are ours because they leave by an interface of ours.
- A private key that comes with every read (OPNsense, Omada) is dropped in the parse, or a Secret in `native` where it must go
  back with every write. NETCONF is asked for names and public keys only.
- Routers behind one controller are targets with one endpoint: what all of them ask (token, sites, devices) is
  `Request.shared`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from .changes import Batch as ChangeBatch
from .changes import Change
from .link import Link, Reply, Request, Target
from .model import (
    MANAGE_KEY,
    ClampMss,
    Configuration,
    Endpoint,
    Forward,
    Interface,
    IPAddress,
    IPNetwork,
    ListenPort,
    Management,
    NoMasquerade,
    Opening,
    Peer,
    PublicKey,
    Secret,
)

CONTRACT: Final = 1
"""Version of this contract; a driver states the one it was written for."""

ALL_OPENINGS: Final[frozenset[type[Opening]]] = frozenset({ListenPort, Forward, NoMasquerade, ClampMss, Management})


class NoOptions(BaseModel):
    """The `options:` of a driver that has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing this vendor or router cannot do: the changes it forbids (class names) and the operator's sentence."""

    forbids: frozenset[str]
    sentence: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a driver can express, as data. The class attribute is the optimistic bound, `Observed.limits` this router's.

    unit               what one write replaces: one item, one batch of items, or the whole file
    guard              `native` (the vendor's timed undo), `emulated` (ours, on the router) or `none`
    guard_cost         what an undo that fires costs: `none` or `reboot`
    saves_on_confirm   under guard the running view is judged and saving is the confirm, so that a power cut reverts too
    makes_keys         the router makes its own private key and never shows it
    stages_keys        a second key can wait on the router beside the one in use
    empty_allowed_ips  a peer may have no allowed IPs (a parked peer); else it is parked on a /32 of 198.18.0.0/15
    undo_actions       how many actions a native undo holds, None for no limit
    undo_seconds       how long after its deadline an undo may take until the router answers again, beyond the usual 20 s
    arms_by_write      a native undo is armed by the first write itself (confirmed commit), not by a step before it
    batch              how many independent requests may be in flight
    routes             `derived` (the vendor makes them from allowed IPs), `static` (we write them), `none`
    openings           kinds of opening the driver can write
    inherent           those of them that hold by themselves: nothing is written or compared
    reresolve          the router can resolve a named endpoint again by itself
    endpoint_names     an endpoint may be a DNS name
    preshared_keys     peers may have preshared keys
    ipv6               addresses and allowed IPs may be IPv6
    addresses          how many addresses an interface can hold, None for no limit
    address_lengths    an address carries the overlay's prefix length; else it is held, and compared, as a host's
    interfaces         how many interfaces of ours it can hold, None for no limit
    mark_length        how many characters of a mark there is room for, None for no limit
    cannot             anything else, each with its sentence
    """

    unit: Literal["item", "batch", "file"] = "item"
    guard: Literal["native", "emulated", "none"] = "none"
    guard_cost: Literal["none", "reboot"] = "none"
    saves_on_confirm: bool = False
    makes_keys: bool = True
    stages_keys: bool = False
    empty_allowed_ips: bool = True
    undo_actions: int | None = None
    undo_seconds: float = 0.0
    arms_by_write: bool = False
    batch: int = 16
    routes: Literal["derived", "static", "none"] = "static"
    openings: frozenset[type[Opening]] = ALL_OPENINGS
    inherent: frozenset[type[Opening]] = frozenset()
    reresolve: bool = True
    endpoint_names: bool = True
    preshared_keys: bool = True
    ipv6: bool = True
    addresses: int | None = None
    address_lengths: bool = True
    interfaces: int | None = None
    mark_length: int | None = None
    cannot: tuple[Limit, ...] = ()

    def refusals(self, wanted: Interface) -> list[str]:
        """Sentences about what this intent needs and the router cannot have; empty if all of it can be expressed.

        Aspects in `wanted.unmanaged` are somebody else's and never refused.
        """
        return [*self._refused_peers(wanted), *self._refused_surroundings(wanted), *self._refused_marks(wanted)]

    def forbidden(self, change: Change) -> str | None:
        """The sentence of the first limit in `cannot` that forbids this change, None if it is allowed."""
        for limit in self.cannot:
            if type(change).__name__ in limit.forbids:
                return limit.sentence
        return None

    def _refused_peers(self, wanted: Interface) -> list[str]:
        said = []
        peers = wanted.peers.values()
        if not self.preshared_keys and any(peer.preshared_key is not None for peer in peers):
            said.append("preshared keys cannot be set: use `preshared_keys: false` for this overlay")
        if not self.endpoint_names:
            names = sorted({peer.endpoint.host for peer in peers if peer.endpoint and peer.endpoint.ip is None})
            if names:
                said.append(f"an endpoint must be an address, {names[0]} is a name: give the hub an address as endpoint")
        if not self.ipv6 and any(address.version == 6 for address in wanted.addresses):
            said.append("IPv6 inside the tunnel is not possible: leave `ipv6` out of the overlay")
        if self.addresses is not None and len(wanted.addresses) > self.addresses:
            said.append(f"an interface holds {self.addresses} address here, {len(wanted.addresses)} are wanted")
        if not self.empty_allowed_ips and any(not peer.allowed_ips for peer in peers):
            said.append("a peer without allowed IPs is not possible")
        return said

    def _refused_surroundings(self, wanted: Interface) -> list[str]:
        said = []
        if self.routes == "none" and wanted.routes and "routes" not in wanted.unmanaged:
            said.append("routes cannot be written: add them by hand and set `manage: {routes: false}`")
        for opening in wanted.openings.values():
            key = MANAGE_KEY[type(opening)]
            if type(opening) not in self.openings and key not in wanted.unmanaged:
                said.append(f"{opening}: cannot be written: do it by hand and set `manage: {{{key}: false}}`")
        if wanted.reresolve and not self.reresolve and "resolve" not in wanted.unmanaged:
            said.append("named endpoints cannot be resolved again by the router: set `manage: {resolve: false}`")
        return said

    def _refused_marks(self, wanted: Interface) -> list[str]:
        if self.mark_length is None:
            return []
        marks = [wanted.mark, *(peer.mark for peer in wanted.peers.values())]
        long = [mark for mark in marks if mark is not None and len(str(mark)) > self.mark_length]
        cure = f"its name and the overlay's may have {self.mark_length - len('fleet::')} characters together"
        return [f"there is no room for the mark {mark}: {cure}" for mark in long[:1]]


@dataclass(frozen=True, slots=True)
class Live:
    """Facts of one peer that are never configuration.

    `handshake_age` in seconds, as the router measured it at the read, None when there never was one; bytes since the
    peer was made; `endpoint` as learned. `connected` is the vendor's own word for a session that lives, where it tells no
    age; it proves no new handshake.
    """

    handshake_age: float | None = None
    received: int = 0
    sent: int = 0
    endpoint: Endpoint | None = None
    connected: bool | None = None


@dataclass(frozen=True, slots=True)
class GuardSeen:
    """An armed or left-over undo found on the router: whose plan, and in how many seconds it fires (None: unknown)."""

    plan_id: str
    fires_in: float | None = None


@dataclass(frozen=True, slots=True)
class Marker:
    """The writer's marker found on a hub: who writes, and in how many seconds by the hub's clock that is over (0: it is)."""

    owner: str
    expires_in: float


@dataclass(frozen=True, slots=True)
class Observed:
    """What one read says.

    `stored` is the configuration that survives a reboot, `running` what works now, normalised alike; running is None where
    the vendor shows only one. Both hold every WireGuard interface, foreign ones too, with marks where objects carry them.
    Only routes and openings of interfaces of ours, or marked ones, are reported.
    `live` is by interface and public key. `connected` are prefixes directly connected outside WireGuard interfaces.
    `clock` is the router's idea of Unix time, None if unread. `rights` lists what the account lacks, as sentences.
    `leftovers` are sentences about what a lost cleanup left behind (disabled objects of ours, a key's predecessor): the next
    sync repeats the cleanup. `marker` is the writer's, on hubs, where `Target.asks` for it. `notes` are sentences for the
    operator (something claimed, something odd). `settled` False: what is stored is not live yet, the router is read again for a
    while; if it stays so, what `running` says counts, and without one the router is pending.
    `native` is the driver's own: the core never opens or stores it.
    """

    stored: Configuration
    running: Configuration | None = None
    live: Mapping[str, Mapping[PublicKey, Live]] = field(default_factory=dict)
    version: str = ""
    model: str = ""
    limits: Limits = Limits()
    guard: GuardSeen | None = None
    marker: Marker | None = None
    settled: bool = True
    connected: tuple[IPNetwork, ...] = ()
    clock: float | None = None
    rights: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    native: object = None


@dataclass(frozen=True, slots=True)
class RouterPlan:
    """What one router should become.

    `batches` are the changes in the order they must land; those of one batch are independent. `desired` is the whole
    wanted state of our interfaces (whole-file vendors write it), every preshared key a Secret. `private_keys` holds, by
    interface name, keys that the router does not make itself.

    `confirm_within` is the guard's window in seconds, 0: no guard. With a guard, `arm` is True for the first pass of a run
    and for no other: the first batch of `Script.guarded` is then one step that covers nothing and arms the undo, which
    restores `snapshot` (our interfaces as they were); with `Limits.arms_by_write` the first write does both. `remaining`
    are the seconds until that undo fires. A plan without changes still gives `confirm`, `cleanup` and `trip`.
    """

    target: Target
    plan_id: str
    batches: tuple[ChangeBatch, ...]
    desired: Configuration
    private_keys: Mapping[str, Secret] = field(default_factory=dict)
    snapshot: Configuration = field(default_factory=dict)
    confirm_within: int = 0
    arm: bool = False
    remaining: int = 0

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes in order."""
        return tuple(change for batch in self.batches for change in batch)


Interrupts: TypeAlias = Literal["nothing", "peer", "interface", "reboot"]


@dataclass(frozen=True, slots=True)
class Step:
    """A line an operator reads, the requests that do it, the changes it covers, and what it interrupts meanwhile."""

    summary: str
    requests: tuple[Request, ...]
    covers: tuple[Change, ...] = ()
    interrupts: Interrupts = "nothing"


Batch: TypeAlias = tuple[Step, ...]
"""Steps that are independent of one another and may be sent together, in any order: what must follow is in a later batch."""


@dataclass(frozen=True, slots=True)
class Script:
    """Native requests for one pass over one router, as plain data.

    prepare   creates only what nothing refers to yet; unguarded
    guarded   arming (a step that covers nothing) and the changes; what the undo could not restore without keeping a secret
              (a peer that goes) is disabled here and deleted in cleanup; an undo that keeps a copy on the router needs no
              such thing
    confirm   requests after verify, on a fresh connection: disarm, or save
    cleanup   after confirm: deletes, save; repeated by the next sync if lost (`Observed.leftovers`)
    trip      runs the armed undo now; it is also what runs by itself at the deadline and after a power cut
    """

    guarded: tuple[Batch, ...]
    prepare: tuple[Batch, ...] = ()
    confirm: tuple[Request, ...] = ()
    cleanup: tuple[Batch, ...] = ()
    trip: tuple[Request, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in the order they are sent."""
        return tuple(step for phase in (self.prepare, self.guarded, self.cleanup) for batch in phase for step in batch)


Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Ask(Generic[Answer]):
    """Requests with the pure function that reads their replies."""

    requests: tuple[Request, ...]
    parse: Callable[[tuple[Reply, ...]], Answer]


@dataclass(frozen=True, slots=True)
class Probe:
    """A ping from the router: `source` is one of its own addresses, `size` payload bytes, `count` packets."""

    target: IPAddress
    source: IPAddress | None = None
    size: int = 56
    count: int = 3


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Packets sent and received, and the average round trip in milliseconds (None if none came back)."""

    sent: int
    received: int
    milliseconds: float | None = None


class Driver(ABC):
    """Speaks one vendor's dialect. Holds no connection and no state between calls.

    Class data: `name` is the inventory's `driver:` value, `transport` one of fleet's or a plugin's, `port` the default
    TCP port of management, `jump` whether other routers may be reached through this one, `Options` validates `options:`,
    `dialect` is what the transport must know about this vendor (`Rest` for transport `rest`, `Cli` for `cli`), None where it
    needs nothing.
    """

    name: ClassVar[str]
    transport: ClassVar[str]
    contract: ClassVar[int] = CONTRACT
    port: ClassVar[int] = 22
    jump: ClassVar[bool] = False
    dialect: ClassVar[object] = None
    Options: ClassVar[type[BaseModel]] = NoOptions
    limits: ClassVar[Limits] = Limits()

    @abstractmethod
    def observe(self, link: Link) -> Observed:
        """Read everything in as few round trips as the vendor allows. Raises RouterError, Unparseable."""

    @abstractmethod
    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        """Pure: the native requests that bring about exactly `plan.batches`, in that order."""

    def check(self, request: Request, reply: Reply) -> None:  # noqa: B027 - optional by design, absent means transport decides
        """Raise Rejected if the reply means no though the transport took it for yes."""

    # Each of the following answers None where the vendor, or this router, cannot: a declared limit.
    def probe(self, probe: Probe, observed: Observed) -> Ask[ProbeResult] | None:
        """Ping from the router."""
        return None

    def rehandshake(self, interface: str, peer: Peer, observed: Observed) -> tuple[Request, ...] | None:
        """Requests that force a new handshake with this peer without changing configuration in the end."""
        return None

    def mark(self, owner: str, expires: int, observed: Observed) -> tuple[Request, ...] | None:
        """Requests that put the writer's marker on a hub for `expires` seconds by its own clock; an empty `owner` takes it off.

        It is outside diff and fingerprint. The router itself must refuse it (Rejected) while another owner's stands and is not
        over: two writers may have read at the same moment. It is renewed, and taken off, from a read made while it stood; who
        needs that read says `link.ask("marker")` first, because it may cost the vendor a round trip more.
        """
        return None

    def account(self, username: str) -> str | None:
        """Commands that an administrator pastes to create the management account with the rights the driver needs."""
        return None


DriverClass: TypeAlias = type[Driver]
