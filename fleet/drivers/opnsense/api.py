"""The endpoints that are used, and what their replies mean (sheet 1 and 2.1). Actions in camelCase: every release takes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ... import Http, Rejected, Reply, Rest
from ...link import Body

DIALECT: Final = Rest(
    base="/api",
    basic=("{api_key}", "{api_secret}"),
    message="errorMessage",
    one_writer=True,  # before 25.1.3 parallel writes lose one another (sheet 7)
)

WG: Final = "/wireguard"
SERVERS: Final = f"{WG}/server/get"
CLIENTS: Final = f"{WG}/client/get"
SHOW: Final = f"{WG}/service/show"
RULES: Final = "/firewall/filter/searchRule"
JOBS: Final = "/cron/settings/searchJobs"
HISTORY: Final = "/core/backup/backups/this"

MISSING: Final = frozenset({400, 404})
"""An endpoint that this release does not have: 400 up to 24.1, 404 since (sheet 1)."""

RECONFIGURE_SECONDS: Final = 180.0
"""configd gives each of its calls 120 s (sheet 3)."""


@dataclass(frozen=True, slots=True)
class Unchanged(Http):
    """Ask again for the instances: those named by `uuids` are to have the `seen` digest."""

    uuids: tuple[str, ...] = ()
    seen: str = ""


def get(path: str, *, optional: bool = False) -> Http:
    """A read; `optional`: the release may not have it, or the account may not see it."""
    return Http("GET", path, reads=True, accept=MISSING | ({403} if optional else frozenset()))


def post(path: str, body: Body = None, timeout: float = 30.0) -> Http:
    """A write. A body is always sent: a JSON content type with an empty one is a 400 (sheet 1)."""
    return Http("POST", path, body={} if body is None else body, timeout=timeout)


def reconfigure() -> Http:
    """Load what is stored. It says ok whatever happens (sheet 3)."""
    return post(f"{WG}/service/reconfigure", timeout=RECONFIGURE_SECONDS)


def tree(data: object, *names: str) -> Mapping[str, Mapping[str, Any]]:
    """The records at a place of a reply by uuid; nothing is a list (sheet 2.1)."""
    for name in names:
        data = data.get(name) if isinstance(data, Mapping) else None
    return {str(key): one for key, one in data.items() if isinstance(one, Mapping)} if isinstance(data, Mapping) else {}


def digest(servers: Mapping[str, Mapping[str, Any]], uuids: tuple[str, ...]) -> str:
    """Of instances, without their private keys and without what other records say: options that are not selected."""
    kept = {
        uuid: {
            name: [key for key, option in value.items() if isinstance(option, Mapping) and int(option.get("selected") or 0)]
            if isinstance(value, Mapping)
            else value
            for name, value in servers.get(uuid, {}).items()
            if name != "privkey"
        }
        for uuid in uuids
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def judge(request: Http, reply: Reply) -> None:
    """Raises Rejected for a no that comes as 200 (sheet 1, 2.4), and for instances that are not what they were."""
    if isinstance(request, Unchanged):
        _compare(request, reply)
    if request.reads:
        return
    data = reply.data if isinstance(reply.data, Mapping) else {}
    validations = data.get("validations")
    if isinstance(validations, Mapping) and validations:
        said = "; ".join(f"{field}: {_words(words)}" for field, words in validations.items())
        raise Rejected(f"refused {request.path}: {said}", "change the inventory, then `fleet plan`", evidence=said)
    said = str(data.get("result", data.get("status", "")))
    if said == "failed" or not data:
        raise Rejected(
            f"refused {request.path} and did not say why",
            "if the record is gone, `fleet plan` reads what is there now; release 24.7.0 takes no JSON at all: upgrade",
            evidence=said,
        )


def _words(words: object) -> str:
    return " ".join(map(str, words)) if isinstance(words, list) else str(words)


def _compare(request: Unchanged, reply: Reply) -> None:
    if digest(tree(reply.data, "server", "servers", "server"), request.uuids) != request.seen:
        raise Rejected(
            "an instance of WireGuard was changed by somebody else since it was read",
            "nothing was written over it; who it was is in System > Configuration > History; then run `fleet sync` again",
        )
