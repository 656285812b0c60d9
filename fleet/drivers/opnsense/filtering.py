"""Openings as writes to the firewall: what comes before what goes, and a note while it is not applied."""

from __future__ import annotations

from ... import AddOpening, Batch, Http, RemoveInterface, RemoveOpening, RouterPlan, SetOpening, Step
from . import rules
from .api import post
from .meaning import Native, surplus_rules

FILTER = "/firewall/filter"


class Filtering:
    """Renders the openings of one plan, and keeps forwards in step with what lies beyond the tunnel."""

    def __init__(self, plan: RouterPlan, native: Native) -> None:
        self._plan = plan
        self._native = native
        self._changes: list[AddOpening | SetOpening | RemoveOpening] = []

    def take(self, change: AddOpening | SetOpening | RemoveOpening) -> None:
        """One more."""
        self._changes.append(change)

    def opened(self) -> list[Batch]:
        """New rules, then apply. A note goes first: no read tells whether rules are applied."""
        added: list[Step] = []
        for change in self._changes:
            if isinstance(change, RemoveOpening):
                continue
            missing = self._missing(change.interface, change.wanted.identity)
            added.append(Step(str(change), tuple(self._add(change.interface, rule) for rule in missing), (change,)))
        for interface, rule in self._followed():
            added.append(Step(f"{interface}: let through what is {rule.source} > {rule.target}", (self._add(interface, rule),)))
        if not any(step.requests for step in added):
            return [tuple(added)] if added else []
        note = post(f"{FILTER}/addRule", {"rule": rules.pending(self._native.mark, self._native.options)})
        return [(Step("note that rules are being written", (note,)),), tuple(added), (self._applied(),)]

    def closed(self) -> list[Batch]:
        """Rules that nothing needs any more, then apply."""
        steps: list[Step] = []
        for change in self._changes:
            gone = self._surplus(change.interface, _identity(change))
            deletions = tuple(post(f"{FILTER}/delRule/{uuid}") for uuid in gone)
            if isinstance(change, RemoveOpening):
                steps.append(Step(str(change), deletions, (change,)))
            elif deletions:
                steps.append(Step(f"{change}: what was open before", deletions))
        handled = {(change.interface, _identity(change)) for change in self._changes}
        known = [pair for pair in self._known() if pair not in handled]
        loose = tuple(post(f"{FILTER}/delRule/{uuid}") for pair in known for uuid in self._surplus(*pair))
        if loose:
            steps.append(Step("close what is not reached through the tunnel any more", loose))
        if not steps:
            return []
        return [tuple(steps), (self._applied(),)] if any(step.requests for step in steps) else [tuple(steps)]

    def _add(self, interface: str, rule: rules.Rule) -> Http:
        return post(f"{FILTER}/addRule", {"rule": rule.fields(self._native.mark, interface, self._native.options)})

    def _applied(self) -> Step:
        return Step("apply the firewall's rules", (post(f"{FILTER}/apply", timeout=120.0),))

    # ------------------------------------------------------------------------------------------------------ comparing
    def _wanted(self, interface: str, identity: str) -> frozenset[rules.Rule]:
        """The rules of an opening as the plan wants it, or as it stands and is to stay."""
        desired = self._plan.desired.get(interface)
        if desired is None or self._goes(interface):
            return frozenset()
        opening = desired.openings.get(identity)
        if opening is None:
            return frozenset()
        return rules.wanted(opening, rules.beyond(desired, self._plan.target.overlay))

    def _goes(self, interface: str) -> bool:
        return any(isinstance(change, RemoveInterface) and change.interface == interface for change in self._plan.changes)

    def _seen(self, interface: str, identity: str) -> list[rules.SeenRule]:
        return [one for one in self._native.rules if one.rule and one.interface == interface and one.rule.identity == identity]

    def _missing(self, interface: str, identity: str) -> list[rules.Rule]:
        there = {one.rule for one in self._seen(interface, identity) if one.right}
        return rules.in_order(rule for rule in self._wanted(interface, identity) if rule not in there)

    def _surplus(self, interface: str, identity: str) -> list[str]:
        wanted = self._wanted(interface, identity)
        return [one.uuid for one in self._seen(interface, identity) if not one.right or one.rule not in wanted]

    def _known(self) -> list[tuple[str, str]]:
        """Openings that stand, of interfaces that this plan is about: their rules follow the peers."""
        about = {change.interface for change in self._plan.changes}
        pairs = {
            (one.interface, one.rule.identity)
            for one in self._native.rules
            if one.rule and one.interface in about and not self._left_alone(one.interface, one.rule.identity)
        }
        return sorted(pairs)

    def _left_alone(self, interface: str, identity: str) -> bool:
        """Somebody else's by `manage:`, and so no business of a plan."""
        if self._goes(interface):
            return False
        desired = self._plan.desired.get(interface)
        return desired is None or identity not in desired.openings

    def _followed(self) -> list[tuple[str, rules.Rule]]:
        handled = {(change.interface, _identity(change)) for change in self._changes}
        return [
            (interface, rule)
            for interface, name in self._known()
            if (interface, name) not in handled
            for rule in self._missing(interface, name)
        ]


def _identity(change: AddOpening | SetOpening | RemoveOpening) -> str:
    return (change.old if isinstance(change, RemoveOpening) else change.wanted).identity


def tidy(native: Native) -> list[Batch]:
    """Apply what may not be applied, delete what is not needed, apply again."""
    notes = [one.uuid for one in native.rules if one.rule is None]
    spare = surplus_rules(native)
    batches: list[Batch] = []
    apply = Step("apply the firewall's rules", (post(f"{FILTER}/apply", timeout=120.0),))
    if spare:
        batches.append((Step("delete rules that are not needed", tuple(post(f"{FILTER}/delRule/{uuid}") for uuid in spare)),))
    if notes or spare:
        batches.append((apply,))
    if notes:
        batches.append((Step("the rules are applied", tuple(post(f"{FILTER}/delRule/{uuid}") for uuid in notes)),))
    return batches
