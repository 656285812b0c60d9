"""What a logged-in API connection can ask the simulated router: verbs, permissions, masking (sheet 1.4 to 1.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .queries import BadQuery, matcher
from .schema import Version
from .tables import Row, Table
from .values import Refused

if TYPE_CHECKING:
    from .simulator import RouterosSimulator

MASK: Final = "*****"
WRITES: Final = frozenset({"add", "set", "remove", "enable", "disable", "comment", "unset", "move"})
PRINT_WORDS: Final[Mapping[str, Version]] = {
    ".proplist": (7, 1),
    ".id": (7, 1),
    "count-only": (7, 1),
    "detail": (7, 1),
    "stats": (7, 1),
    "without-paging": (7, 1),
    "show-sensitive": (7, 21),
    "comments": (7, 22),
    "on-event": (7, 22),
    "order-by": (7, 24),
}


@dataclass(frozen=True, slots=True)
class Command:
    """One sentence as received. `path` is the menu, `verb` the last part; tag None when there is none."""

    sentence: str
    path: str
    verb: str
    attributes: Mapping[str, str]
    queries: tuple[str, ...] = ()
    tag: str | None = None
    user: str = ""

    @property
    def writes(self) -> bool:
        """True if it changes configuration."""
        return self.verb in WRITES

    @classmethod
    def of(cls, words: Sequence[str], user: str = "") -> Command:
        """Out of the words of a sentence, in whatever order attributes, tag and queries come."""
        attributes: dict[str, str] = {}
        queries: list[str] = []
        tag: str | None = None
        for word in words[1:]:
            if word.startswith("="):
                name, _, value = word[1:].partition("=")
                attributes[name] = value
            elif word.startswith(".tag="):
                tag = word[5:] or None
            elif word.startswith("?"):
                queries.append(word)
        path, _, verb = words[0].rpartition("/")
        return cls(words[0], path, verb, attributes, tuple(queries), tag, user)


@dataclass
class Account:
    """Who is logged in on a connection, with the policies of that moment."""

    user: str
    policies: frozenset[str]
    address: str
    group: str = ""
    connection: object = field(default=None, repr=False)
    session: int = 0


class Answer:
    """Replies of one command: rows, then the words of `!done` or a trap. `unfinished`: more will come until cancelled."""

    __slots__ = ("done", "rows", "stop", "trap", "unfinished")

    def __init__(self, rows: Sequence[Sequence[str]] = (), done: Sequence[str] = (), trap: Refused | None = None) -> None:
        self.rows = rows
        self.done = done
        self.trap = trap
        self.unfinished = False
        self.stop: Callable[[], None] | None = None


def execute(router: RouterosSimulator, account: Account, command: Command) -> Answer:
    """Run one command. Never raises Refused: a refusal is an answer."""
    try:
        return _run(router, account, command)
    except Refused as refused:
        return Answer(trap=refused)


def _run(router: RouterosSimulator, account: Account, command: Command) -> Answer:
    special = _SPECIAL.get(command.sentence)
    if special is not None:
        return special(router, account, command)
    if command.path.startswith("/safe-mode") and command.verb in ("take", "release", "unroll", "toggle"):
        return _safe_mode(router, account, command)
    table = router.device.table(command.path)
    if command.verb not in table.menu.verbs:
        raise Refused("no such command", 0)
    if command.verb in WRITES:
        _need(account, table.menu.policy)
        _need(account, "write")
        return _write(router, account, command, table)
    _need(account, "read")
    reader = _READERS[command.verb]
    return reader(router, account, command, table)


def _need(account: Account, policy: str) -> None:
    if policy not in account.policies:
        raise Refused("not enough permissions (9)")


# --- reading -----------------------------------------------------------------------------------------------------------


def _print(router: RouterosSimulator, account: Account, command: Command, table: Table) -> Answer:
    device = router.device
    for name in command.attributes:
        if PRINT_WORDS.get(name, (99,)) > device.version:
            raise Refused(f"unknown parameter {name}")
    rows = _selected(router, command, table)
    if "count-only" in command.attributes:
        return Answer(done=(f"=ret={len(rows)}",))
    wanted = command.attributes.get(".proplist")
    names = None if wanted is None else [name for name in wanted.split(",") if name]
    masked = table.secrets if _masks(router, account, command) else ()
    answer = Answer([_words(words, names, masked) for words in rows])
    if not rows and device.version >= (7, 18):
        answer.rows = (("!empty",),)
    return answer


def _selected(router: RouterosSimulator, command: Command, table: Table) -> list[dict[str, str]]:
    path, device = command.path, router.device
    if ".id" in command.attributes:
        rows = [device.shown(path, table, row) for row in table.find_all(command.attributes[".id"])]
    else:
        rows = router.extra_rows(path) + [device.shown(path, table, row) for row in table.rows]
    if not command.queries:
        return rows
    try:
        test = matcher(command.queries)
    except BadQuery as bad:
        raise Refused(f"invalid query word {bad}", 5) from None
    return [words for words in rows if test(words)]


def _masks(router: RouterosSimulator, account: Account, command: Command) -> bool:
    if "sensitive" not in account.policies or command.attributes.get("show-sensitive") == "no":
        return True
    return router.masks_by_default and "show-sensitive" not in command.attributes


def _words(words: Mapping[str, str], names: list[str] | None, masked: Sequence[str]) -> list[str]:
    said = ["!re"]
    for name in names if names is not None else words:
        value = words.get(name)
        if value is not None:
            said.append(f"={name}={MASK}" if value and name in masked else f"={name}={value}")
    return said


def _get(router: RouterosSimulator, account: Account, command: Command, table: Table) -> Answer:
    if table.menu.single:
        words = router.device.shown(command.path, table, table.rows[0])
    else:
        words = router.device.shown(command.path, table, _one(command, table))
    name = command.attributes.get("value-name")
    if name is None:
        return Answer(done=("=ret=" + ";".join(f"{key}={value}" for key, value in words.items()),))
    if name not in table.fields:
        raise Refused("input does not match any value of value-name", 1)
    secret = name in table.secrets and _masks(router, account, command)
    return Answer(done=(f"=ret={MASK if secret else words.get(name, '')}",))


def _one(command: Command, table: Table) -> Row:
    return table.find(command.attributes.get(".id") or command.attributes.get("number") or "*")


def _listen(router: RouterosSimulator, account: Account, command: Command, table: Table) -> Answer:
    """Changes as rows until cancelled; `.dead=true` for a removed one (sheet 1.2)."""
    test = matcher(command.queries)
    masked = table.secrets if _masks(router, account, command) else ()
    answer = Answer()
    answer.unfinished = True

    def told(row: Row, removed: bool) -> None:
        words = router.device.shown(command.path, table, row)
        if removed:
            router.push(account.connection, command.tag, ["!re", f"=.id={row.id}", "=.dead=true"])
        elif test(words):
            router.push(account.connection, command.tag, _words(words, None, masked))

    table.listeners.append(told)
    answer.stop = lambda: table.listeners.remove(told)
    return answer


# --- writing -----------------------------------------------------------------------------------------------------------


def _write(router: RouterosSimulator, account: Account, command: Command, table: Table) -> Answer:
    path, attributes, device = command.path, dict(command.attributes), router.device
    if router.sensitive_to_write and "sensitive" not in account.policies and not attributes.keys().isdisjoint(table.secrets):
        raise Refused("not enough permissions (9)")
    if path == "/interface":
        path, table = _real_menu(router, attributes)
    done: tuple[str, ...] = ()
    if command.verb == "add":
        before = attributes.pop("place-before", None) if table.menu.ordered else None
        done = (f"=ret={device.add(path, attributes, before=before).id}",)
    elif table.menu.single:
        device.set(path, table.rows, attributes)
    else:
        _change(router, command.verb, path, table, attributes)
    router.acted()
    return Answer(done=done)


def _change(router: RouterosSimulator, verb: str, path: str, table: Table, attributes: dict[str, str]) -> None:
    device = router.device
    references = attributes.pop(".id", None) or attributes.pop("numbers", None)
    if not references:
        raise Refused("missing value(s) of argument(s) numbers", 1)
    rows = table.find_all(references)
    if verb == "move":
        destination = attributes.pop("destination", None)
        _no_more(attributes)
        target = None if destination is None else table.find(destination)
        for row in rows:
            table.move(row, target)
        router.changed()
    elif verb == "unset":
        name = attributes.pop("value-name", "")
        _no_more(attributes)
        device.unset(path, rows, name)
    elif verb == "remove":
        _no_more(attributes)
        device.remove(path, rows)
    elif verb in ("enable", "disable"):
        _no_more(attributes)
        device.set(path, rows, {"disabled": "no" if verb == "enable" else "yes"})
    elif verb == "comment":
        device.set(path, rows, {"comment": attributes.pop("comment", "")})
    else:
        device.set(path, rows, attributes)


def _no_more(attributes: Mapping[str, str]) -> None:
    for name in attributes:
        raise Refused(f"unknown parameter {name}")


def _real_menu(router: RouterosSimulator, attributes: Mapping[str, str]) -> tuple[str, Table]:
    """`/interface/set` acts on the menu of that kind of interface; ids are shared between them."""
    found = router.device.interface_row(attributes.get(".id") or attributes.get("numbers") or "")
    if found is None:
        raise Refused("no such item", 0)
    return found[0], router.device.table(found[0])


# --- commands that are no menu -----------------------------------------------------------------------------------------


def _safe_mode(router: RouterosSimulator, account: Account, command: Command) -> Answer:
    router.device.table("/safe-mode")
    _need(account, "write")
    safe = router.safe_mode
    verb = command.verb
    if verb == "toggle":
        verb = "take" if safe.owner is None else "release"
    if verb == "take":
        safe.take(account.connection, account.user)
    elif verb == "release":
        safe.release()
    else:
        safe.unroll()
        router.changed()
    return Answer()


def _ping(router: RouterosSimulator, account: Account, command: Command) -> Answer:
    """`/ping`: needs policy `test`; one row per packet, `status=timeout` for a lost one."""
    _need(account, "test")
    known = ("address", "count", "interval", "src-address", "size", "interface", "do-not-fragment", "ttl")
    for name in command.attributes:
        if name not in known:
            raise Refused(f"unknown parameter {name}")
    target = command.attributes.get("address", "")
    if not target:
        raise Refused("missing value(s) of argument(s) address", 1)
    count, size = command.attributes.get("count"), command.attributes.get("size", "56")
    reached = router.reaches(command.attributes.get("src-address"), target)
    rows = []
    for number in range(int(count) if count else 1):
        received = number + 1 if reached else 0
        head = ["!re", f"=seq={number}", f"=host={target}"]
        what = [f"=size={size}", "=ttl=64", "=time=1ms200us"] if reached else ["=status=timeout"]
        tail = [f"=sent={number + 1}", f"=received={received}", f"=packet-loss={0 if reached else 100}"]
        rows.append(
            [*head, *what, *tail, *(("=min-rtt=1ms200us", "=avg-rtt=1ms200us", "=max-rtt=1ms200us") if reached else ())]
        )
    answer = Answer(rows)
    answer.unfinished = count is None
    return answer


def _reboot(router: RouterosSimulator, account: Account, command: Command) -> Answer:
    _need(account, "reboot")
    router.reboot_soon()
    answer = Answer()
    answer.unfinished = True  # the link drops, often without `!done` (sheet 1.7)
    return answer


def _logout(router: RouterosSimulator, account: Account, command: Command) -> Answer:
    """`/user/active/request-logout` became `/user/active/remove` in 7.20."""
    _need(account, "policy")
    known = "remove" if router.device.version >= (7, 20) else "request-logout"
    if command.verb != known:
        raise Refused("no such command", 0)
    router.log_out(command.attributes.get(".id") or command.attributes.get("numbers") or "")
    return Answer()


_READERS: Final = {"print": _print, "getall": _print, "get": _get, "listen": _listen}
_SPECIAL: Final = {
    "/ping": _ping,
    "/system/reboot": _reboot,
    "/user/active/request-logout": _logout,
    "/user/active/remove": _logout,
}
