"""One router fails: one line with the next action, the exit code that a pipeline needs, and the others unaffected."""

from __future__ import annotations

import socket
import threading

import pytest
from simulated import PASSWORD, SimulatedFleet

from fleet.drivers.mikrotik import MikrotikDriver
from fleet.testing.routeros.certificates import self_signed


@pytest.fixture
def tls_fleet(tmp_path):
    net = SimulatedFleet(tmp_path / "tls")
    net.add("hq", 1, hub=True)
    net.add("mumbai", 20, tls=True)
    net.add("pune", 30)
    yield net
    net.close()


def present(net: SimulatedFleet, name: str, certificate) -> None:
    """The router comes back with another certificate on the same port."""
    router = net[name]
    router.set_offline()
    router.certificate, router._context = certificate, certificate.context()
    router.set_offline(False)


def one_line_each(result, name: str) -> tuple[str, str]:
    """Summary and hint of a router's block: the head, exactly one line of what was seen, one of what to do."""
    head, summary, hint = result.block(name)
    assert head.startswith(name)
    return summary.strip(), hint.strip()


# ------------------------------------------------------------------------------------------------------ unreachable
def test_an_unreachable_router_is_pending_with_exit_6_and_the_others_come_up(blank):
    blank["pune"].set_offline()
    done = blank.sync("--json")
    assert done.code == 6
    assert done.outcomes() == {"hq": "changed", "mumbai": "changed", "pune": "pending"}
    assert blank.ether.ping(blank["mumbai"], "192.168.20.1", "192.168.1.1")


def test_pending_ok_makes_it_0_in_the_exit_code_and_in_the_json(blank):
    blank["pune"].set_offline()
    done = blank.sync("--json", "--pending-ok")
    assert done.code == 0
    assert done.json["exit_code"] == 0


def test_a_pending_router_is_one_line_with_the_next_action(blank):
    blank["pune"].set_offline()
    summary, hint = one_line_each(blank.sync(), "pune")
    assert summary.startswith("no TCP connection to 127.0.0.1:")
    assert hint == "check power, line and `host`"


def test_a_pending_router_changes_nothing_for_a_plan(synced):
    synced["pune"].set_offline()
    assert synced.run("plan").code == 0
    synced["hq"].delete("/interface/wireguard/peers", synced.peers("hq")["fleet:acme:mumbai"][".id"])
    assert synced.run("plan").code == 2


def test_a_router_that_was_pending_is_picked_up_by_the_next_sync(blank):
    blank["pune"].set_offline()
    assert blank.sync().code == 6
    blank["pune"].set_offline(False)
    done = blank.sync("--json")
    assert done.code == 0
    assert done.outcomes() == {"hq": "changed", "mumbai": "in sync", "pune": "changed"}


def test_an_unreachable_hub_leaves_the_spokes_pending_for_nobody_elses_sake(synced):
    synced["hq"].set_offline()
    done = synced.sync("--json")
    assert done.code == 6
    assert done.outcomes() == {"hq": "pending", "mumbai": "in sync", "pune": "in sync"}


def test_a_name_that_does_not_resolve_is_pending(synced):
    synced.routers["pune"] |= {"host": "pune.invalid", "options": {"tls": True}}
    done = synced.run("plan", "--json")
    assert done.router("pune")["outcome"] == "pending"
    assert "does not resolve" in done.router("pune")["summary"]


# ------------------------------------------------------------------------------------------- refused by the router
def test_a_wrong_password_is_a_failure_with_exit_1_and_never_shown(synced):
    synced.routers["pune"]["password"] = "env:WRONG"
    done = synced.run("sync", "--yes", WRONG="not-the-right-word")
    assert done.code == 1
    summary, hint = one_line_each(done, "pune")
    assert summary.startswith("login as fleet at 127.0.0.1")
    assert "check username and password" in hint
    assert "not-the-right-word" not in done.said


def test_a_secret_reference_that_gives_nothing_fails_that_router_alone(synced):
    synced.routers["pune"]["password"] = "env:NOT_SET_ANYWHERE"
    done = synced.sync()
    assert done.code == 1
    summary, hint = one_line_each(done, "pune")
    assert "env:NOT_SET_ANYWHERE is not set" in summary
    assert hint == "export NOT_SET_ANYWHERE before running fleet"


