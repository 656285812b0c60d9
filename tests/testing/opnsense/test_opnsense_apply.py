"""How changes reach the kernel, and when they do not (sheet 3)."""

from __future__ import annotations

import pytest
from opnsense_boxes import VERSIONS, peer, reconfigure, running, server, shown
from opnsense_client import Client

from fleet.testing.opnsense import OpnsenseSimulator
from fleet.testing.opnsense.keys import new_key, public_key


def test_nothing_runs_before_reconfigure() -> None:
    with running() as (_, client):
        peer(client, servers=server(client))
        client.post("wireguard/general/set", {"general": {"enabled": "1"}})
        assert client.get("wireguard/service/show")["rows"] == []


def test_with_the_service_off_reconfigure_says_ok_and_starts_nothing() -> None:
    """Captures 9."""
    with running() as (_, client):
        server(client)
        assert client.post("wireguard/service/reconfigure") == {"result": "ok"}
        assert client.get("wireguard/service/show")["rows"] == []


def test_the_status_is_unknown_with_the_service_on_and_disabled_with_it_off() -> None:
    """Sheet 2.1, service/status."""
    with running() as (_, client):
        assert client.get("wireguard/service/status")["status"] == "disabled"
        reconfigure(client)
        assert client.get("wireguard/service/status")["status"] == "unknown"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_name_that_does_not_resolve_keeps_every_change_of_the_instance_away(version: str) -> None:
    """Sheet 0.7."""
    with running(version) as (_, client):
        uuid = server(client)
        reconfigure(client)
        peer(client, servers=uuid, serveraddress="nosuch.invalid", serverport="51820")
        peer(client, servers=uuid, name="good", tunneladdress="10.2.2.3/32")
        reconfigure(client)
        assert shown(client) == []


def test_a_failed_reconfigure_is_not_retried_when_the_name_resolves_again() -> None:
    """Sheet 3.1: the new hash is stored whatever `wg` returned."""
    with running() as (box, client):
        uuid = server(client)
        peer(client, servers=uuid, serveraddress="vpn.example.org", serverport="51820")
        reconfigure(client)
        box.names["vpn.example.org"] = "198.51.100.10"
        reconfigure(client)
        assert shown(client) == []


def test_any_change_of_the_record_arms_the_next_reconfigure() -> None:
    """Sheet 3.1, recovery."""
    with running() as (box, client):
        uuid = server(client)
        bad = peer(client, servers=uuid, serveraddress="vpn.example.org", serverport="51820")
        reconfigure(client)
        box.names["vpn.example.org"] = "198.51.100.10"
        client.post(f"wireguard/client/set_client/{bad}", {"client": {"name": "renamed", "servers": uuid}})
        reconfigure(client)
        assert [row["endpoint"] for row in shown(client)] == ["198.51.100.10:51820"]


@pytest.mark.parametrize("field", ["psk", "pubkey"])
def test_one_short_key_keeps_every_change_of_the_instance_away(field: str) -> None:
    """Sheet 6."""
    with running() as (_, client):
        uuid = server(client)
        peer(client, servers=uuid, **{field: "AAAA"})
        peer(client, servers=uuid, name="good", tunneladdress="10.2.2.3/32")
        reconfigure(client)
        assert shown(client) == []


def test_a_restart_with_a_bad_record_brings_the_instance_up_without_peers_and_key() -> None:
    """Sheet 3.1."""
    with running() as (_, client):
        uuid = server(client)
        peer(client, servers=uuid)
        reconfigure(client)
        peer(client, servers=uuid, name="bad", tunneladdress="10.2.2.3/32", psk="AAAA")
        client.post(f"core/service/restart/wireguard/{uuid}")
        assert [row["public-key"] for row in client.get("wireguard/service/show")["rows"]] == ["(none)"]


def test_a_reboot_runs_what_is_stored() -> None:
    """Sheet 3.1: also what was never applied."""
    with running() as (box, client):
        uuid = server(client)
        reconfigure(client)
        peer(client, servers=uuid)
        box.reboot()
        with Client(box) as again:
            assert len(shown(again)) == 1


