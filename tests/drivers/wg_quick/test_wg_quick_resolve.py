"""How soon a tunnel is back whose endpoint's name has moved: stale after 150 s, looked at often enough for 200 s in all."""

from __future__ import annotations

import re
from importlib.resources import files

HANDSHAKE = 15.0
"""Seconds that a dialler may need for a new handshake: it tries every 5 s."""


def script(name: str) -> str:
    return (files("fleet.drivers.wg_quick") / name).read_text()


def stale() -> float:
    found = re.search(r"FLEET_STALE_AFTER:-(\d+)", script("running_write.sh"))
    assert found is not None
    return float(found[1])


def test_by_the_timer_of_systemd() -> None:
    every, accuracy = (
        float(match[1])
        for name in ("OnUnitActiveSec", "AccuracySec")
        if (match := re.search(rf"{name}=(\d+)", script("running_write.sh")))
    )
    assert stale() + every + accuracy + HANDSHAKE <= 200


def test_by_the_loop_of_our_own() -> None:
    every = re.search(r"FLEET_RESOLVE_EVERY:-(\d+)", script("helper.sh"))
    assert every is not None
    assert stale() + float(every[1]) + HANDSHAKE <= 200


def test_by_cron_which_counts_in_minutes() -> None:
    lines = re.search(r"printf '# fleet: resolve the named([^']*)'", script("running_write.sh"))
    assert lines is not None
    waits = sorted(float(match) for match in re.findall(r"sleep (\d+); /bin/sh", lines[1]))
    assert lines[1].count("* * * * *") == len(waits) + 1
    longest = max(later - earlier for earlier, later in zip([0.0, *waits], [*waits, 60.0], strict=True))
    assert stale() + longest + HANDSHAKE <= 200
