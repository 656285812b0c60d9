"""A look before the first write: what is written back whole is still what was read. There is no revision (sheet 5)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from ... import Http, Rejected, Reply


@dataclass(frozen=True, slots=True)
class Unchanged(Http):
    """Ask again for an object, or for the rows with these `ids` of a list; it is to have the `seen` digest."""

    what: str = ""
    seen: str = ""
    ids: tuple[str, ...] = ()


def digest(value: object) -> str:
    """Of JSON as it came, secrets included: a private key, which nobody guesses, is always one of them or none is."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def of_rows(digests: Mapping[str, str], ids: tuple[str, ...]) -> str:
    """Of some rows of a list, by the digest of each."""
    return digest({one: digests.get(one) for one in ids})


def compare(request: Unchanged, reply: Reply) -> None:
    """Raises Rejected if somebody was at it meanwhile."""
    result = reply.data.get("result") if isinstance(reply.data, Mapping) else None
    if request.ids:
        rows = result.get("data") or () if isinstance(result, Mapping) else ()
        now = of_rows({str(row.get("id")): digest(row) for row in rows if isinstance(row, Mapping)}, request.ids)
    else:
        now = digest(result)
    if now != request.seen:
        raise Rejected(
            f"{request.what} was changed by somebody else since it was read, and would be written back as it was",
            "nothing was written over it; see the audit log of the site, then run `fleet sync` again",
        )