def test_prefixes_of_two_peers_belong_to_the_later_one() -> None:
    """Sheet 2.3, tunneladdress."""
    with running() as (_, client):
        uuid = server(client)
        peer(client, servers=uuid, name="first")
        peer(client, servers=uuid, name="second")
        reconfigure(client)
        assert {row["name"]: row["allowed-ips"] for row in shown(client)} == {"first": "(none)", "second": "10.2.2.2/32"}


def test_host_bits_are_saved_and_masked_by_the_kernel() -> None:
    """Sheet 2.3: host bits allowed."""
    with running() as (_, client):
        uuid = peer(client, servers=server(client), tunneladdress="192.168.20.7/24")
        reconfigure(client)
        stored = client.get(f"wireguard/client/get_client/{uuid}")["client"]["tunneladdress"]
        assert (list(stored), shown(client)[0]["allowed-ips"]) == (["192.168.20.7/24"], "192.168.20.0/24")


def test_a_peer_without_port_is_dialled_on_51820() -> None:
    """Sheet 2.3, serverport."""
    with running() as (_, client):
        peer(client, servers=server(client), serveraddress="198.51.100.10")
        reconfigure(client)
        assert shown(client)[0]["endpoint"] == "198.51.100.10:51820"


def test_disabled_peers_do_not_run() -> None:
    with running() as (_, client):
        peer(client, servers=server(client), enabled="0")
        reconfigure(client)
        assert shown(client) == []


def test_a_changed_peer_flushes_the_tunnel_only_where_the_instance_makes_routes() -> None:
    """Sheet 3.1, the table of changes."""
    for routes_off, interruptions in (("1", []), ("0", [("wg0", "flushed")])):
        with running() as (box, client):
            uuid = server(client, disableroutes=routes_off)
            reconfigure(client)
            peer(client, servers=uuid)
            reconfigure(client)
            assert box.kernel.interruptions == interruptions


def test_a_reconfigure_that_changes_nothing_interrupts_nothing() -> None:
    """Sheet 3.1: equal hash, nothing happens."""
    with running() as (box, client):
        peer(client, servers=server(client, disableroutes="0"))
        reconfigure(client)
        reconfigure(client)
        assert box.kernel.interruptions == []


def test_a_new_tunnel_address_flushes_even_without_routes() -> None:
    """Sheet 3.1, the table of changes."""
    with running() as (box, client):
        uuid = server(client)
        reconfigure(client)
        client.post(f"wireguard/server/set_server/{uuid}", {"server": {"tunneladdress": "10.2.2.9/24"}})
        reconfigure(client)
        assert (box.kernel.interruptions, box.kernel.devices["wg0"].addresses) == ([("wg0", "flushed")], ["10.2.2.9/24"])


@pytest.mark.parametrize("change", [{"port": "51999"}, {"privkey": new_key()}])
def test_a_new_port_or_key_ends_sessions_without_a_flush(change: dict[str, str]) -> None:
    """Sheet 3.1, the table of changes."""
    with running() as (box, client):
        uuid = server(client)
        reconfigure(client)
        client.post(f"wireguard/server/set_server/{uuid}", {"server": change})
        reconfigure(client)
        assert box.kernel.interruptions == [("wg0", "sessions")]


@pytest.mark.parametrize("how", ["disabled", "deleted", "service off"])
def test_an_instance_that_goes_takes_its_device_with_it_at_the_next_reconfigure(how: str) -> None:
    """Sheet 3.1."""
    with running() as (box, client):
        uuid = server(client)
        reconfigure(client)
        if how == "disabled":
            client.post(f"wireguard/server/toggle_server/{uuid}")
        elif how == "deleted":
            client.post(f"wireguard/server/del_server/{uuid}")
        else:
            client.post("wireguard/general/set", {"general": {"enabled": "0"}})
        assert "wg0" in box.kernel.devices
        client.post("wireguard/service/reconfigure")
        assert box.kernel.devices == {}


