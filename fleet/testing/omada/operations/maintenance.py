"""Backup and restore of sites, and the audit log (sheet 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import fields
from ..access import MAINTENANCE, SETTINGS_VIEW
from ..codes import Refused, invalid
from ..settings import Json
from ..site import Site
from .registry import NOTHING, SITE_V1, Call, operation

if TYPE_CHECKING:
    from ..controller import Controller

MULTI: Final = "/openapi/v1/{omadacId}/sites/maintenance"
AUDIT_SIZES: Final = {10, 15, 20, 30, 50, 100}


@operation("POST", MULTI + "/multi-backup/self-server", MAINTENANCE)
def back_up(call: Call) -> object:
    """Up to 300 sites, each into a file on the controller."""
    ids = call.body.get("siteIds")
    if not isinstance(ids, list) or not 1 <= len(ids) <= 300:
        raise invalid("siteIds")
    sites = [call.controller.reachable(call.application, str(one)) for one in ids]
    _alone(call)
    for site in sites:
        _occupy(call, site)
        name = f"{site.name}_{len(site.backups) + 1}.cfg"
        file: Json = {"fileName": name, "backupTime": int(call.controller.wall() * 1000), "size": 40960}
        site.backups.append((file, site.tunnels))
    return NOTHING


@operation("GET", SITE_V1 + "/backup/result", MAINTENANCE)
def backup_result(call: Call) -> Json:
    """0: idle or done, 1: running."""
    return {"status": 1 if occupied(call.controller, call.site) else 0}


@operation("GET", SITE_V1 + "/maintenance/backup/files", MAINTENANCE)
def backup_files(call: Call) -> Json:
    """What can be restored."""
    return {"fileList": [file for file, _ in call.site.backups]}


@operation("POST", MULTI + "/multi-restore/self-server", MAINTENANCE)
def restore(call: Call) -> object:
    """Whole sites; every token is void afterwards (sheet 1.6)."""
    wanted = call.body.get("siteRestoreInfos")
    if not isinstance(wanted, list) or not wanted or not all(isinstance(one, dict) for one in wanted):
        raise invalid("siteRestoreInfos")
    found = []
    for one in wanted:
        site = call.controller.reachable(call.application, str(one.get("siteId")))
        kept = [tunnels for file, tunnels in site.backups if file["fileName"] == one.get("fileName")]
        if not kept:
            raise Refused(-30305)
        found.append((site, kept[0]))
    _alone(call)
    for site, tunnels in found:
        _occupy(call, site)
        site.store(tunnels)
    call.controller.tokens.revoke()
    return NOTHING


@operation("GET", SITE_V1 + "/maintenance/restore/result", MAINTENANCE)
def restore_result(call: Call) -> Json:
    """0: done, 2: running."""
    return {"status": 2 if occupied(call.controller, call.site) else 0}


@operation("GET", SITE_V1 + "/audit-logs", SETTINGS_VIEW)
def audit_logs(call: Call) -> Json:
    """Who changed what, the newest first."""
    if fields.page(call.query)[1] not in AUDIT_SIZES:
        raise invalid("pageSize")
    return fields.grid(list(reversed(call.site.audit)), call.query, "content")


def occupied(controller: Controller, site: Site) -> bool:
    """True while a backup or restore of this site runs."""
    return site.maintained_until is not None and controller.clock.now() < site.maintained_until


def _occupy(call: Call, site: Site) -> None:
    site.maintained_until = call.controller.clock.now() + call.controller.maintenance_seconds


def _alone(call: Call) -> None:
    """One backup or restore at a time on a controller."""
    if any(occupied(call.controller, site) for site in call.controller.sites.values()):
        raise Refused(-30028)


BARE: Final = {run.__name__ for run in (backup_result, backup_files, restore_result)}
"""Operations whose result the schema shows without the envelope."""
