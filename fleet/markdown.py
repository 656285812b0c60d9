"""A plan as Markdown, for merge requests: a table of counts and a diff block per router. Pure."""

from __future__ import annotations

import re

from .report import FleetReport, RouterReport, sentence


def markdown(report: FleetReport) -> str:
    """The plan as Markdown text. Everything from routers and inventory stands in code blocks, where it cannot become markup."""
    parts = [f"### fleet {report.command}: {report.overlay}", "", f"{sentence(report.routers)}", ""]
    for router in report.routers:
        if router.outcome == "in sync" and not router.summary:
            continue
        parts += _router(router)
    if report.not_enrolled:
        parts += [f"Not enrolled, no peers for them yet: {', '.join(f'`{name}`' for name in report.not_enrolled)}", ""]
    parts += [f"- {_inline(note)}" for note in report.notes]
    parts += ["", f"Fingerprint `{report.fingerprint}`"]
    return "\n".join(parts).rstrip() + "\n"


def _router(router: RouterReport) -> list[str]:
    interrupts = f", interrupts {router.interrupts}" if router.interrupts not in ("", "nothing") else ""
    lines = [f"**{router.router}** ({router.driver} {router.role}): {router.outcome}{interrupts}", ""]
    said = [line for line in (router.summary, *router.hint.splitlines()) if line]
    shown = [f"{'!' if change.sign == '~' else change.sign} {change.text}" for change in router.changes]
    body = [*(f"# {line.strip()}" for line in said), *shown]
    fence = "```"
    while any(fence in line for line in body):
        fence += "`"
    return [*lines, f"{fence}diff", *body, fence, ""] if body else lines


def _inline(text: str) -> str:
    """A note outside of blocks: on one line, without tags, links and images. Backticks are ours and stay."""
    return " ".join(re.sub(r"([][|])", r"\\\1", text.replace("<", "&lt;")).split())
