"""`/api/firewall`: rules are stored, then applied; savepoints between the two (sheet 4 and 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .call import Action, Actions, Call
from .pf import PacketFilter
from .rules import ALIASES, RULES, SNAT, aliases, filter_rules, source_nat
from .store import Config, copied

if TYPE_CHECKING:
    from .box import Box

ROLLBACK_AFTER: Final = 60.0
"""Seconds until an apply with a revision is undone (sheet 5)."""


class Filter:
    """What is stored, what runs, and the savepoints between them."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._rules, self._snat, self._aliases = filter_rules(box), source_nat(box), aliases(box)
        self.loaded = PacketFilter()
        self._pending: dict[str, bool] = {}

    def actions(self) -> Actions:
        """Every endpoint of this release."""
        release = self._box.release
        found = {
            **self._rules.actions("firewall/filter", "rule"),
            "firewall/filter/apply": Action(self.apply),
            **self._aliases.actions("firewall/alias", "item"),
            "firewall/alias/reconfigure": Action(self._alias_reconfigure),
        }
        if release.since(24, 1):
            found |= self._snat.actions("firewall/sourcenat", "rule")
            found["firewall/sourcenat/apply"] = Action(self.apply)
        if release.since(24, 1) and not release.since(26, 7):
            found["firewall/filter/savepoint"] = Action(self.savepoint)
            found["firewall/filter/cancelrollback"] = Action(self.cancel, 1)
            found["firewall/filter/revert"] = Action(self.revert, 1)
        return found

    # --- apply and roll back --------------------------------------------------------------------------------------------

    def apply(self, call: Call) -> object:
        """Load the stored rules; with a revision, go back to it in 60 seconds unless that is cancelled (sheet 5)."""
        if not call.posted:
            return {"status": "error"}
        self.reload()
        revision = call.parameter()
        if revision is not None and not self._box.release.since(26, 7):
            self._pending[revision] = True
            self._box.at(self._box.clock.now() + ROLLBACK_AFTER, lambda: self._undo(revision))
        return {"status": "OK\n\n"}

    def savepoint(self, call: Call) -> object:
        """A revision; its name in the reply often is not the file's (sheet 5: 28 of 30 on 24.7, none on 25.7 and 26.1)."""
        if not call.posted:
            return {"status": "error"}
        self._box.may_write(call)
        self._box.save(call, copied(self._box.store.current))
        return {"status": "ok", "retention": "100", "revision": self._box.store.revisions[0].time}

    def cancel(self, call: Call) -> object:
        """Stop the timer."""
        if not call.posted:
            return {"status": "error"}
        self._pending.pop(call.parameter() or "", None)
        return {"status": "OK\n\n"}

    def revert(self, call: Call) -> object:
        """Go back now."""
        revision = call.parameter() or ""
        if call.posted:
            self._pending[revision] = True
            self._undo(revision)
        return {"status": "OK\n\n" if call.posted else "error"}

    def _undo(self, revision: str) -> None:
        """Only the filter's rules come back, and only if the file exists."""
        if not self._pending.pop(revision, False):
            return
        found = self._box.store.revision(f"config-{revision}.xml")
        if found is not None:
            draft = copied(self._box.store.current)
            draft[RULES] = dict(found.config[RULES])
            self._box.store.commit(draft, "root", "firewall rollback")
            self.reload()

    def reload(self) -> None:
        """What is stored runs now."""
        config = self._box.store.current
        enabled = [record for record in config[RULES].values() if record.get("enabled") == "1"]
        self.loaded = PacketFilter(
            tuple(sorted(enabled, key=lambda record: int(record["sequence"]))),
            tuple(record for record in config[SNAT].values() if record.get("enabled") == "1"),
            _lists(config),
            dict(config["interfaces"]),
            self._box.open_wan,
        )
        self._box.changed()

    def _alias_reconfigure(self, call: Call) -> object:
        if not call.posted:
            return {"status": "failed"}
        self.loaded = replace(self.loaded, lists=_lists(self._box.store.current))
        self._box.changed()
        return {"status": "ok"}


def _lists(config: Config) -> dict[str, tuple[str, ...]]:
    return {one["name"]: tuple(one["content"].split()) for one in config[ALIASES].values() if one["enabled"] == "1"}
