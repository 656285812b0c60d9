"""What differs between releases, as the captures' table A and the sheet's sections 2 and 5 say."""

from __future__ import annotations

import pytest
from opnsense_boxes import NOBODY, VERSIONS, peer, running, server
from opnsense_client import Client

from fleet.testing.opnsense import OpnsenseSimulator, User
from fleet.testing.opnsense.release import release

BEFORE_26 = ("24.7", "25.1", "25.7")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_peer_update_without_servers_unlinks_it_everywhere(version: str) -> None:
    """Table A, row 1."""
    with running(version) as (_, client):
        uuid = peer(client, servers=server(client))
        assert client.post(f"wireguard/client/set_client/{uuid}", {"client": {"keepalive": "25"}}) == {"result": "saved"}
        servers = client.get(f"wireguard/client/get_client/{uuid}")["client"]["servers"]
        assert [option["selected"] for option in servers.values()] == [0]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_instance_is_refused_in_the_words_of_the_release(version: str) -> None:
    """Table A, row 2."""
    words = "Option not in list." if version in BEFORE_26 else f"Option [{NOBODY}] not in list."
    with running(version) as (_, client):
        body = {"client": {"name": "a", "pubkey": "AAAA", "tunneladdress": "10.0.0.1/32", "servers": NOBODY}}
        assert client.post("wireguard/client/add_client", body)["validations"] == {"client.servers": words}


@pytest.mark.parametrize(
    ("version", "row"),
    [
        ("24.7", {"uuid", "enabled", "instance", "peers", "name", "pubkey", "port", "tunneladdress", "interface"}),
        ("25.1", {"privkey", "peers", "gateway", "carp_depend_on"}),
        ("25.7", {"privkey", "peers", "%peers", "interface", "cnfFilename", "debug"}),
        ("26.7", {"privkey", "peers", "%peers", "interface", "cnfFilename", "debug"}),
    ],
)
def test_rows_of_search_server_hold_what_the_release_puts_there(version: str, row: set[str]) -> None:
    """Table A, rows 3 to 5; sheet 2.4."""
    with running(version) as (_, client):
        uuid = server(client)
        linked = peer(client, servers=uuid, name="first")
        peer(client, servers=uuid, name="second")
        found = client.get("wireguard/server/search_server")["rows"][0]
        assert row <= set(found)
        assert ("privkey" in found) == (version != "24.7")
        assert ("interface" in found) == (version != "25.1")
        assert found["peers"] == "first, second" if version in ("24.7", "25.1") else found["peers"].startswith(f"{linked},")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_keepalive_of_86400_is_saved_until_25_1_only(version: str) -> None:
    """Table A, row 6."""
    with running(version) as (_, client):
        body = {"client": {"name": "a", "pubkey": "AAAA", "tunneladdress": "10.0.0.1/32", "keepalive": "86400"}}
        assert client.post("wireguard/client/add_client", body)["result"] == ("saved" if version < "25.7" else "failed")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bad_endpoint_host_is_refused_in_the_words_of_the_release(version: str) -> None:
    """Table A, row 8."""
    words = "Please specify a valid IP address or hostname."
    if version not in BEFORE_26:
        words = "[bad host] is not a valid IP address or hostname."
    with running(version) as (_, client):
        body = {"client": {"name": "a", "pubkey": "AAAA", "tunneladdress": "10.0.0.1/32", "serveraddress": "bad host"}}
        assert client.post("wireguard/client/add_client", body)["validations"] == {"client.serveraddress": words}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bad_private_key_is_refused_with_a_full_stop_from_25_7(version: str) -> None:
    """Table A, row 10."""
    words = "A private key is required" + ("." if version >= "25.7" else "")
    with running(version) as (_, client):
        body = {"server": {"name": "a", "privkey": "not base64!"}}
        assert client.post("wireguard/server/add_server", body)["validations"] == {"server.privkey": words}