def test_a_router_that_refuses_a_command_is_a_failure_with_its_own_words_and_the_others_come_up(blank):
    blank["pune"].fault("/ip/address/add", "trap", message="failure: already have such address")
    done = blank.sync("--json")
    assert done.code == 1
    assert done.outcomes() == {"hq": "changed", "mumbai": "changed", "pune": "failed"}
    assert "already have such address" in done.router("pune")["summary"]
    assert "undone" in done.router("pune")["hint"]
    assert "fleet plan pune" in done.router("pune")["hint"]
    assert blank.sync().code == 0


def test_without_a_guard_a_refusal_is_a_failure_that_says_how_many_changes_landed(blank):
    blank["pune"].fault("/ip/route/add", "trap", message="failure: no memory")
    done = blank.sync("--unguarded", "--json")
    assert done.code == 1
    assert done.outcomes() == {"hq": "changed", "mumbai": "changed", "pune": "failed"}
    assert "failure: no memory" in done.router("pune")["summary"]
    landed, rest = done.router("pune")["hint"].split(" changes landed, ")
    assert int(landed.split()[-1]) > 0
    assert int(rest.split()[0]) > 0
    assert "fleet sync pune" in rest
    assert blank.sync().code == 0


def test_an_account_with_too_few_rights_is_told_by_check_login_with_the_commands(synced):
    pune = synced["pune"]
    pune.insert("/user/group", name="watchers", policy="read,api")
    pune.change("/user", next(row[".id"] for row in pune.rows("/user") if row["name"] == "fleet"), group="watchers")
    done = synced.run("check", "--login")
    assert done.code == 1
    assert "account fleet (group watchers) lacks policy write" in done.out
    assert done.out.count("/user/group/set") == 1


def test_a_port_that_speaks_something_else_is_a_failure_not_pending(synced):
    with socket.create_server(("127.0.0.1", 0)) as server:
        synced.routers["pune"]["port"] = server.getsockname()[1]
        server.settimeout(20)

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(100)

        thread = threading.Thread(target=answer)
        thread.start()
        done = synced.run("plan", "pune", "--only", "--json")
        thread.join()
    assert done.code == 1
    assert done.router("pune")["outcome"] == "failed"


def test_a_firmware_that_takes_a_write_and_ignores_it_is_not_converged(blank, monkeypatch):
    router = blank["pune"]
    genuine = router.device.set
    monkeypatch.setattr(
        router.device, "set", lambda menu, rows, fields: None if menu.endswith("peers") else genuine(menu, rows, fields)
    )
    assert blank.sync().code == 0
    row = blank.peers("pune")["fleet:acme:hq"]
    genuine(
        "/interface/wireguard/peers",
        [router.device.table("/interface/wireguard/peers").find(row[".id"])],
        {"persistent-keepalive": "7s"},
    )
    done = blank.sync("--unguarded", "--json")
    assert done.code == 1
    assert "accepted every request and still differs" in done.router("pune")["summary"]
    assert "fleet plan pune" in done.router("pune")["hint"]


# ----------------------------------------------------------------------------------------------------- certificates
def test_a_certificate_is_pinned_at_first_contact_and_said(tls_fleet):
    done = tls_fleet.sync()
    assert done.code == 0
    assert done.err.count("mumbai: first contact at ") == 1
    assert tls_fleet["mumbai"].certificate.fingerprint in done.err
    assert "first contact" not in tls_fleet.sync().said


def test_a_first_contact_is_said_with_json_as_well(tls_fleet):
    done = tls_fleet.run("plan", "--json")
    assert done.code == 2
    assert "mumbai: first contact at " in done.err


def test_a_changed_certificate_is_refused_with_exit_1_and_others_go_on(tls_fleet):
    assert tls_fleet.sync().code == 0
    present(tls_fleet, "mumbai", self_signed("mumbai"))
    tls_fleet["hq"].delete("/interface/wireguard/peers", tls_fleet.peers("hq")["fleet:acme:pune"][".id"])
    tls_fleet.reset_counters()
    done = tls_fleet.sync()
    assert done.code == 1
    summary, hint = one_line_each(done, "mumbai")
    assert tls_fleet["mumbai"].certificate.fingerprint in summary
    assert "fleet trust mumbai" in hint
    assert "fleet:acme:pune" in tls_fleet.peers("hq")
    assert tls_fleet["mumbai"].counters.logins == 0, "no password is sent to a stranger"


