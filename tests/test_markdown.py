"""A plan as Markdown for merge requests: nothing that a router or an inventory says can become markup."""

from __future__ import annotations

import re
from dataclasses import replace

from fleet.markdown import markdown
from fleet.report import ChangeLine, FleetReport, RouterReport

CHANGES = (
    ChangeLine("+", "peer pune: add, allowed IPs 10.100.0.3/32"),
    ChangeLine("~", "interface wg0: mtu 1420 -> 1400"),
    ChangeLine("-", "peer goa: remove"),
)
PUNE = RouterReport("pune", "mikrotik", "spoke", "changes", changes=CHANGES)
QUIET = RouterReport("mumbai", "mikrotik", "spoke", "in sync")


def plan(*routers: RouterReport, **more: object) -> FleetReport:
    return FleetReport("plan", "acme", list(routers), fingerprint="0f3a", **more)  # type: ignore[arg-type]  # by name


def fenced(text: str) -> str:
    """What stands in code blocks."""
    return "\n".join(re.findall(r"^`{3,}diff\n(.*?)\n`{3,}$", text, flags=re.DOTALL | re.MULTILINE))


def test_the_heading_names_the_command_and_the_overlay():
    assert markdown(plan()).startswith("### fleet plan: acme\n")


def test_the_counts_are_those_of_the_text():
    assert "1 with changes, 1 in sync" in markdown(plan(PUNE, QUIET))


def test_changes_are_a_diff_block_in_which_what_is_set_stands_out():
    assert fenced(markdown(plan(PUNE))).splitlines() == [
        "+ peer pune: add, allowed IPs 10.100.0.3/32",
        "! interface wg0: mtu 1420 -> 1400",
        "- peer goa: remove",
    ]


def test_a_router_in_sync_is_only_counted():
    assert "mumbai" not in markdown(plan(PUNE, QUIET))


def test_an_interruption_is_said_with_its_router():
    text = markdown(plan(replace(PUNE, interrupts="interface")))
    assert "**pune** (mikrotik spoke): changes, interrupts interface" in text
    assert "interrupts" not in markdown(plan(PUNE))


def test_an_error_and_its_hint_are_comments_of_the_block():
    failed = RouterReport("pune", "mikrotik", "spoke", "failed", summary="refused the login", hint="check it\n  and again")
    assert fenced(markdown(plan(failed))).splitlines() == ["# refused the login", "# check it", "# and again"]


def test_a_router_with_nothing_to_show_has_no_empty_block():
    text = markdown(plan(RouterReport("kiosk", "manual", "spoke", "not enrolled")))
    assert "**kiosk** (manual spoke): not enrolled" in text
    assert "```" not in text


def test_backticks_from_a_router_cannot_end_the_block():
    evil = replace(PUNE, changes=(ChangeLine("+", "peer ```\n# owned\n```: add"),))
    text = markdown(plan(evil))
    opening = re.search(r"^(`+)diff$", text, flags=re.MULTILINE)
    assert opening is not None
    assert len(opening[1]) > 3
    assert text.count(opening[1]) == 2


def test_a_note_cannot_become_html():
    text = markdown(plan(notes=["hq: <script>alert(1)</script> was seen"]))
    assert "<script>" not in text
    assert "&lt;script>" in text


def test_a_note_cannot_become_a_link_or_a_heading():
    text = markdown(plan(notes=["hq: [click](https://example.com)\n# owned"]))
    assert "- hq: \\[click\\](https://example.com) # owned" in text.splitlines()


def test_who_is_not_enrolled_is_listed():
    assert "Not enrolled, no peers for them yet: `goa`, `surat`" in markdown(plan(not_enrolled=["goa", "surat"]))


def test_the_fingerprint_ends_it():
    assert markdown(plan(PUNE)).endswith("\nFingerprint `0f3a`\n")
