"""Running scripts on a simulated router that is not even started."""

from __future__ import annotations

from fleet.testing.routeros import RouterosSimulator
from fleet.testing.routeros.router import ALL_RIGHTS


def run(router: RouterosSimulator, source: str, *, policies: frozenset[str] = ALL_RIGHTS) -> str:
    """The outcome of a script: "ok" or its error."""
    with router.lock:
        return router.jobs.start("test", source, "admin", policies).outcome


def output(router: RouterosSimulator, source: str) -> list[str]:
    """What a script that must succeed puts."""
    with router.lock:
        job = router.jobs.start("test", source, "admin", ALL_RIGHTS)
    assert job.outcome == "ok", job.outcome
    return job.output


def put(router: RouterosSimulator, expression: str) -> str:
    """What `:put` shows of one value."""
    return output(router, f":put {expression}")[0]


def quoted(text: str) -> str:
    """A string literal as the manual's escapes make it."""
    escapes = {'"': '\\"', "\\": "\\\\", "$": "\\$", "?": "\\?", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(one, one if ord(one) > 31 else f"\\{ord(one):02X}") for one in text) + '"'


def log(router: RouterosSimulator) -> list[tuple[str, str]]:
    """(topics, message) of the log."""
    return [(row["topics"], row["message"]) for row in router.rows("/log")]
