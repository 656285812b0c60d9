"""What was recorded from the real API, request by request, as the simulated box answers it (captures B and C)."""

from __future__ import annotations

from opnsense_replay import Replay, recorded


def test_every_recorded_exchange_of_26_7_2_is_answered_to_the_byte() -> None:
    replay = Replay("26.7.2")
    try:
        replay.run("26.7.2.jsonl")
    finally:
        replay.close()
    assert not replay.wrong, "\n\n".join(replay.wrong)
    assert replay.compared > 300


def test_what_a_bad_record_does_to_an_instance_is_as_recorded() -> None:
    """Part C: brackets, overlap, an unresolvable name, no retry, a restart without keys, recovery."""
    replay = Replay("26.7.2")
    try:
        for entry in recorded("26.7.2-bad-record.jsonl"):
            replay.exchange(entry)
    finally:
        replay.close()
    assert not replay.wrong, "\n\n".join(replay.wrong)