@pytest.mark.parametrize("version", VERSIONS)
def test_option_objects_posted_back_are_refused_or_break_the_php(version: str) -> None:
    """Table A, row 11."""
    with running(version) as (_, client):
        uuid = server(client)
        body = {"server": {"peers": {NOBODY: {"value": "x", "selected": 1}}}}
        found = client.post(f"wireguard/server/set_server/{uuid}", body)
        if version in BEFORE_26:
            assert found == {"result": "failed", "validations": {"server.peers": "Choose a peer."}}
        else:
            assert found == {"errorMessage": "Unexpected error, check log for details"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_json_list_for_addresses_breaks_the_php(version: str) -> None:
    """Table A, row 12."""
    with running(version) as (_, client):
        uuid = server(client)
        found = client.post(f"wireguard/server/set_server/{uuid}", {"server": {"tunneladdress": ["10.2.2.1/24"]}})
        assert found == {"errorMessage": "Unexpected error, check log for details"}


@pytest.mark.parametrize("version", VERSIONS)
def test_several_peers_are_deleted_in_one_call_from_26_1(version: str) -> None:
    """Table A, row 13: the links stay behind, because the list is compared as one name (sheet 7)."""
    with running(version) as (box, client):
        instance = server(client)
        first, second = (peer(client, servers=instance) for _ in range(2))
        found = client.post(f"wireguard/client/del_client/{first},{second}")
        assert found == {"result": "not found" if version in BEFORE_26 else "deleted"}
        assert len(box.client_records) == (2 if version in BEFORE_26 else 0)
        assert box.server_records[instance]["peers"] == f"{first},{second}"


@pytest.mark.parametrize("version", VERSIONS)
def test_toggling_a_list_fails_as_the_release_does(version: str) -> None:
    """Table A, row 14."""
    with running(version) as (_, client):
        found = client.post(f"wireguard/client/toggle_client/{peer(client)},{peer(client)}")
        assert found == {"result": "failed"} if version in BEFORE_26 else "Toggle with a list" in found["errorMessage"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_read_only_user_writes_where_the_release_forgets_to_look(version: str) -> None:
    """Table A, row 15: not enforced beside another privilege on 25.7 and 26.1.11."""
    user = User("ro", ("page-wireguard-config", "user-config-readonly"), {"k": "s"})
    with OpnsenseSimulator("box", version, users=[user]) as box, Client(box, ("k", "s")) as client:
        found = client.raw("POST", "/api/wireguard/server/add_server", b"server[name]=a&server[privkey]=AAAA", _FORM)
        refused = version not in ("25.7", "26.1")
        assert (found.status, bool(box.server_records)) == (500 if refused else 200, not refused)


@pytest.mark.parametrize("version", ["24.7", "25.1", "26.7"])
def test_the_body_of_a_refusal_has_the_keys_of_the_release(version: str) -> None:
    """Table A, "refusal body (500) keys"."""
    user = User("ro", ("user-config-readonly", "page-all"), {"k": "s"})
    with OpnsenseSimulator("box", version, users=[user]) as box, Client(box, ("k", "s")) as client:
        found = client.raw("POST", "/api/wireguard/general/set", b"general[enabled]=1", _FORM).json
        assert found["errorTitle"] == ("General access" if version == "26.7" else "")
        assert ("errorLevel" in found) == (version == "26.7")


@pytest.mark.parametrize("version", VERSIONS)
def test_reverting_with_get_works_until_25_1(version: str) -> None:
    """Table A, "GET backup/revert_backup"."""
    with running(version) as (box, client):
        empty = box.store.revisions[0].id
        server(client)
        found = client.get(f"core/backup/revert_backup/{empty}")
        assert found == {"status": "reverted" if version < "25.7" else "failed"}
        assert bool(box.server_records) == (version >= "25.7")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_time_of_a_backup_is_its_name_only_in_old_releases(version: str) -> None:
    """Table A, "backup time vs file name": 4 decimals, mostly equal; 2 from 25.7, hardly ever."""
    with running(version) as (_, client):
        for _ in range(30):
            client.post("wireguard/general/set", {"general": {"enabled": "0"}})
        items = client.get("core/backup/backups/this")["items"]
        equal = sum(item["id"] == f"config-{item['time']}.xml" for item in items)
        assert 20 < equal < len(items) if version < "25.7" else equal <= 1


@pytest.mark.parametrize("version", VERSIONS)
def test_endpoints_that_came_later_are_not_found(version: str) -> None:
    """Table A: assignment from 26.7, add_api_key from 25.1."""
    with running(version) as (_, client):
        assert client.raw("GET", "/api/interfaces/assignment/search_item").status == (200 if version == "26.7" else 404)
        found = client.raw("POST", "/api/auth/user/add_api_key/wgapi", b"a=b", _FORM).status
        assert found == (404 if version == "24.7" else 200)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_switch_of_a_static_route_is_called_enabled_from_26_1(version: str) -> None:
    """Table A, "static route on/off field"."""
    with running(version) as (_, client):
        route = client.get("routes/routes/getroute")["route"]
        assert ("enabled" in route, "disabled" in route) == (version >= "26.1", version < "26.1")


def test_24_7_0_never_parses_a_json_body() -> None:
    """Sheet 9, core#7645; form encoding works."""
    with running("24.7.0") as (box, client):
        assert client.post("wireguard/server/add_server", {"server": {"name": "a", "privkey": "AAAA"}}) == {"result": "failed"}
        client.raw("POST", "/api/wireguard/server/add_server", b"server[name]=a&server[privkey]=AAAA", _FORM)
        assert len(box.server_records) == 1


def test_old_releases_name_what_they_did_not_find_with_400() -> None:
    """Sheet 1: 400 and after authentication on 24.1 and before."""
    with running("24.1") as (_, client):
        assert client.raw("GET", "/api/wireguard/general/nosuch").status == 400
        client.login = ("nobody", "x")
        assert client.raw("GET", "/api/wireguard/general/nosuch").status == 401


def test_23_7_has_no_history_and_makes_no_preshared_keys() -> None:
    """Sheet 2.1 and the table of section 4."""
    with running("23.7") as (_, client):
        assert client.raw("GET", "/api/core/backup/providers").status == 400
        assert client.raw("GET", "/api/wireguard/client/psk").status == 400
        assert client.get("wireguard/server/key_pair")["status"] == "ok"


def test_23_1_makes_both_keys_when_both_are_empty() -> None:
    """Sheet 2.2, privkey."""
    with running("23.1") as (_, client):
        uuid = client.post("wireguard/server/addServer", {"server": {"name": "a"}})["uuid"]
        found = client.get(f"wireguard/server/getServer/{uuid}")["server"]
        assert len(found["privkey"]) == len(found["pubkey"]) == 44


def test_instances_are_numbered_from_1_before_24_1_1() -> None:
    """Sheet 2.2, instance."""
    for version, first in (("23.7", "1"), ("24.1", "0")):
        with running(version) as (box, client):
            server(client)
            assert [one["instance"] for one in box.server_records.values()] == [first]


def test_before_24_1_6_a_deleted_peer_stays_linked_and_blocks_the_instance() -> None:
    """Sheet 2.1 and 2.3."""
    with running("24.1.5") as (_, client):
        uuid = server(client)
        client.post(f"wireguard/client/del_client/{peer(client, servers=uuid)}")
        found = client.post(f"wireguard/server/set_server/{uuid}", {"server": {"mtu": "1400"}})
        assert list(found["validations"]) == ["server.peers"]


def test_selected_is_a_text_before_24_1_5() -> None:
    """Sheet 2.4."""
    with running("24.1.4") as (_, client):
        uuid = peer(client, servers=server(client))
        options = client.get(f"wireguard/client/get_client/{uuid}")["client"]["servers"].values()
        assert [option["selected"] for option in options] == ["1"]


def test_a_series_means_its_captured_release() -> None:
    assert [release(version).text for version in VERSIONS] == ["24.7.12", "25.1.12", "25.7.11", "26.1.11", "26.7.2"]


def test_releases_before_23_1_are_not_simulated() -> None:
    with pytest.raises(ValueError, match=r"no simulated OPNsense 22\.7"):
        release("22.7")


_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
