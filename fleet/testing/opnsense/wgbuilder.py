"""The peer generator of `/api/wireguard/client` (sheet 2.1)."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

from .call import Call
from .checks import is_address
from .records import FAILED, failed
from .store import Record, copied
from .wgmodels import CLIENTS, SERVERS
from .wgrecords import Clients


class Generator(Clients):
    """Peers, and what the generator asks for."""

    def psk(self, call: Call) -> object:
        """A preshared key."""
        return {"psk": self.box.new_psk(), "status": "ok"}

    def list_servers(self, call: Call) -> object:
        """Instances by name; only GET."""
        if not call.got:
            return {"status": "failed"}
        rows = [{"uuid": key, "name": record["name"]} for key, record in self.box.store.current[SERVERS].items()]
        return {"rows": rows, "status": "ok"}

    def get_server_info(self, call: Call) -> object:
        """What a new peer of an instance needs to know; only GET."""
        record = self.box.store.current[SERVERS].get(call.parameter() or "")
        if record is None or not call.got:
            return {"status": "failed"}
        return {
            "status": "ok",
            "endpoint": record["endpoint"],
            "peer_dns": record["peer_dns"],
            "mtu": record["mtu"],
            "pubkey": record["pubkey"],
            "address": ",".join(self._free(record)),
        }

    def _free(self, server: Record) -> list[str]:
        """The next free host of the first subnet of each family. For IPv6 it begins at the network itself (sheet 2.1)."""
        used = {entry.split("/")[0] for record in self.box.store.current[CLIENTS].values() for entry in _list(record)}
        used |= {entry.split("/")[0] for entry in _list(server)}
        found: dict[int, str] = {}
        for entry in _list(server):
            if not is_address(entry.split("/")[0]):
                continue
            network = ip_interface(entry).network
            first = int(network.network_address) + (network.version == 4)
            if network.version not in found:
                candidates = (str(ip_address(number)) for number in range(first, first + min(network.num_addresses, 65536)))
                free = next((one for one in candidates if one not in used), None)
                if free is not None:
                    found[network.version] = f"{free}/{network.max_prefixlen}"
        return list(found.values())

    def get_builder(self, call: Call) -> object:
        """A template."""
        config = self.box.store.current
        return {"configbuilder": self.shown(config, "", self.fresh(config))}

    def add_builder(self, call: Call) -> object:
        """A peer of one instance; the reply has no uuid (sheet 2.1)."""
        posted = call.root("configbuilder")
        if posted is None:
            return FAILED
        self.box.may_write(call)
        draft, key = copied(self.box.store.current), self.box.new_uuid()
        wrong = self.merge(draft, key, posted, "configbuilder")
        if wrong:
            return failed(wrong)
        self.link(draft, key, [str(posted.get("server") or "")])
        self.box.save(call, draft)
        return {"result": "saved"}


def _list(record: Record) -> list[str]:
    return [entry for entry in record["tunneladdress"].split(",") if entry]
