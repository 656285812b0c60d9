"""A simulated gateway behind the controller: what it was given, what runs on it, and its place on the ether (sheet 4, 5)."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ..ether import Clock, Ether, Handshake
from .fields import is_address
from .node import OnEther
from .phases import CONFIGURING, MISSED_SECONDS, OFF, PHASES, Firmware, Phase
from .settings import Json, Peer, Tunnel
from .strictness import Strictness

_macs = itertools.count(1)
_rows = itertools.count(secrets.randbelow(10**8) + 10**8)


class Gateway(OnEther):
    """One gateway. `lans`: its own address and prefix length in every LAN, such as 192.168.20.1/24.

    `delay`: seconds from a write until it runs on the gateway; `lag`: seconds until the controller shows that it is at work
    (whether it always does is unverified, sheet 5). `opens_lan` False: the gateway's firewall lets nothing from the tunnels
    into its LANs until somebody adds a rule by hand (sheet 4, ACL). `controller_at`: an address that it must reach, through
    its tunnels if it is behind them, to be heard by its controller (sheet 6, lock-out).
    """

    def __init__(
        self,
        name: str,
        *,
        firmware: Firmware | None = None,
        mac: str | None = None,
        public_hosts: Iterable[str] = (),
        lans: Sequence[str] = ("192.168.0.1/24",),
        phase: Phase = "connected",
        delay: float = 0.0,
        lag: float = 0.0,
        opens_lan: bool = True,
        boot_seconds: float = 60.0,
        controller_at: str | None = None,
    ) -> None:
        self.name = name
        self.firmware = firmware or Firmware()
        self.mac = mac or "AA-BB-CC-" + "-".join(f"{byte:02X}" for byte in next(_macs).to_bytes(3, "big"))
        self.public_hosts = frozenset(public_hosts)
        self.addresses = tuple(lans)
        self.delay, self.lag, self.boot_seconds = delay, lag, boot_seconds
        self.opens_lan = opens_lan
        self.controller_at = controller_at
        self.failing_deliveries = 0
        self.arrives: Callable[[tuple[Tunnel, ...]], tuple[Tunnel, ...]] | None = None
        self.ether: Ether | None = None
        self.strictness = Strictness()
        self.port_forwards: dict[int, int] = {}
        self.row_ids: dict[str, str] = {}
        self._clock = Clock()
        self._phase: Phase = phase
        self._until: float | None = None
        self._stored: tuple[Tunnel, ...] = ()
        self._running: tuple[Tunnel, ...] = ()
        self._due: float | None = None
        self._written = 0.0
        self._unheard: float | None = None
        self._attached = False
        self._lock = threading.RLock()  # never taken in what the ether calls

    # --- life ----------------------------------------------------------------------------------------------------------

    def join(self, ether: Ether | None, clock: Clock, strictness: Strictness) -> None:
        """Get a clock and, if there is one, an ether."""
        self.ether, self._clock, self.strictness = ether, clock, strictness
        self._power()

    def leave(self) -> None:
        """Off the ether."""
        if self._attached and self.ether is not None:
            self._attached = False
            self.ether.detach(self)

    @property
    def phase(self) -> Phase:
        """Where it stands with its controller, deliveries apart."""
        return self._phase

    def enter(self, phase: Phase, seconds: float | None = None) -> None:
        """Be in this phase, for so many seconds, else until told otherwise. Coming back, it gets what was stored meanwhile."""
        with self._lock:
            self._phase = phase
            self._until = None if seconds is None else self._clock.now() + seconds
            self._due = None
            self._power()
            if phase == "connected" and self._stored != self._running:
                self._begin()
            self.tick()

    def reboot(self) -> None:
        """Tunnels, counters and row ids start again; what runs comes from flash, what is stored is delivered afterwards."""
        self.row_ids.clear()
        self.enter("rebooting", self.boot_seconds)

    def force_provision(self) -> None:
        """Everything is pushed again; traffic is interrupted (sheet 5)."""
        with self._lock:
            self._phase, self._until = "provisioning", self._clock.now() + self.delay
            self._due = None
            for tunnel in self._running:
                self._forget(tunnel.name, tunnel.peers)
            self.tick()

    def upgrade(self, firmware: Firmware, seconds: float = 300.0) -> None:
        """Another firmware runs when the upgrade is over; tunnels are down meanwhile."""
        self.row_ids.clear()
        self.firmware = firmware
        self.enter("upgrading", seconds)

    def _power(self) -> None:
        if self.ether is None:
            return
        if self._phase in OFF and self._attached:
            self.leave()
        elif self._phase not in OFF and not self._attached:
            self._attached = True
            self.ether.attach(self)

    # --- delivery ------------------------------------------------------------------------------------------------------

    def store(self, tunnels: tuple[Tunnel, ...]) -> None:
        """The controller's copy is now this. It is delivered after the delay, or when the gateway is there again."""
        with self._lock:
            self._stored = tunnels
            if self._phase == "connected" and self._unheard is None:
                self._begin()
                self.tick()

    def _begin(self) -> None:
        """A write during a delivery starts it again: the longest that a driver can have to wait."""
        self._written = self._clock.now()
        self._due = self._written + self.delay

    @property
    def next(self) -> float | None:
        """When something is due, on the clock; None if nothing is."""
        return min((at for at in (self._due, self._until) if at is not None), default=None)

    def tick(self) -> None:
        """Let what is due happen."""
        with self._lock:
            now = self._clock.now()
            if self._until is not None and self._until <= now:
                self._come_back(now)
            self._listen(now)
            if self._due is not None and self._due <= self._clock.now():
                self._due = None
                self._arrive()

    def _come_back(self, now: float) -> None:
        came_from, self._phase, self._until = self._phase, "connected", None
        self._power()
        if came_from == "provisioning":
            self._due = now
        elif came_from == "upgrading" or self._stored != self._running:
            self._begin()

    def _listen(self, now: float) -> None:
        """Is it still heard, if its way to the controller leads through its own tunnels?"""
        if self.controller_at is None or self.ether is None or self._phase in OFF:
            return
        heard = self.ether.ping(self, None, self.controller_at)
        if not heard and self._unheard is None:
            self._unheard, self._due = now, None
        elif heard and self._unheard is not None:
            self._unheard = None
            if self._phase == "connected" and self._stored != self._running:
                self._begin()

    def _arrive(self) -> None:
        """`arrives`, when a test sets it, says what the gateway makes of what it is sent."""
        if self.failing_deliveries > 0:
            self.failing_deliveries -= 1
            return  # the controller shows 14 again all the same: only statistics tell (sheet 5)
        before = {tunnel.id: tunnel for tunnel in self._running}
        # Settings that the firmware cannot run wait for one that can (sheet 4, featureState 1).
        now = tuple(self._resolved(tunnel) for tunnel in self._stored) if self.firmware.wireguard else ()
        if self.arrives is not None:
            now = self.arrives(now)
        self._running = now
        for tunnel in now:
            self._disturb(before.pop(tunnel.id, None), tunnel)
        for tunnel in before.values():
            self._forget(tunnel.name, tunnel.peers)
        if self.ether is not None and self._attached:
            self.ether.touch(self)

    def _resolved(self, tunnel: Tunnel) -> Tunnel:
        """Names become addresses when settings arrive, and stay so (whether it looks again is unverified, sheet 4)."""
        if self.strictness.reresolves or self.ether is None:
            return tunnel
        return replace(tunnel, peers=tuple(self._looked_up(peer) for peer in tunnel.peers))

    def _looked_up(self, peer: Peer) -> Peer:
        if not peer.end_point or is_address(peer.end_point) or self.ether is None:
            return peer
        found = self.ether.resolve(peer.end_point)
        return peer if found is None else replace(peer, end_point=found)

    def _disturb(self, before: Tunnel | None, after: Tunnel) -> None:
        if before is None or before == after:
            return
        interface = replace(before, peers=()) != replace(after, peers=())
        if interface or self.strictness.flap == "interface":
            self._forget(before.name, before.peers)
            return
        kept = {_session_of(peer) for peer in after.peers}
        self._forget(before.name, [peer for peer in before.peers if _session_of(peer) not in kept])

    def _forget(self, interface: str, peers: Iterable[Peer]) -> None:
        if self.ether is not None:
            for peer in peers:
                self.ether.forget(self, interface, peer.public_key)

    @property
    def running(self) -> tuple[Tunnel, ...]:
        """What runs on the gateway."""
        return self._running

    @property
    def delivered(self) -> bool:
        """True if what runs is what is stored. No read of the API says so."""
        return len(self._running) == len(self._stored) and all(
            self._resolved(stored) == running for stored, running in zip(self._stored, self._running, strict=True)
        )

    @property
    def status(self) -> tuple[int, int]:
        """`status` and `detailStatus`."""
        status, detail = PHASES[self._shown]
        if self._shown == "connected" and self._due is not None and self._clock.now() >= self._written + self.lag:
            detail = CONFIGURING
        return status, detail

    @property
    def connected(self) -> bool:
        """True if the controller can reach it."""
        return PHASES[self._shown][0] == 1

    @property
    def _shown(self) -> Phase:
        if self._phase != "connected" or self._unheard is None:
            return self._phase
        return "heartbeat missed" if self._clock.now() - self._unheard < MISSED_SECONDS else "offline"

    # --- what the controller shows -------------------------------------------------------------------------------------

    def row(self) -> Json:
        """Of the device list."""
        status, detail = self.status
        return {
            "mac": self.mac,
            "name": self.name,
            "type": "gateway",
            "model": self.firmware.model,
            "showModel": f"{self.firmware.model} v1.0",
            "firmwareVersion": self.firmware.version,
            "ip": self.addresses[0].partition("/")[0] if self.addresses else "",
            "status": status,
            "detailStatus": detail,
        }

    def row_id(self, key: str) -> str:
        """Id of a status row: numeric, of its own, new after a reboot."""
        return self.row_ids.setdefault(key, str(next(_rows)))

    def handshake(self, tunnel: Tunnel, peer: Peer) -> Handshake | None:
        """The latest of this peer, None if there never was one."""
        return None if self.ether is None else self.ether.handshake(self, tunnel.name, peer.public_key)


def _session_of(peer: Peer) -> tuple[object, ...]:
    """What a session hangs on. The id is one of it: a peer that was replaced is a new one."""
    return (peer.id, peer.public_key, peer.preshared_key or None, peer.end_point, peer.end_point_port, peer.status)
