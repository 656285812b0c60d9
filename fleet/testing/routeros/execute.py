"""From a sentence to an answer: which command it is, and who may run it (sheet 1.6, 5.1, 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .commands import WRITES, Account, Answer, Command, need
from .reading import READERS
from .scripting.data import text
from .values import Refused
from .writing import write

if TYPE_CHECKING:
    from .router import Router
    from .scripting.jobs import Job

MAX_LENGTH: Final = 65_535
"""Bytes of a script given to `/execute` (manual: 64 KB)."""


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
    if router.users_hidden and table.menu.policy == "policy":
        need(account, "policy")
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
        router.undone()
    return Answer()


def _ping(router: Router, account: Account, command: Command) -> Answer:
    """`/ping`: needs policy `test`; one row per packet, `status=timeout` for a lost one."""
    need(account, "test")
    known = ("address", "count", "interval", "src-address", "size", "interface", "do-not-fragment", "ttl")
    allowed(command, *known)
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


def _run_stored(router: Router, account: Account, command: Command) -> Answer:
    """`/system/script/run`: done when the script is; its error is the trap, `:return` one of category 7 (sheet 1.6)."""
    need(account, "read")
    allowed(command, ".id", "number")
    reference = command.attributes.get(".id") or command.attributes.get("number")
    if not reference:
        raise Refused("missing value(s) of argument(s) number", 1)
    return _until_done(
        router,
        account,
        command,
        lambda then: router.jobs.stored(reference, account.user, account.policies, then=then),
        _outcome,
    )


def _outcome(job: Job) -> Answer:
    if job.outcome != "ok":
        return Answer(trap=Refused(job.outcome, 3))
    return Answer() if job.returned is None else Answer(trap=Refused(text(job.returned), 7))


def _execute(router: Router, account: Account, command: Command) -> Answer:
    """`/execute`: a job in the background and its id; with `as-string` its output (sheet 5.2)."""
    need(account, "read")
    allowed(command, "script", "as-string")
    script = command.attributes.get("script")
    if not script:
        raise Refused("missing value(s) of argument(s) script", 1)
    if len(script.encode("utf-8", "surrogateescape")) > MAX_LENGTH:
        raise Refused("failure: script too long", 4)

    def start(then: Callable[[Job], None]) -> Job:
        return router.jobs.start("execute", script, account.user, account.policies, then=then)

    if command.attributes.get("as-string", "no") in ("no", "false"):
        return Answer(done=(f"=ret=*{start(lambda job: None).number:X}",))
    return _until_done(router, account, command, start, lambda job: Answer(done=(f"=ret={job.said()}",)))


def _until_done(
    router: Router,
    account: Account,
    command: Command,
    start: Callable[[Callable[[Job], None]], Job],
    answer: Callable[[Job], Answer],
) -> Answer:
    """The answer of a script, now or, if it waits in `:delay`, when the clock has gone on."""
    waits = False

    def ended(job: Job) -> None:
        if waits:
            router.conclude(account.connection, command.tag, answer(job))

    job = start(ended)
    if job.outcome != "running":
        return answer(job)
    waits = True
    later = Answer()
    later.unfinished = True
    return later


def _log(router: Router, account: Account, command: Command) -> Answer:
    """`/log/info` and its kin."""
    need(account, "write")
    allowed(command, "message")
    router.write_log(f"script,{command.verb}", command.attributes.get("message", ""))
    return Answer()


def allowed(command: Command, *names: str) -> None:
    """Raises Refused for another argument."""
    for name in command.attributes:
        if name not in names:
            raise Refused(f"unknown parameter {name}")


_SPECIAL: Final = {
    "/execute": _execute,
    "/system/script/run": _run_stored,
    **{f"/log/{level}": _log for level in ("debug", "error", "info", "warning")},
    "/ping": _ping,
    "/system/reboot": _reboot,
    "/user/active/request-logout": _logout,
    "/user/active/remove": _logout,
}
