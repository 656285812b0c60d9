"""The controllers of `/api/wireguard` (sheet 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .call import Action, Actions, Call
from .fields import failures, updated
from .records import FAILED, failed
from .store import copied
from .wgbuilder import Generator
from .wgmodels import GENERAL, flag
from .wgrecords import Servers

if TYPE_CHECKING:
    from .box import Box


class General:
    """`general/get` and `general/set`."""

    def __init__(self, box: Box) -> None:
        self._box, self._fields = box, (flag("enabled", "0"),)

    def get(self, call: Call) -> object:
        """On or off; `[]` when this is no GET."""
        return {"general": dict(self._box.store.current[GENERAL][""])} if call.got else []

    def set(self, call: Call) -> object:
        """Stored; nothing is started."""
        posted = call.root("general")
        if posted is None:
            return FAILED
        self._box.may_write(call)
        draft = copied(self._box.store.current)
        values = updated(self._fields, draft[GENERAL][""], posted, self._box.release)
        wrong = failures(self._fields, values, "general", self._box, draft)
        if wrong:
            return failed(wrong)
        draft[GENERAL][""] = values
        self._box.save(call, draft)
        return {"result": "saved"}


def actions(box: Box) -> Actions:
    """Every endpoint of the sheet's table that this release has."""
    servers, clients, general = Servers(box), Generator(box), General(box)
    prefix = "wireguard"
    found = {
        f"{prefix}/general/get": Action(general.get),
        f"{prefix}/general/set": Action(general.set),
        f"{prefix}/server/get": Action(servers.get_tree),
        f"{prefix}/server/set": Action(servers.set_tree),
        f"{prefix}/client/get": Action(clients.get_tree),
        f"{prefix}/client/set": Action(clients.set_tree),
        **servers.actions(f"{prefix}/server", "server"),
        **clients.actions(f"{prefix}/client", "client"),
        f"{prefix}/server/setserver": Action(servers.set),
    }
    if box.release.since(23, 7):
        found[f"{prefix}/server/keypair"] = Action(servers.key_pair)
    if box.release.since(24, 1):
        found[f"{prefix}/client/psk"] = Action(clients.psk)
    if box.release.since(24, 1, 5):
        found[f"{prefix}/client/listservers"] = Action(clients.list_servers)
        found[f"{prefix}/client/getclientbuilder"] = Action(clients.get_builder)
        found[f"{prefix}/client/addclientbuilder"] = Action(clients.add_builder)
    if box.release.since(24, 1, 6):
        found[f"{prefix}/client/getserverinfo"] = Action(clients.get_server_info)
    return found
