"""Openings as rules: which rule sets and NAT rules of this router stand in the way, and what is written into them.

Where nothing is closed nothing is written: the records say that it was wanted. A rule of ours goes before the first rule that
drops, under a free number (sheet 4). Management through the tunnel has a rule set of its own, bound to the tunnel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ...errors import Unsupported
from ...model import ClampMss, Forward, IPNetwork, ListenPort, Management, Mark, NoMasquerade, Opening, sorted_networks
from .tree import Edit, Path, Tree

Kind: TypeAlias = Literal["name", "ipv6-name"]

OVERHEAD: Final = 40
"""Bytes of the IPv4 and TCP headers between MTU and MSS."""

_LAST: Final = 9999


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of ours. `where` is the path of the rules it is among, `place` how its number is chosen."""

    where: Path
    description: str
    leaves: tuple[Path, ...]
    place: Literal["before drop", "last", "before nat"] = "before drop"


def own_set(interface: str, kind: Kind) -> str:
    """The name of the rule set that we bind to a tunnel."""
    return f"FLEET_{interface}_LOCAL" + ("6" if kind == "ipv6-name" else "")


# ------------------------------------------------------------------------------------------------- what is in the way
def bound(tree: Tree, direction: str, kind: Kind) -> dict[str, str]:
    """Rule sets bound in a direction, by interface as people name it; those of WireGuard interfaces left out."""
    found = {}
    for path in tree.at("interfaces").leaves():
        if path[0] != "wireguard" and "firewall" in path:
            at = path.index("firewall")
            if path[at + 1 : at + 3] == (direction, kind) and len(path) == at + 4:
                found[" ".join(path[1:at])] = path[-1]
    return found


def local_sets(tree: Tree, kind: Kind, option: str | None) -> list[str]:
    """Rule sets for packets from the uplink to the router itself; several where nobody says which is the uplink's."""
    names = sorted(set(bound(tree, "local", kind).values()))
    chosen = option or ("WAN_LOCAL" if kind == "name" else "WANv6_LOCAL")
    return [chosen] if chosen in names else names


def tunnel_sets(tree: Tree, interface: str) -> dict[tuple[str, Kind], str]:
    """Rule sets bound to a tunnel, by direction and kind."""
    kinds: tuple[Kind, ...] = ("name", "ipv6-name")
    found: dict[tuple[str, Kind], str] = {}
    for direction in ("in", "out", "local"):
        for kind in kinds:
            name = tree.value("interfaces", "wireguard", interface, "firewall", direction, kind)
            if name is not None:
                found[direction, kind] = name
    return found


def zones(tree: Tree) -> bool:
    """True where zones rule instead of rule sets bound to interfaces."""
    return bool(tree.names("zone-policy", "zone"))


def masquerading(tree: Tree, interface: str) -> list[int]:
    """Numbers of NAT rules that would translate what leaves by this interface."""
    found = []
    for number in tree.names("service", "nat", "rule"):
        rule = tree.at("service", "nat", "rule", number)
        kind, out = rule.value("type"), rule.value("outbound-interface")
        translates = kind in {"masquerade", "source"} and not rule.has("exclude") and not rule.has("disable")
        if translates and out in (None, interface, "wg+", "any") and not _ours(rule):
            found.append(int(number))
    return sorted(found)


def _ours(rule: Tree) -> bool:
    return Mark.find(rule.value("description") or "") is not None


# --------------------------------------------------------------------------------------------------- what is expected
def expected(opening: Opening, tree: Tree, interface: str, mark: Mark, option: str | None) -> Iterator[Rule]:
    """The rules that this opening needs on this router."""
    label = f"{mark} {interface} {opening.identity}"
    match opening:
        case ListenPort():
            yield from _listening(opening, tree, label, option)
        case NoMasquerade():
            if masquerading(tree, interface):
                yield from _excluded(opening, interface, label)
        case Management():
            yield from _management(opening, tree, interface, label)
        case Forward() | ClampMss():
            return


def _listening(opening: ListenPort, tree: Tree, label: str, option: str | None) -> Iterator[Rule]:
    kinds: tuple[Kind, ...] = ("name", "ipv6-name")
    for kind in kinds:
        if opening.source is not None and opening.source.version != (4 if kind == "name" else 6):
            continue
        source: tuple[Path, ...] = (("source", "address", str(opening.source)),) if opening.source is not None else ()
        leaves = (("action", "accept"), ("protocol", "udp"), ("destination", "port", str(opening.port)), *source)
        for name in local_sets(tree, kind, option):
            yield Rule(("firewall", kind, name, "rule"), label, leaves)


