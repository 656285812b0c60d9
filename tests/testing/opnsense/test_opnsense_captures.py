"""What was recorded from the real API, request by request, as the simulated box answers it (captures A, B and C)."""

from __future__ import annotations

import pytest
from opnsense_replay import Replay, recorded

BEFORE_26_1 = ("24.7", "25.1", "25.7")
BEFORE_26_7 = (*BEFORE_26_1, "26.1")
DIFFERENCES = {
    "posting the option object back": BEFORE_26_1,
    "one unknown server uuid": BEFORE_26_1,
    "serveraddress = bad host": BEFORE_26_1,
    "serveraddress = under_score.example": BEFORE_26_1,
    "keepalive = 65536": ("24.7", "25.1"),
    "keepalive = 86400": ("24.7", "25.1"),
    "servers = 00000000-0000-4000-8000-000000000000": BEFORE_26_1,
    "POST /api/wireguard/client/toggle_client/a757b23a-0a91-4e71-a1cc-f188763f5a73,": BEFORE_26_1,
    "delete several": BEFORE_26_1,
    "consequence: dangling peer uuids": BEFORE_26_1,  # nothing was deleted, so nothing dangles
    "kernel: reconfigure after the revert": BEFORE_26_1,  # one revision less or more before it
    "GET /api/core/backup/revert_backup": ("24.7", "25.1"),
    "user with user-config-readonly": ("25.7", "26.1"),
    "savepoint": BEFORE_26_7,
    "/api/interfaces/assignment/": BEFORE_26_7,
    "/api/auth/user/add_api_key": ("24.7",),
}
"""Table A: what answers differently, and where. The rest of part B agreed in all releases, as far as it was compared."""
COMPARED = len("200 ") + 60
"""Status and characters of the body that were compared between releases."""


def replayed(version: str, beginning: int | None = None) -> Replay:
    replay = Replay(version, beginning)
    try:
        replay.run("26.7.2.jsonl")
    finally:
        replay.close()
    return replay


def test_every_recorded_exchange_of_26_7_2_is_answered_to_the_byte() -> None:
    replay = replayed("26.7.2")
    assert not replay.wrong, "\n\n".join(replay.wrong)
    assert replay.compared > 300


@pytest.mark.parametrize("version", BEFORE_26_7)
def test_an_older_release_differs_from_26_7_2_in_what_the_table_names_and_nothing_else(version: str) -> None:
    wrong = replayed(version, COMPARED).wrong
    named = [what for what, versions in DIFFERENCES.items() if version in versions]
    assert [one for one in wrong if not any(what in one for what in named)] == []
    assert [what for what in named if not any(what in one for one in wrong)] == []


def test_what_a_bad_record_does_to_an_instance_is_as_recorded() -> None:
    """Part C: brackets, overlap, an unresolvable name, no retry, a restart without keys, recovery."""
    replay = Replay("26.7.2")
    try:
        for entry in recorded("26.7.2-bad-record.jsonl"):
            replay.exchange(entry)
    finally:
        replay.close()
    assert not replay.wrong, "\n\n".join(replay.wrong)
