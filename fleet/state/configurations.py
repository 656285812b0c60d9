"""What syncs confirmed on each router: its last ten configurations, as plain data without secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from sqlalchemy import delete, inspect, select, update

from ..errors import UsageError
from .schema import ConfigurationRow, EntryRow, RunRow
from .store import Store, put

KEEP_CONFIGURATIONS: Final = 10
"""How many different configurations of a router are kept: the last ones that a sync confirmed, however old."""

CONFIGURATION: Final = "configuration"
"""The key in the detail of a journal's `outcome`: which configuration was confirmed."""


class Configurations(Store):
    """Confirmed configurations of any number of overlays, each under an id that its content gives."""

    def configuration_ids(self, overlay: str) -> dict[str, tuple[str, ...]]:
        """Ids of what is kept, by router, the newest first."""
        which = select(ConfigurationRow.router, ConfigurationRow.id).where(ConfigurationRow.overlay == overlay)
        found: dict[str, tuple[str, ...]] = {}
        with self.reading() as session:
            if inspect(session.connection()).has_table(ConfigurationRow.__tablename__):
                for router, one in session.execute(which.order_by(ConfigurationRow.at.desc())):
                    found[router] = (*found.get(router, ()), one)
        return found

    def keep_configurations(
        self, overlay: str, new: Mapping[str, tuple[str, str]], again: Mapping[str, str] | None = None
    ) -> None:
        """Keep id and content by router; `again` are ids of those that are kept already and were confirmed once more.

        What is older than the last ten of a router goes.
        """
        again = again or {}
        if not new and not again:
            return
        full = [router for router, ids in self.configuration_ids(overlay).items() if len(ids) >= KEEP_CONFIGURATIONS]
        table = ConfigurationRow
        with self.writing() as session:
            now = self.now(session)
            rows = [{"overlay": overlay, "router": name, "id": one, "content": text} for name, (one, text) in new.items()]
            put(session, table, [{**row, "at": now} for row in rows])
            for router, one in again.items():
                which = update(table).where(table.overlay == overlay, table.router == router, table.id == one)
                session.execute(which.values(at=now))
            for router in set(full) & new.keys():
                own = select(table.id).where(table.overlay == overlay, table.router == router).order_by(table.at.desc())
                old = session.scalars(own).all()[KEEP_CONFIGURATIONS:]
                session.execute(delete(table).where(table.overlay == overlay, table.router == router, table.id.in_(old)))

    def confirmed_by(self, overlay: str, run: str) -> dict[str, str]:
        """Which configuration a run confirmed, by router under the name it had then. Raises UsageError: no such run."""
        with self.reading() as session:
            row = session.get(RunRow, run)
            if row is None or row.overlay != overlay:
                raise UsageError(f"there is no run {run!r} of {overlay}", "see the runs with `fleet history`")
            lines = session.execute(
                select(EntryRow.router, EntryRow.detail).where(EntryRow.run == run, EntryRow.phase == "outcome")
            ).all()
        details = {router: json.loads(detail) for router, detail in lines if detail}
        return {router: str(detail[CONFIGURATION]) for router, detail in details.items() if detail.get(CONFIGURATION)}

    def configurations(self, overlay: str, ids: Mapping[str, str]) -> dict[str, str]:
        """Content by router, of those that are still kept under these ids."""
        found: dict[str, str] = {}
        with self.reading() as session:
            if inspect(session.connection()).has_table(ConfigurationRow.__tablename__):
                for router, one in ids.items():
                    row = session.get(ConfigurationRow, (overlay, router, one))
                    if row is not None:
                        found[router] = row.content
        return found
