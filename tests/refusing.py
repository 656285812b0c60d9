"""A device that refuses what strict routers refuse, and sends the changes of one batch in the worst order."""

from __future__ import annotations

from fleet.changes import AddAddress, AddInterface, AddPeer, AddRoute, Batch, Change, RemoveInterface, SetInterface, SetPeer
from fleet.diff import apply_changes
from fleet.model import Configuration, Interface


class Refused(AssertionError):
    """What a router would have said no to."""


class RefusingDevice:
    """Holds a configuration; an allowed IP, a route, an address, a port has one owner at any time."""

    def __init__(self, configuration: Configuration, *, empty_allowed_ips: bool = True) -> None:
        self.configuration = configuration
        self._empty_allowed_ips = empty_allowed_ips

    def apply(self, batches: tuple[Batch, ...]) -> None:
        """Every batch, its changes once as given and once in reverse: both must be accepted and end alike."""
        for batch in batches:
            backwards = self._after(tuple(reversed(batch)))
            self.configuration = self._after(batch)
            assert backwards == self.configuration

    def _after(self, batch: Batch) -> Configuration:
        configuration = self.configuration
        for change in batch:
            self._check(configuration, change)
            configuration = apply_changes(configuration, [change])
        return configuration

    def _check(self, configuration: Configuration, change: Change) -> None:
        interface = configuration.get(change.interface)
        if isinstance(change, AddInterface):
            if interface is not None:
                raise Refused(f"{change}: exists")
            self._port_is_free(configuration, change.wanted)
            return
        if interface is None:
            raise Refused(f"{change}: no such interface")
        if isinstance(change, SetInterface):
            self._port_is_free(configuration, change.wanted)
        if isinstance(change, AddPeer | SetPeer):
            self._peer(interface, change)
        if isinstance(change, AddRoute):
            for other in configuration.values():
                if change.wanted.prefix in other.routes:
                    raise Refused(f"{change}: exists on {other.name}")
        if isinstance(change, AddAddress):
            for other in configuration.values():
                if other.name != change.interface and change.address.ip in {address.ip for address in other.addresses}:
                    raise Refused(f"{change}: exists on {other.name}")
        if isinstance(change, RemoveInterface):
            return

    def _peer(self, interface: Interface, change: AddPeer | SetPeer) -> None:
        wanted = change.wanted
        exists = wanted.public_key in interface.peers
        if exists == isinstance(change, AddPeer):
            raise Refused(f"{change}: {'exists' if exists else 'no such peer'}")
        if isinstance(change, SetPeer) and interface.peers[wanted.public_key] != change.old:
            raise Refused(f"{change}: the peer is not what the change says it was")
        if not wanted.allowed_ips and not self._empty_allowed_ips:
            raise Refused(f"{change}: allowed IPs may not be empty")
        for other in interface.peers.values():
            if other.public_key != wanted.public_key and other.allowed_ips & wanted.allowed_ips:
                raise Refused(f"{change}: {other.label} owns {other.allowed_ips & wanted.allowed_ips}")

    def _port_is_free(self, configuration: Configuration, wanted: Interface) -> None:
        for other in configuration.values():
            if other.name != wanted.name and other.listen_port == wanted.listen_port:
                raise Refused(f"port {wanted.listen_port} is used by {other.name}")
