"""History of the configuration, rollback of the firewall, an undo by cron (sheet 5)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from opnsense_boxes import peer, reconfigure, running, server, shown
from opnsense_client import Client

from fleet.testing.ether import Clock
from fleet.testing.opnsense import ConfigdAction, OpnsenseSimulator, restore

ROLLBACKS = [("24.7", 30), ("25.1", 30), ("25.7", 0), ("26.1", 0)]


def rules(client: Client) -> list[str]:
    return [row["description"] for row in client.get("firewall/filter/search_rule")["rows"]]


def add_rule(client: Client, description: str) -> None:
    client.post("firewall/filter/add_rule", {"rule": {"interface": "wan", "description": description}})


# --- history ----------------------------------------------------------------------------------------------------------------


def test_the_history_keeps_the_newest_hundred() -> None:
    """Sheet 0.4."""
    with running() as (_, client):
        for _ in range(110):
            client.post("wireguard/general/set", {"general": {"enabled": "0"}})
        assert len(client.get("core/backup/backups/this")["items"]) == 100


def test_a_write_that_changes_nothing_makes_a_revision() -> None:
    """Sheet 7."""
    with running() as (box, client):
        before = box.writes()
        client.post("wireguard/general/set", {"general": {"enabled": "0"}})
        assert box.writes() == before + 1


def test_a_refused_write_makes_no_revision() -> None:
    with running() as (box, client):
        before = box.writes()
        client.post("wireguard/general/set", {"general": {"enabled": "7"}})
        assert box.writes() == before


def test_a_revision_says_who_made_it_by_which_call() -> None:
    """Sheet 5."""
    with running() as (_, client):
        client.post("wireguard/general/set", {"general": {"enabled": "0"}})
        newest = client.get("core/backup/backups/this")["items"][0]
        assert (newest["username"], newest["description"]) == (
            "wgapi@127.0.0.1",
            "/api/wireguard/general/set made changes",
        )


def test_a_revert_discards_what_others_did_and_applies_nothing() -> None:
    """Sheet 5."""
    with running() as (box, client):
        uuid = server(client)
        reconfigure(client)
        peer(client, servers=uuid)
        reconfigure(client)
        saved = next(one.id for one in box.store.revisions if not one.config["wireguard.client"])
        add_rule(client, "somebody else's")
        assert client.post(f"core/backup/revert_backup/{saved}") == {"status": "reverted"}
        assert (rules(client), box.client_records, len(shown(client))) == ([], {}, 1)


def test_the_download_and_the_diff_expose_private_keys() -> None:
    """Sheet 5."""
    with running() as (box, client):
        server(client)
        key = next(iter(box.server_records.values()))["privkey"]
        newer, older = (one.id for one in box.store.revisions[:2])
        assert key in client.raw("GET", "/api/core/backup/download/this").body
        assert any(key in line for line in client.get(f"core/backup/diff/this/{newer}/{older}")["items"])


def test_a_deleted_revision_is_gone() -> None:
    """Sheet 5."""
    with running() as (box, client):
        name = box.store.revisions[0].id
        assert client.post(f"core/backup/delete_backup/{name}") == {"status": "deleted"}
        assert client.post(f"core/backup/revert_backup/{name}") == {"status": "not_found"}


# --- firewall rollback ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "most"), ROLLBACKS)
def test_how_many_of_30_savepoints_can_be_rolled_back_to(version: str, most: int) -> None:
    """Sheet 0.3: about 28 of 30 on 24.7 and 25.1, none on 25.7 and 26.1."""
    with running(version) as (box, client):
        found = 0
        for _ in range(30):
            revision = client.post("firewall/filter/savepoint")["revision"]
            found += box.store.revision(f"config-{revision}.xml") is not None
        assert (25 <= found < 30) if most else found <= 1


def test_an_apply_with_a_revision_undoes_itself_after_60_seconds_and_takes_only_rules_back() -> None:
    """Sheet 5."""
    with running("24.7") as (box, client):
        revision = client.post("firewall/filter/savepoint")["revision"]
        add_rule(client, "new")
        uuid = server(client)
        client.post(f"firewall/filter/apply/{revision}")
        box.advance(59)
        assert rules(client) == ["new"]
        box.advance(2)
        assert (rules(client), list(box.server_records)) == ([], [uuid])


def test_a_cancelled_rollback_does_not_happen() -> None:
    """Sheet 5."""
    with running("24.7") as (box, client):
        revision = client.post("firewall/filter/savepoint")["revision"]
        add_rule(client, "new")
        client.post(f"firewall/filter/apply/{revision}")
        client.post(f"firewall/filter/cancel_rollback/{revision}")
        box.advance(120)
        assert rules(client) == ["new"]


def test_the_rollback_of_25_7_never_fires() -> None:
    """Sheet 5: the revision's name is rounded, the file's is not."""
    with running("25.7", clock=Clock(frozen=True, start=0.0)) as (box, client):
        revision = client.post("firewall/filter/savepoint")["revision"]
        add_rule(client, "new")
        client.post(f"firewall/filter/apply/{revision}")
        box.advance(120)
        assert rules(client) == ["new"]


# --- cron and configd -------------------------------------------------------------------------------------------------------


def armed(box: OpnsenseSimulator, client: Client, *sections: str) -> None:
    """The pattern of sheet 5, option 2: newest backup, a job in three minutes, then the change."""
    box.cron.install("guard restore", ConfigdAction("Restore a revision", restore(*sections)))
    newest = client.get("core/backup/backups/this")["items"][0]["id"]
    job = {"minutes": "*", "hours": "*", "command": "guard restore", "parameters": newest, "description": "guard"}
    assert client.post("cron/settings/add_job", {"job": job})["result"] == "saved"
    client.post("cron/service/reconfigure")


def test_an_installed_action_can_be_scheduled_and_one_that_is_not_cannot() -> None:
    """Sheet 5, option 2: the command list is configd's actions with a description."""
    with running() as (box, client):
        job = {"job": {"command": "guard restore"}}
        assert client.post("cron/settings/add_job", job)["validations"] == {"job.command": "Please select a command."}
        box.cron.install("guard restore", ConfigdAction("Restore a revision", restore()))
        assert client.post("cron/settings/add_job", job)["result"] == "saved"
        assert "guard restore" in client.get("cron/settings/get_job")["job"]["command"]


