"""Troubles, rights, load, and what the contract suite asks of a device (sheet 1 and 7)."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest
from opnsense_boxes import peer, reconfigure, running, server, shown
from opnsense_client import Client

from fleet.testing.certificates import self_signed
from fleet.testing.opnsense import OpnsenseSimulator, Refusal, User

# --- troubles ---------------------------------------------------------------------------------------------------------------


def test_an_expired_certificate_is_shown_as_such() -> None:
    with (
        OpnsenseSimulator("box", certificate=self_signed("box", expired=True)) as box,
        Client(box) as client,
        pytest.raises(ssl.SSLCertVerificationError, match="expired"),
    ):
        client.get("wireguard/general/get")


def test_a_changed_certificate_is_shown_at_the_next_connection() -> None:
    with running() as (box, _):
        old = Client(box)
        box.replace_certificate(self_signed("somebody"))
        with old, pytest.raises(ssl.SSLCertVerificationError):
            old.get("wireguard/general/get")


def test_a_full_disk_refuses_every_write_and_no_read() -> None:
    with running() as (box, client):
        box.store.full_disk = True
        body = {"general": {"enabled": "1"}}
        assert client.post("wireguard/general/set", body) == {"errorMessage": "Unexpected error, check log for details"}
        assert client.get("wireguard/general/get") == {"general": {"enabled": "0"}}


def test_during_an_upgrade_the_api_is_unavailable() -> None:
    with running() as (box, client):
        box.maintenance = True
        assert client.raw("GET", "/api/wireguard/general/get").status == 503


def test_a_planned_refusal_hits_the_writes_it_names_once() -> None:
    with running() as (box, client):
        box.refusals.append(Refusal("general/set"))
        answers = [client.post("wireguard/general/set", {"general": {"enabled": "1"}})["result"] for _ in range(2)]
        assert answers == ["failed", "saved"]


def test_a_refusal_can_wait_for_the_kth_write() -> None:
    with running() as (box, client):
        box.refusals.append(Refusal("wireguard/", skip=1))
        answers = [client.post("wireguard/general/set", {"general": {"enabled": "1"}})["result"] for _ in range(3)]
        assert answers == ["saved", "failed", "saved"]


def test_a_scheduled_reboot_ends_connections() -> None:
    with running() as (box, client):
        server(client)
        client.post("wireguard/general/set", {"general": {"enabled": "1"}})
        box.insert("cron/settings/add_job", {"job": {"minutes": "*", "hours": "*", "command": "system reboot"}})
        client.post("cron/service/reconfigure")
        box.advance(60)
        assert list(box.kernel.devices) == ["wg0"]
        with pytest.raises(OSError):  # noqa: PT011  # reset, or closed without an answer
            client.get("wireguard/general/get")


def test_a_500_at_a_given_request_comes_from_in_front_of_the_php() -> None:
    with running() as (box, client):
        box.faults.statuses = {1: 500}
        assert client.raw("POST", "/api/wireguard/general/set", b"general[enabled]=1", _FORM).status == 500
        assert client.get("wireguard/general/get") == {"general": {"enabled": "0"}}


def test_a_reset_after_a_write_leaves_it_written() -> None:
    with running() as (box, client):
        box.faults.reset_after = 1
        with pytest.raises(ConnectionError):
            client.post("wireguard/general/set", {"general": {"enabled": "1"}})
        assert box.records("wireguard.general") == {"": {"enabled": "1"}}


def test_a_disabled_user_is_refused() -> None:
    """Sheet 1."""
    user = User("gone", keys={"k": "s"}, disabled=True)
    with OpnsenseSimulator("box", users=[user]) as box, Client(box, ("k", "s")) as client:
        assert client.raw("GET", "/api/wireguard/general/get").status == 401


def test_status_rights_cover_the_service_only_and_from_25_7() -> None:
    """Sheet 1."""
    for version, status in (("25.1", 403), ("25.7", 200)):
        user = User("viewer", ("VPN: WireGuard: Status",), {"k": "s"})
        with OpnsenseSimulator("box", version, users=[user]) as box, Client(box, ("k", "s")) as client:
            assert client.raw("GET", "/api/wireguard/service/show").status == status
            assert client.raw("GET", "/api/wireguard/server/get").status == 403


def test_somebody_may_work_in_the_gui_between_a_read_and_a_write() -> None:
    """Sheet 7: there is no compare-and-set."""
    with running() as (box, client):
        uuid = server(client)
        box.edit("wireguard.server", uuid, mtu="1400")
        client.post(f"wireguard/server/set_server/{uuid}", {"server": {"port": "51820"}})
        assert (box.server_records[uuid]["mtu"], box.server_records[uuid]["port"]) == ("1400", "51820")


@pytest.mark.parametrize(("version", "mtu"), [("24.7", ""), ("25.1.2", ""), ("25.1.3", "1400"), ("26.7", "1400")])
def test_a_write_of_somebody_else_at_the_same_moment_is_lost_before_25_1_3(version: str, mtu: str) -> None:
    """Sheet 7: set and add lock and read again only from 25.1.3."""
    with running(version) as (box, client):
        uuid = server(client)
        box.meanwhile = lambda: box.edit("wireguard.server", uuid, mtu="1400")
        client.post(f"wireguard/server/set_server/{uuid}", {"server": {"port": "51820"}})
        assert box.server_records[uuid]["mtu"] == mtu


def test_peers_were_written_under_a_lock_in_24_7_already() -> None:
    """Sheet 7."""
    with running("24.7") as (box, client):
        uuid = server(client)
        box.meanwhile = lambda: box.edit("wireguard.server", uuid, mtu="1400")
        peer(client, servers=uuid)
        assert box.server_records[uuid]["mtu"] == "1400"


def test_without_its_plugin_23_7_has_no_wireguard() -> None:
    """Sheet 0: a plugin until 23.7, part of the system after that."""
    for version, status in (("23.7", 400), ("24.1", 200)):
        with running(version, plugins=("os-firewall",)) as (_, client):
            assert client.raw("GET", "/api/wireguard/general/get").status == status
            assert client.raw("GET", "/api/firewall/filter/search_rule").status == 200


def test_parallel_adds_all_arrive() -> None:
    """Captures 14."""
    with running() as (box, client):
        uuid = server(client)

        def add(_: int) -> None:
            with Client(box) as another:
                peer(another, servers=uuid)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, range(20)))
        assert len(box.server_records[uuid]["peers"].split(",")) == 20


def test_two_hundred_peers_are_two_writes_in_bulk() -> None:
    """Sheet 7."""
    with running() as (box, client):
        uuid = server(client)
        before = box.writes()
        peers = {f"new-{n}": {"name": f"p{n}", "pubkey": _key(n), "tunneladdress": f"10.2.{n}.2/32"} for n in range(200)}
        client.post("wireguard/client/set", {"client": {"clients": {"client": peers}}})
        linked = {uuid: {"peers": ",".join(box.client_records)}}
        client.post("wireguard/server/set", {"server": {"servers": {"server": linked}}})
        reconfigure(client)
        assert (len(shown(client)), box.writes() - before) == (200, 4)  # and the switch, and the group


# --- for the contract suite -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["23.7", "24.7", "26.7"])
def test_planted_objects_are_foreign_and_ours_are_not(version: str) -> None:
    with running(version) as (box, client):
        box.own_interfaces.add("wg7")
        uuid = server(client, name="wg7")
        assert box.foreign() == {name: box.records(name) for name in ("system", "interfaces")}
        box.plant("wg7")
        planted = box.foreign()
        peer(client, name="fleet.contract.site", servers=uuid)
        client.post("firewall/filter/add_rule", {"rule": {"interface": "wan", "description": "fleet:contract:subject"}})
        assert box.foreign() == planted
        assert {section for section, _ in box.ours()} == {"wireguard.server", "wireguard.client", "filter.rules"}


def test_two_boxes_in_the_same_state_hold_the_same_of_ours() -> None:
    found = []
    for _ in range(2):
        with running() as (box, client):
            box.own_interfaces.add("wg7")
            uuid = server(client, name="wg7")
            peer(client, name="fleet.contract.site", pubkey=_key(1), servers=uuid)
            found.append(box.ours())
    assert found[0] == found[1]
    assert found[0].total() == 2


def test_a_key_of_our_peer_that_differs_is_a_difference() -> None:
    with running() as (box, client):
        uuid = peer(client, name="fleet.contract.site", pubkey=_key(1))
        before = box.ours()
        client.post(f"wireguard/client/set_client/{uuid}", {"client": {"pubkey": _key(2)}})
        assert box.ours() != before


def test_a_foreign_peer_unlinked_from_our_instance_shows_as_a_loss() -> None:
    with running() as (box, client):
        box.own_interfaces.add("wg7")
        server(client, name="wg7")
        box.plant("wg7")
        planted = box.foreign()
        uuid = next(iter(box.client_records))
        client.post(f"wireguard/client/set_client/{uuid}", {"client": {"keepalive": ""}})
        assert box.foreign() != planted


def test_no_secret_is_exposed_to_other_users() -> None:
    with running() as (box, client):
        uuid = server(client)
        peer(client, servers=uuid, psk="AAAA")
        reconfigure(client)
        key = box.server_records[uuid]["privkey"]
        assert key not in box.exposed()
        assert "general/set" in box.exposed()


def test_a_hundred_boxes_answer_in_one_process() -> None:
    certificate = self_signed("box")
    boxes = [OpnsenseSimulator(f"box{n}", certificate=certificate) for n in range(100)]
    try:
        for box in boxes:
            box.start()
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(_read, boxes)) == [{"general": {"enabled": "0"}}] * 100
    finally:
        for box in boxes:
            box.stop()


def _read(box: OpnsenseSimulator) -> object:
    with Client(box) as client:
        return client.get("wireguard/general/get")


def _key(number: int) -> str:
    return f"{number:043d}="


_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