def test_the_default_route_becomes_two_halves() -> None:
    """Sheet 3.1, start."""
    with running() as (box, client):
        peer(client, servers=server(client, disableroutes="0"), tunneladdress="0.0.0.0/0,::/0")
        reconfigure(client)
        assert box.kernel.devices["wg0"].routes == ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]


def test_prefixes_inside_the_tunnel_subnet_get_no_route() -> None:
    """Sheet 3.1, start."""
    with running() as (box, client):
        peer(client, servers=server(client, disableroutes="0"), tunneladdress="10.2.2.2/32,192.168.20.0/24")
        reconfigure(client)
        assert box.kernel.devices["wg0"].routes == ["192.168.20.0/24"]


def test_without_routes_only_the_gateway_gets_one() -> None:
    """Sheet 3.1, start."""
    with running() as (box, client):
        peer(client, servers=server(client, gateway="10.9.9.1"), tunneladdress="192.168.20.0/24")
        reconfigure(client)
        assert box.kernel.devices["wg0"].routes == ["10.9.9.1/32"]


def test_the_public_key_shown_is_the_kernels_not_the_stored_one() -> None:
    """Sheet 6: a mismatched pubkey is accepted and only misleads."""
    private = new_key()
    with running() as (_, client):
        server(client, privkey=private, pubkey=public_key(new_key()))
        reconfigure(client)
        assert client.get("wireguard/service/show")["rows"][0]["public-key"] == public_key(private)


def test_start_stop_and_restart_say_ok_and_do_nothing() -> None:
    """Sheet 2.1."""
    with running() as (box, client):
        server(client)
        reconfigure(client)
        before = list(box.kernel.commands)
        for action in ("stop", "start", "restart"):
            assert client.post(f"wireguard/service/{action}") == {"response": "OK"}
        assert box.kernel.commands == before


def test_only_the_first_reconfigure_with_the_service_on_writes_a_revision() -> None:
    """Sheet 3."""
    with running() as (box, client):
        client.post("wireguard/general/set", {"general": {"enabled": "1"}})
        before = box.writes()
        for _ in range(3):
            client.post("wireguard/service/reconfigure")
        assert box.writes() == before + 1


def test_a_template_that_fails_leaves_the_kernel_as_it_was_and_says_ok() -> None:
    """Sheet 3: always ok, even when a template or script fails."""
    with running() as (box, client):
        server(client)
        box.broken_template = True
        reconfigure(client)
        assert box.kernel.devices == {}


def test_ages_and_states_of_peers_are_shown_from_25_1_2() -> None:
    """Sheet 3.2."""
    for version, there in (("25.1.1", False), ("25.1.2", True)):
        with running(version) as (_, client):
            peer(client, servers=server(client))
            reconfigure(client)
            assert ("peer-status" in shown(client)[0]) == there


def test_a_peer_on_two_instances_is_shown_on_both() -> None:
    """Captures 9."""
    with running() as (_, client):
        both = [server(client), server(client, name="second", tunneladdress="10.3.3.1/24")]
        peer(client, servers=",".join(both))
        reconfigure(client)
        assert [row["if"] for row in shown(client)] == ["wg0", "wg1"]


def test_two_instances_of_one_number_are_accepted() -> None:
    """Sheet 2.2, instance: uniqueness is not enforced."""
    with running() as (box, client):
        server(client)
        server(client, name="other", instance="0")
        assert [one["instance"] for one in box.server_records.values()] == ["0", "0"]


def test_renewing_names_takes_a_new_address_for_stale_peers() -> None:
    """Sheet 3.1, `wireguard renew`."""
    with OpnsenseSimulator("box", names={"vpn.example.org": "198.51.100.10"}) as box, Client(box) as client:
        peer(client, servers=server(client), serveraddress="vpn.example.org")
        reconfigure(client)
        box.names["vpn.example.org"] = "198.51.100.11"
        box.insert("cron/settings/add_job", {"job": {"minutes": "*", "hours": "*", "command": "wireguard renew"}})
        client.post("cron/service/reconfigure")
        box.advance(60)
        assert shown(client)[0]["endpoint"] == "198.51.100.11:51820"
