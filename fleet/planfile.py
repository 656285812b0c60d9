"""Plan files: what was reviewed is what runs.

A plan is written with its fingerprint and an HMAC of the fleet secret, and is good for 24 hours. Running it plans again from
fresh reads and refuses when anything moved: the inventory, a router, or the file itself.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
from dataclasses import dataclass
from pathlib import Path

from . import keys
from .errors import PlanRefused, UsageError
from .model import Secret

VALID = dt.timedelta(hours=24)
FORMAT = 1
_PURPOSE = "plan file"


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A reviewed plan: which fleet, which routers were selected, and the fingerprint of what was shown.

    `back_to` is the run that it goes back to, empty for the inventory.
    """

    overlay: str
    fingerprint: str
    names: tuple[str, ...]
    only: bool
    limit: str
    created: dt.datetime
    actor: str
    shown: object
    """The plan as JSON, for the people and pipelines that read the file."""
    back_to: str = ""


def write(path: Path, plan: PlanFile, fleet_secret: Secret) -> None:
    """Write the file, signed. Raises UsageError if it cannot be written."""
    content = {
        "format": FORMAT,
        "overlay": plan.overlay,
        "fingerprint": plan.fingerprint,
        "names": list(plan.names),
        "only": plan.only,
        "limit": plan.limit,
        "created": plan.created.isoformat(timespec="seconds"),
        "actor": plan.actor,
        "plan": plan.shown,
        "back_to": plan.back_to,
    }
    signed = {**content, "signature": keys.sign(fleet_secret, _PURPOSE, _bytes(content))}
    try:
        path.write_text(json.dumps(signed, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "check the path after --out") from None


def read(path: Path, overlay: str, fleet_secret: Secret, now: dt.datetime | None = None) -> PlanFile:
    """Read and verify a plan file.

    Raises UsageError for a file that is none, PlanRefused for one that was edited, expired, or is of another fleet.
    """
    content = _content(path)
    signature = content.pop("signature", None)
    if content.get("overlay") != overlay:
        raise PlanRefused(f"{path} is a plan of overlay {content.get('overlay')!r}, this is {overlay}", "plan this fleet")
    expected = keys.sign(fleet_secret, _PURPOSE, _bytes(content))
    if not isinstance(signature, str) or not hmac.compare_digest(signature, expected):
        raise PlanRefused(
            f"{path} was edited after it was planned, or planned with another fleet secret", "plan again: fleet plan --out FILE"
        )
    created = dt.datetime.fromisoformat(str(content["created"]))
    age = (now or dt.datetime.now(dt.UTC)) - created
    if age > VALID or age < -dt.timedelta(minutes=5):
        raise PlanRefused(
            f"{path} was planned {created:%Y-%m-%d %H:%M} UTC and is good for 24 hours", "plan again: fleet plan --out FILE"
        )
    names = content["names"]
    return PlanFile(
        overlay=overlay,
        fingerprint=str(content["fingerprint"]),
        names=tuple(map(str, names)) if isinstance(names, list) else (),
        only=bool(content["only"]),
        limit=str(content["limit"]),
        created=created,
        actor=str(content["actor"]),
        shown=content["plan"],
        back_to=str(content.get("back_to", "")),
    )


def _content(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path after --plan") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"{path} is no plan file of this fleet version", "make one with `fleet plan --out FILE`")
    return content


def _bytes(content: dict[str, object]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