def _excluded(opening: NoMasquerade, interface: str, label: str) -> Iterator[Rule]:
    leaves: tuple[Path, ...] = (("type", "masquerade"), ("outbound-interface", interface), ("exclude",))
    where = ("service", "nat", "rule")
    if not opening.prefixes:
        yield Rule(where, label, leaves, "before nat")
    for prefix in _networks(opening.prefixes, 4):
        yield Rule(where, f"{label} {prefix}", (*leaves, ("source", "address", str(prefix))), "before nat")


def _management(opening: Management, tree: Tree, interface: str, label: str) -> Iterator[Rule]:
    held = tunnel_sets(tree, interface)
    tcp: tuple[Path, ...] = (("protocol", "tcp"), ("destination", "port", str(opening.port)))
    for kind, version in (("name", 4), ("ipv6-name", 6)):
        sources = _networks(opening.sources, version)
        if version == 6 and not sources and not _has_ipv6(tree, interface):
            continue
        name = held.get(("local", kind), own_set(interface, kind))  # type: ignore[arg-type]  # literals above
        where = ("firewall", kind, name, "rule")
        for source in sources:
            yield Rule(where, f"{label} {source}", (("action", "accept"), *tcp, ("source", "address", str(source))))
        yield Rule(where, f"{label} else", (("action", "drop"), *tcp), "last")


def _has_ipv6(tree: Tree, interface: str) -> bool:
    return any(":" in address for address in tree.names("interfaces", "wireguard", interface, "address"))


def _networks(prefixes: Iterable[IPNetwork], version: int) -> list[IPNetwork]:
    return sorted_networks([prefix for prefix in prefixes if prefix.version == version])


# ------------------------------------------------------------------------------------------------------------- reading
def open_now(opening: Opening, tree: Tree, interface: str, mark: Mark, option: str | None) -> bool:
    """True if the router has everything that this opening needs."""
    if isinstance(opening, ClampMss):
        types = tree.names("firewall", "options", "mss-clamp", "interface-type")
        mss = tree.value("firewall", "options", "mss-clamp", "mss")
        return bool({"wg", "all"} & set(types)) and mss is not None and int(mss) <= opening.mtu - OVERHEAD
    if isinstance(opening, Management) and ("local", "name") not in tunnel_sets(tree, interface):
        return False
    return all(_standing(rule, tree) for rule in expected(opening, tree, interface, mark, option))


def _standing(rule: Rule, tree: Tree) -> bool:
    number = _numbered(rule, tree)
    return number is not None and _body(tree.at(*rule.where, number)) == frozenset(rule.leaves)


def _body(rule: Tree) -> frozenset[Path]:
    """What a rule says, without its text and without what the vendor adds by itself."""
    return frozenset(path for path in rule.leaves() if path[0] not in {"description", "log"})


def _numbered(rule: Rule, tree: Tree) -> str | None:
    for number in tree.names(*rule.where):
        if tree.value(*rule.where, number, "description") == rule.description:
            return number
    return None


def marked_rules(tree: Tree, overlay: str) -> Iterator[tuple[Path, str]]:
    """Every rule with a mark of this overlay: its path, and the interface that its description names."""
    places = [("firewall", kind, name, "rule") for kind in ("name", "ipv6-name") for name in tree.names("firewall", kind)]
    for where in [*places, ("service", "nat", "rule")]:
        for number in tree.names(*where):
            description = tree.value(*where, number, "description") or ""
            mark = Mark.find(description)
            if mark is not None and mark.overlay == overlay:
                words = description.split()
                yield (*where, number), words[1] if len(words) > 1 else ""


def identity_of(tree: Tree, path: Path) -> str:
    """Which opening a rule of ours is part of, by its description; empty if it does not say."""
    words = (tree.value(*path, "description") or "").split()
    return words[2] if len(words) > 2 else ""