def test_trust_shows_both_certificates_and_accepts_the_new_one(tls_fleet):
    assert tls_fleet.sync().code == 0
    old = tls_fleet["mumbai"].certificate.fingerprint
    present(tls_fleet, "mumbai", self_signed("mumbai"))
    new = tls_fleet["mumbai"].certificate.fingerprint
    shown = tls_fleet.run("trust", "mumbai", "--yes")
    assert shown.code == 0
    assert f"pinned {old}" in shown.out
    assert f"now    {new}" in shown.out
    assert tls_fleet.sync().code == 0


def test_a_certificate_that_expired_is_not_pinned(tls_fleet):
    present(tls_fleet, "mumbai", self_signed("mumbai", expired=True))
    done = tls_fleet.sync()
    assert done.code == 1
    summary, hint = one_line_each(done, "mumbai")
    assert "was valid until" in summary
    assert "/ip/service set api-ssl certificate=NAME" in hint
    assert "fleet:acme:pune" in tls_fleet.peers("hq")


def test_an_expired_certificate_of_a_ca_is_refused(tls_fleet, tmp_path):
    certificate = self_signed("mumbai", expired=True)
    ca = tmp_path / "ca.pem"
    ca.write_text(certificate.certificate_pem)
    tls_fleet.routers["mumbai"]["tls"] = {"ca": str(ca)}
    present(tls_fleet, "mumbai", certificate)
    done = tls_fleet.sync("--json")
    assert done.code == 1
    assert "expired" in done.router("mumbai")["summary"]
    assert "give it a new certificate" in done.router("mumbai")["hint"]


def test_an_expired_certificate_that_the_inventory_pins_is_refused_with_exit_1_and_others_go_on(tls_fleet):
    certificate = self_signed("mumbai", expired=True)
    tls_fleet.routers["mumbai"]["tls"] = {"fingerprint": f"SHA256:{certificate.fingerprint}"}
    present(tls_fleet, "mumbai", certificate)
    done = tls_fleet.sync()
    assert done.code == 1
    summary, hint = one_line_each(done, "mumbai")
    assert "was valid until" in summary
    assert "/certificate sign NAME" in hint
    assert tls_fleet["mumbai"].counters.logins == 0
    assert "fleet:acme:pune" in tls_fleet.peers("hq")


def test_a_fingerprint_given_in_the_inventory_is_no_pin_and_trust_says_to_edit_it(tls_fleet):
    tls_fleet.routers["mumbai"]["tls"] = {"fingerprint": "SHA256:" + "ab" * 32}
    assert tls_fleet.sync().code == 1
    done = tls_fleet.run("trust", "mumbai", "--yes")
    assert done.code == 1
    assert "correct `host_key:` or `tls:` of mumbai" in done.err


def test_plain_api_over_a_routed_network_is_refused_before_the_password_is_sent(synced):
    synced.routers["pune"]["host"] = "192.0.2.1"
    done = synced.run("plan", "pune", "--only", "--json")
    assert done.code == 1
    assert "the password would cross the network readable" in done.router("pune")["summary"]


# ------------------------------------------------------------------------------------------------------------ keys
def change_key(net: SimulatedFleet, name: str) -> None:
    net[name].change("/interface/wireguard", "wg0", private_key="yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=")


def test_a_wireguard_key_changed_on_a_router_is_refused_and_nothing_is_written(synced):
    change_key(synced, "pune")
    before = synced.snapshots()
    done = synced.sync()
    assert done.code == 1
    summary, hint = one_line_each(done, "pune")
    assert "pinned is" in summary
    assert "fleet trust pune" in hint
    assert synced.snapshots() == before


def test_trust_shows_both_keys_and_the_next_sync_lets_the_new_one_in(synced):
    old = synced.interface("pune")["public-key"]
    change_key(synced, "pune")
    new = synced.interface("pune")["public-key"]
    shown = synced.run("trust", "pune", "--yes")
    assert shown.code == 0
    assert f"pinned {old}" in shown.out
    assert f"now    {new}" in shown.out
    assert synced.sync().code == 0
    assert synced.peers("hq")["fleet:acme:pune"]["public-key"] == new
    assert synced.run("status").code == 0


def test_an_old_key_that_was_given_up_never_comes_back_by_itself(synced):
    old = synced.interface("pune")["private-key"]
    change_key(synced, "pune")
    assert synced.run("trust", "pune", "--yes").code == 0
    assert synced.sync().code == 0
    synced["pune"].change("/interface/wireguard", "wg0", private_key=old)
    assert synced.sync().code == 1
    refused = synced.run("trust", "pune", "--yes")
    assert refused.code == 4
    assert "revoked for ever" in refused.err


