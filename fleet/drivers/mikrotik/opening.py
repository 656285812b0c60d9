"""Openings as commands: add what is missing, enable and move what does not hold, remove what is stale."""

from __future__ import annotations

from collections.abc import Sequence

from ... import Mark, Opening, RouterPlan, Words
from . import rules
from .commands import rule_removals, set_row
from .meaning import Native
from .parting import rule_disablings
from .rules import Owned, Rule


class OpeningWriter:
    """Writes the rules of openings for one plan against one read. Pure.

    With a `tag` a guard is armed: rules are then only made, with the tag, and disabled. One that must be enabled or moved
    is made anew, so that the undo finds the old one where and as it was.
    """

    def __init__(self, plan: RouterPlan, native: Native, mark: Mark, tag: str = "") -> None:
        self._plan = plan
        self._native = native
        self._mark = mark
        self._tag = tag

    def opened(self, interface: str, opening: Opening) -> tuple[list[Words], list[Words]]:
        """What brings the rules of an opening about: now, and when that is in place."""
        owned = list(self._native.owned.get((interface, opening.identity), ()))
        accepts: list[Words] = []
        drops: list[Words] = []
        for rule in self._rules(interface, opening):
            found = next((each for each in sorted(owned, key=lambda each: not each.holds) if rules.says(each, rule)), None)
            if found is not None and (found.holds or not (rule.last or self._tag)):
                owned.remove(found)
                accepts += self._repaired(found, rule, interface, opening)
            else:
                (drops if rule.last else accepts).append(self._add_rule(rule, interface, opening))
        stale = self.gone(owned)
        return ([*accepts, *stale], drops) if accepts else ([*drops, *stale], [])

    def gone(self, owned: Sequence[Owned]) -> list[Words]:
        """Rules that are wanted no longer: removed, under a guard disabled."""
        return rule_disablings(owned) if self._tag else rule_removals(owned)

    def _rules(self, interface: str, opening: Opening) -> list[Rule]:
        wanted = self._plan.desired.get(interface)
        held = self._native.addresses.get(interface, ())
        addresses = wanted.addresses if wanted is not None and wanted.addresses else [address for address, _ in held]
        return rules.rules_for(opening, interface, rules.own_families(addresses), self._native.underlay)

    def _repaired(self, found: Owned, rule: Rule, interface: str, opening: Opening) -> list[Words]:
        """Enable a rule of ours that was disabled, move one that stands too low; nothing if it holds."""
        requests = []
        if not found.enabled:
            requests.append(set_row(found.menu, found.row, ("disabled", "no")))
        place = self._place(rule, interface, opening)
        if not found.placed and place is not None:
            requests.append(Words(f"{found.menu}/move", (("numbers", found.id), ("destination", place))))
        return requests

    def _add_rule(self, rule: Rule, interface: str, opening: Opening) -> Words:
        comment = rules.comment_of(self._mark, interface, opening.identity, self._tag)
        place = self._place(rule, interface, opening)
        before = (("place-before", place),) if place is not None else ()
        return Words(f"{rule.menu}/add", (*rule.words, ("comment", comment), *before))

    def _place(self, rule: Rule, interface: str, opening: Opening) -> str | None:
        """The id to stand before: the first rule of others in the way, or for an accept its own drop if that comes sooner."""
        table = self._native.tables[rule.menu]
        before = [table.anchor(rule)]
        if not rule.last:
            owned = self._native.owned.get((interface, opening.identity), ())
            before += [each.id for each in owned if each.menu == rule.menu and each.row.get("action") == "drop" and each.holds]
        return table.first(before)
