"""print, get and listen of the simulated router: queries, property lists, masking (sheet 1.5, 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from .commands import Account, Answer, Command
from .queries import BadQuery, matcher
from .schema import Version
from .tables import Row, Table
from .values import Refused

if TYPE_CHECKING:
    from .router import Router

MASK: Final = "*****"
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


def _print(router: Router, account: Account, command: Command, table: Table) -> Answer:
    device = router.device
    for name in command.attributes:
        if PRINT_WORDS.get(name, (99,)) > device.version:
            raise Refused(f"unknown parameter {name}")
    rows = _selected(router, command, table)
    if "count-only" in command.attributes:
        return Answer(done=(f"=ret={len(rows)}",))
    wanted = command.attributes.get(".proplist")
    names = None if wanted is None else [name for name in wanted.split(",") if name]
    masked = table.secrets if masks(router, account, command) else ()
    answer = Answer([_words(words, names, masked) for words in rows])
    if not rows and device.version >= (7, 18):
        answer.rows = (("!empty",),)
    return answer


def _selected(router: Router, command: Command, table: Table) -> list[dict[str, str]]:
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


def masks(router: Router, account: Account, command: Command) -> bool:
    """True if secrets of this command's answer read `*****`."""
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


def _get(router: Router, account: Account, command: Command, table: Table) -> Answer:
    if table.menu.single:
        words = router.device.shown(command.path, table, table.rows[0])
    else:
        words = router.device.shown(command.path, table, _one(command, table))
    name = command.attributes.get("value-name")
    if name is None:
        return Answer(done=("=ret=" + ";".join(f"{key}={value}" for key, value in words.items()),))
    if name not in table.fields:
        raise Refused("input does not match any value of value-name", 1)
    secret = name in table.secrets and masks(router, account, command)
    return Answer(done=(f"=ret={MASK if secret else words.get(name, '')}",))


def _one(command: Command, table: Table) -> Row:
    return table.find(command.attributes.get(".id") or command.attributes.get("number") or "*")


def _listen(router: Router, account: Account, command: Command, table: Table) -> Answer:
    """Changes as rows until cancelled; `.dead=true` for a removed one (sheet 1.2)."""
    test = matcher(command.queries)
    masked = table.secrets if masks(router, account, command) else ()
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


READERS: Final = {"print": _print, "getall": _print, "get": _get, "listen": _listen}
"""Verbs that only read."""