def test_trust_without_yes_asks_nobody_in_a_pipe_and_changes_nothing(synced):
    change_key(synced, "pune")
    done = synced.run("trust", "pune")
    assert done.code == 3
    assert "fleet trust pune --yes" in done.err
    assert synced.sync().code == 1


def test_trust_of_a_router_that_shows_what_is_pinned_has_nothing_to_accept(synced):
    done = synced.run("trust", "pune", "--yes")
    assert done.code == 0
    assert "nothing to accept" in done.err


def test_a_spoke_that_lost_its_key_is_a_failure_that_names_trust(synced):
    synced["pune"].delete("/interface/wireguard", "wg0")
    done = synced.sync()
    assert done.code == 1
    summary, hint = one_line_each(done, "pune")
    assert "is gone, and with it its key" in summary
    assert "fleet trust pune" in hint


def test_trust_of_a_reset_spoke_gives_it_a_new_key_and_its_old_address(synced):
    old = synced.interface("pune")
    synced["pune"].delete("/interface/wireguard", "wg0")
    shown = synced.run("trust", "pune", "--yes")
    assert "none: the interface is gone, a new key will be made" in shown.out
    assert synced.sync().code == 0
    new = synced.interface("pune")
    assert new["public-key"] != old["public-key"]
    assert synced.peers("hq")["fleet:acme:pune"]["allowed-address"].split(",")[0] == "10.100.0.3/32"
    assert synced.run("plan").code == 0
    assert synced.ether.ping(synced["mumbai"], "192.168.20.1", "192.168.30.1")


def test_the_only_hub_that_lost_its_interface_gets_the_same_key_back_from_escrow(synced):
    old = synced.interface("hq")["private-key"]
    synced["hq"].delete("/interface/wireguard", "wg0")
    assert synced.run("plan").code == 2
    assert synced.sync().code == 0
    assert synced.interface("hq")["private-key"] == old
    assert synced.run("plan").code == 0
    assert synced.ether.ping(synced["mumbai"], "192.168.20.1", "192.168.30.1")


def test_the_native_preview_of_that_shows_that_a_key_is_sent_and_not_which(synced):
    key = synced.interface("hq")["private-key"]
    synced["hq"].delete("/interface/wireguard", "wg0")
    shown = synced.run("plan", "--native")
    assert "private-key=***" in shown.out
    assert key not in shown.said


def test_trust_does_not_give_up_a_hub_key_that_is_in_escrow(synced):
    synced["hq"].delete("/interface/wireguard", "wg0")
    done = synced.run("trust", "hq", "--yes")
    assert "nothing to accept" in done.err
    assert synced.sync().code == 0


def test_a_bug_in_a_driver_fails_its_router_alone(synced, monkeypatch):
    genuine = MikrotikDriver.observe

    def observe(self, link):
        if link.target.router == "pune":
            raise KeyError("a word this driver never met")
        return genuine(self, link)

    monkeypatch.setattr(MikrotikDriver, "observe", observe)
    done = synced.sync("--json")
    assert done.code == 1
    assert done.outcomes() == {"hq": "in sync", "mumbai": "in sync", "pune": "failed"}
    assert "internal error with driver mikrotik: KeyError" in done.router("pune")["summary"]
    assert "Traceback" not in done.err
    assert "a word this driver never met" in synced.run("-vv", "sync", "--yes").err


def test_check_login_prefers_failed_over_pending_in_its_exit_code(synced):
    synced["mumbai"].set_offline()
    synced.routers["pune"]["password"] = "env:WRONG"
    assert synced.run("check", "--login", WRONG="x").code == 1


def test_check_login_of_a_fleet_that_answers_exits_0_and_writes_nothing(synced):
    before = synced.snapshots()
    done = synced.run("check", "--login")
    assert done.code == 0
    assert done.out.count("logged in and read") == 3
    assert synced.snapshots() == before


def test_status_of_a_hub_that_refuses_the_login_is_a_failure_and_of_one_offline_is_pending(synced):
    assert synced.run("status", FLEET_TEST_PASSWORD="wrong").code == 1
    synced["hq"].set_offline()
    assert synced.run("status").code == 6
    assert synced.run("status", "--pending-ok").code == 0
    assert PASSWORD not in synced.run("status").said
