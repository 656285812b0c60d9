"""From a sentence to an answer: which command it is, and who may run it (sheet 1.6, 5.1, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .commands import WRITES, Account, Answer, Command, need
from .reading import READERS
from .values import Refused
from .writing import write

if TYPE_CHECKING:
    from .router import Router


def execute(router: Router, account: Account, command: Command) -> Answer:
    """Run one command. Never raises Refused: a refusal is an answer."""
    try:
        return _run(router, account, command)
    except Refused as refused:
        return Answer(trap=refused)


def _run(router: Router, account: Account, command: Command) -> Answer:
    special = _SPECIAL.get(command.sentence)
    if special is not None:
        return special(router, account, command)
    if command.path.startswith("/safe-mode") and command.verb in ("take", "release", "unroll", "toggle"):
        return _safe_mode(router, account, command)
    table = router.device.table(command.path)
    if command.verb not in table.menu.verbs:
        raise Refused("no such command", 0)
    if command.verb in WRITES:
        need(account, table.menu.policy)
        need(account, "write")
        return write(router, account, command, table)
    need(account, "read")
    return READERS[command.verb](router, account, command, table)


def _safe_mode(router: Router, account: Account, command: Command) -> Answer:
    router.device.table("/safe-mode")
    need(account, "write")
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


def _ping(router: Router, account: Account, command: Command) -> Answer:
    """`/ping`: needs policy `test`; one row per packet, `status=timeout` for a lost one."""
    need(account, "test")
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


def _reboot(router: Router, account: Account, command: Command) -> Answer:
    need(account, "reboot")
    router.reboot_soon()
    answer = Answer()
    answer.unfinished = True  # the link drops, often without `!done` (sheet 1.7)
    return answer


def _logout(router: Router, account: Account, command: Command) -> Answer:
    """`/user/active/request-logout` became `/user/active/remove` in 7.20."""
    need(account, "policy")
    known = "remove" if router.device.version >= (7, 20) else "request-logout"
    if command.verb != known:
        raise Refused("no such command", 0)
    router.log_out(command.attributes.get(".id") or command.attributes.get("numbers") or "")
    return Answer()


_SPECIAL: Final = {
    "/ping": _ping,
    "/system/reboot": _reboot,
    "/user/active/request-logout": _logout,
    "/user/active/remove": _logout,
}