# ------------------------------------------------------------------------------------------------------------- writing
def write_openings(
    edit: Edit, interface: str, openings: Mapping[str, Opening], mark: Mark, option: str | None, kept: frozenset[str]
) -> None:
    """Bring the rules of one interface to these openings. `kept` are identities that are somebody else's to write."""
    tree = edit.tree
    wanted = [rule for one in openings.values() for rule in expected(one, tree, interface, mark, option)]
    numbers: dict[Path, set[int]] = {}
    standing = {(*rule.where, _numbered(rule, tree)) for rule in wanted if _standing(rule, tree)}
    for path, owner in marked_rules(tree, mark.overlay):
        if owner == interface and path not in standing and not _kept(tree.value(*path, "description") or "", kept):
            edit.delete(*path)
    for rule in wanted:
        if not _standing(rule, tree):
            _insert(edit, rule, numbers.setdefault(rule.where, set()))
    _bind(edit, interface, any(isinstance(one, Management) for one in openings.values()), mark, wanted)
    for one in openings.values():
        if isinstance(one, ClampMss):
            _clamp(edit, one)


def _kept(description: str, kept: frozenset[str]) -> bool:
    words = description.split()
    return len(words) > 2 and words[2] in kept


def _insert(edit: Edit, rule: Rule, taken: set[int]) -> None:
    number = _free_number(edit.tree, rule, taken)
    taken.add(number)
    base = (*rule.where, str(number))
    edit.touched.append(base)
    for leaf in (*rule.leaves, ("description", rule.description)):
        edit.force("set", *base, *leaf)


def _free_number(tree: Tree, rule: Rule, taken: set[int]) -> int:
    """Raises Unsupported where there is no room before what stands in the way."""
    used = {int(number) for number in tree.names(*rule.where)} | taken
    if rule.place == "last":
        return next(number for number in range(max([*used, 8990]) // 10 * 10 + 10, _LAST + 1000) if number not in used)
    if rule.place == "before nat":
        first = min((number for number in used if number not in taken and _translates(tree, number)), default=_LAST)
        room = [number for number in range(first - 1, 4999, -1) if number not in used]
        if not room:
            raise Unsupported(
                f"no number is free between 5000 and NAT rule {first}, where an exclusion must stand",
                "move that rule to a higher number on the router, then run `fleet sync` again",
            )
        return room[0]
    drops = [number for number in used if tree.value(*rule.where, str(number), "action") in {"drop", "reject"}]
    if not drops:
        return next(number for number in range(max(used, default=0) // 10 * 10 + 10, _LAST) if number not in used)
    room = [number for number in range(min(drops) - 1, 0, -1) if number not in used]
    if not room:
        raise Unsupported(
            f"no number is free before rule {min(drops)} of {rule.where[2]}, which drops",
            "move that rule to a higher number on the router, then run `fleet sync` again",
        )
    return room[0]


def _translates(tree: Tree, number: int) -> bool:
    rule = tree.at("service", "nat", "rule", str(number))
    return rule.value("type") in {"masquerade", "source"} and not rule.has("exclude")


def _bind(edit: Edit, interface: str, manages: bool, mark: Mark, wanted: list[Rule]) -> None:
    kinds: tuple[Kind, ...] = ("name", "ipv6-name")
    binding = ("interfaces", "wireguard", interface, "firewall", "local")
    for kind in kinds:
        name = own_set(interface, kind)
        if manages and any(rule.where[1:3] == (kind, name) for rule in wanted):
            edit.leaf("firewall", kind, name, "default-action", value="accept")
            edit.leaf("firewall", kind, name, "description", value=f"{mark} {interface}")
            edit.leaf(*binding, kind, value=name)
        elif edit.tree.has("firewall", kind, name):
            if edit.tree.value(*binding, kind) == name:
                edit.delete(*((*binding, kind) if manages else _emptied(edit.tree, interface, binding)))
            edit.delete("firewall", kind, name)


def _emptied(tree: Tree, interface: str, binding: Path) -> Path:
    """The highest node that holds nothing but our bindings: an empty one would stay behind."""
    others = [key for key, name in tunnel_sets(tree, interface).items() if name != own_set(interface, key[1])]
    if not others:
        return binding[:-1]
    return binding if not any(direction == "local" for direction, _ in others) else (*binding, "name")


def _clamp(edit: Edit, opening: ClampMss) -> None:
    """One value for the whole router, PPPoE included: it is only lowered, and never removed (sheet 4)."""
    base = ("firewall", "options", "mss-clamp")
    if not {"wg", "all"} & set(edit.tree.names(*base, "interface-type")):
        edit.item(*base, "interface-type", "wg")
    mss = edit.tree.value(*base, "mss")
    if mss is None or int(mss) > opening.mtu - OVERHEAD:
        edit.leaf(*base, "mss", value=str(opening.mtu - OVERHEAD))