def test_a_guard_by_cron_restores_and_applies_at_the_minute_and_removes_its_own_job() -> None:
    """Sheet 5, option 2."""
    with running() as (box, client):
        uuid = server(client)
        reconfigure(client)
        armed(box, client)
        peer(client, servers=uuid)
        reconfigure(client)
        assert len(shown(client)) == 1
        box.advance(61)
        assert (shown(client), box.client_records, box.records("cron")) == ([], {}, {})


def test_a_guard_of_the_wireguard_sections_leaves_the_work_of_others_alone() -> None:
    """Sheet 5, option 2: kinder to others."""
    with running() as (box, client):
        uuid = server(client)
        reconfigure(client)
        armed(box, client, "wireguard.server", "wireguard.client", "wireguard.general")
        peer(client, servers=uuid)
        add_rule(client, "somebody else's")
        box.advance(61)
        assert (box.client_records, rules(client)) == ({}, ["somebody else's"])


def test_a_job_taken_away_before_its_minute_does_nothing() -> None:
    with running() as (box, client):
        armed(box, client)
        for uuid in box.records("cron"):
            client.post(f"cron/settings/del_job/{uuid}")
        client.post("cron/service/reconfigure")
        server(client)
        box.advance(120)
        assert len(box.server_records) == 1


def test_a_job_that_was_stored_and_not_applied_does_not_run_until_a_reboot() -> None:
    with running() as (box, client):
        box.insert("cron/settings/add_job", {"job": {"minutes": "*", "hours": "*", "command": "firmware poll"}})
        box.advance(120)
        assert box.cron.fired == []
        box.reboot()
        box.advance(60)
        assert [command for _, command, _ in box.cron.fired] == ["firmware poll"]
        assert client.login is not None


def test_a_job_for_one_minute_runs_in_that_minute_only() -> None:
    with running() as (box, client):
        job = {"minutes": "*/10", "hours": "*", "command": "firmware poll"}
        box.insert("cron/settings/add_job", {"job": job})
        client.post("cron/service/reconfigure")
        box.advance(1800)
        times = [at for at, _, _ in box.cron.fired]
        assert len(times) == 3
        assert all(later - earlier == 600 for earlier, later in pairwise(times))


def test_every_saved_revision_tells_the_hooks_its_file() -> None:
    """Sheet 5: rc.syshook.d/config."""
    with running() as (box, client):
        seen: list[str] = []
        box.store.saved.append(seen.append)
        client.post("wireguard/general/set", {"general": {"enabled": "0"}})
        assert seen == [box.store.revisions[0].id]
