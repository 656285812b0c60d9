"""What a sync confirmed is kept in the state: as the base for telling intent from drift, and to go back to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import snapshots
from .back import BackTo
from .errors import UsageError
from .fingerprint import fingerprint, objects
from .model import Configuration, Fleet
from .selection import Selection
from .state import KEEP_CONFIGURATIONS, Confirmation, State


def remember(state: State, overlay: str, confirmed: Mapping[str, tuple[Configuration, str]]) -> dict[str, str]:
    """Keep configuration and version by router; under which id each configuration is kept."""
    state.set_confirmed_all(
        overlay,
        {
            name: Confirmation(fingerprint(configuration, overlay), objects(configuration, overlay), version)
            for name, (configuration, version) in confirmed.items()
        },
    )
    ids = {name: snapshots.snapshot_id(configuration, overlay) for name, (configuration, _) in confirmed.items()}
    kept = state.configuration_ids(overlay)
    # A large mesh is not written out again for a run that changed nothing.
    new = {name: (one, snapshots.dump(confirmed[name][0])) for name, one in ids.items() if one not in kept.get(name, ())}
    again = {name: one for name, one in ids.items() if name not in new and kept[name][0] != one}
    state.keep_configurations(overlay, new, again)
    return ids


def back_to(state: State, fleet: Fleet, run: str, selection: Selection, contactable: Iterable[str]) -> BackTo:
    """What a run confirmed of the routers of a command. Raises UsageError: no such run, or a selected router is not in it."""
    overlay = fleet.overlay.name
    confirmed = state.confirmed_by(overlay, run)
    for name in fleet.routers:
        formerly = fleet.routers[name].formerly
        if formerly in confirmed:
            confirmed.setdefault(name, confirmed[formerly])
    wanted = [name for name in selection.names if name in confirmed and fleet.routers[name].enabled]
    kept = state.configurations(overlay, {name: confirmed[name] for name in wanted})
    missing = [name for name in contactable if name in selection.selected and name not in kept]
    if missing:
        raise _missing(run, missing, confirmed)
    try:
        loaded = {name: snapshots.load(text) for name, text in kept.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"what run {run} confirmed cannot be read by this version of fleet: {error}",
            "go back in the inventory's own history instead, and run `fleet sync`",
        ) from None
    return BackTo(run, loaded, frozenset(confirmed))


def _missing(run: str, missing: list[str], confirmed: Mapping[str, str]) -> UsageError:
    name = missing[0]
    more = f" (nor of {', '.join(missing[1:4])}{' and more' if len(missing) > 4 else ''})" if len(missing) > 1 else ""
    why = (
        f"kept are the last {KEEP_CONFIGURATIONS} configurations of a router"
        if name in confirmed
        else "that run did not confirm it, or did so only in part, for the sake of another"
    )
    without = ",".join(f"!{one}" for one in missing)
    return UsageError(
        f"there is no configuration of {name}{more} from run {run} to go back to: {why}",
        f"`fleet history {run}` shows what became of each router in it; for the others: --limit '{without}'",
    )
