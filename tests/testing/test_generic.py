"""The invented devices that driver authors test against."""

from __future__ import annotations

import base64

import pytest
from toy_drivers import ItemDriver

from fleet.errors import ConnectionLost, Rejected, Unreachable
from fleet.link import Exec, Http, Reply, Request, Session, Words
from fleet.model import Secret
from fleet.testing.contract import DriverContract
from fleet.testing.generic import PLANTED_KEY, BatchSimulator, FileSimulator, ItemSimulator, Simulator

KEY = base64.b64encode(b"k" * 32).decode()
PRIVATE = base64.b64encode(b"p" * 32).decode()
PSK = Secret(base64.b64encode(b"s" * 32).decode())
WG0 = Http("POST", "/interfaces", body={"name": "wg0", "listen_port": 51820})
PEER = {"interface": "wg0", "public_key": KEY, "allowed_ips": ["10.0.0.2/32"]}


class TestItemDriverOnItemSimulator(DriverContract):
    driver = ItemDriver()

    def device(self) -> ItemSimulator:
        return ItemSimulator()


def answers(device: Simulator, *requests: Request) -> list[Reply]:
    """All replies; the first refusal is raised."""
    replies = []
    for reply in device.connect().send(requests):
        if not isinstance(reply, Reply):
            raise reply
        replies.append(reply)
    return replies


def configured(*lines: str) -> Exec:
    return Exec("configure", stdin=("".join(f"{line}\n" for line in lines),))


def test_a_device_is_a_session_that_the_link_can_use() -> None:
    assert isinstance(ItemSimulator().connect(), Session)


def test_an_interface_makes_its_own_key_and_shows_the_public_half_only() -> None:
    read = answers(ItemSimulator(), WG0, Http("GET", "/interfaces"))[1].data
    assert isinstance(read, list)
    assert len(read[0]["public_key"]) == 44
    assert "private_key" not in read[0]


def test_items_are_made_changed_and_removed_by_id() -> None:
    device = ItemSimulator()
    made = answers(device, WG0, Http("POST", "/peers", body=PEER))[1].data
    assert made == {"id": "p1"}
    answers(device, Http("PATCH", "/peers/p1", body={"keepalive": 25}))
    assert device.tables.peers["wg0", KEY]["keepalive"] == 25
    answers(device, Http("DELETE", "/peers/p1"))
    assert device.writes() == 4
    assert device.tables.peers == {}


def test_an_id_is_not_used_twice() -> None:
    device = ItemSimulator()
    again = answers(
        device, WG0, Http("POST", "/peers", body=PEER), Http("DELETE", "/peers/p1"), Http("POST", "/peers", body=PEER)
    )
    assert again[-1].data == {"id": "p2"}


@pytest.mark.parametrize(
    "request_",
    [
        Http("POST", "/peers", body={**PEER, "colour": "red"}),
        Http("POST", "/peers", body={**PEER, "interface": "wg9"}),
        Http("POST", "/peers", body={**PEER, "public_key": "short"}),
        Http("POST", "/peers", body={**PEER, "public_key": PRIVATE}),
        Http("POST", "/peers", body=PEER),
        Http("POST", "/peers", body={**PEER, "public_key": PRIVATE, "allowed_ips": ["10.0.0.1/24"]}),
        Http("PATCH", "/peers/p9", body={"keepalive": 1}),
        Http("PATCH", "/peers/p1", body={"keepalive": 70000}),
        Http("PATCH", "/peers/p1", body={"endpoint": "2001:db8::1:51820"}),
        Http("POST", "/interfaces", body={"name": "wg0"}),
        Http("POST", "/interfaces", body={"name": "wg1", "listen_port": 51820}),
        Http("DELETE", "/routes/1"),
        Exec("reboot"),
    ],
    ids=lambda request: request.native()[:60],
)
def test_what_an_item_device_refuses_changes_nothing(request_: Request) -> None:
    device = ItemSimulator()
    answers(device, WG0, Http("POST", "/peers", body=PEER))
    before, writes = device.snapshot(), device.writes()
    with pytest.raises(Rejected):
        answers(device, request_)
    assert (device.snapshot(), device.writes()) == (before, writes)


def test_the_same_items_in_words() -> None:
    device = ItemSimulator()
    words = (("interface", "wg0"), ("public_key", KEY), ("allowed_ips", "10.0.0.2/32,10.9.0.0/16"), ("preshared_key", PSK))
    made = answers(device, WG0, Words("/peers/add", words), Words("/peers/print"))
    assert made[1].value == "p1"
    assert made[2].rows[0]["allowed_ips"] == "10.0.0.2/32,10.9.0.0/16"
    assert made[2].rows[0]["preshared_key"] == "hidden"


def test_a_batch_is_applied_whole() -> None:
    device = BatchSimulator()
    key = f"set interface wg0 peer {KEY}"
    answers(
        device,
        configured("set interface wg0 listen_port 51820", f"{key} allowed_ips 10.0.0.2/32", f"{key} keepalive 25", "commit"),
    )
    shown = answers(device, Exec("show"))[0].text
    assert f"{key} keepalive 25\n" in shown
    assert "private_key" not in shown


def test_one_bad_line_of_a_batch_leaves_everything_as_it_was_and_is_named() -> None:
    device = BatchSimulator()
    with pytest.raises(Rejected, match="line 2"):
        answers(device, configured("set interface wg0 listen_port 51820", "set interface wg0 colour red", "commit"))
    assert device.snapshot() == ""


def test_a_batch_without_commit_is_discarded() -> None:
    device = BatchSimulator()
    with pytest.raises(Rejected, match="uncommitted"):
        answers(device, configured("set interface wg0 listen_port 51820"))
    assert device.writes() == 0


def test_a_batch_deletes_a_field_a_peer_an_interface() -> None:
    device = BatchSimulator()
    peer = f"interface wg0 peer {KEY}"
    answers(
        device, configured("set interface wg0", f"set {peer} keepalive 25", f"set {peer} endpoint vpn.example.com:1", "commit")
    )
    answers(device, configured(f"delete {peer} endpoint", f"delete {peer} keepalive", "commit"))
    assert "endpoint" not in answers(device, Exec("show"))[0].text
    answers(device, configured(f"delete {peer}", "delete interface wg0", "commit"))
    assert device.snapshot() == ""


def test_a_note_with_spaces_survives_a_batch() -> None:
    device = BatchSimulator()
    answers(device, configured("set interface wg0 note head office, do not touch", "commit"))
    assert "note head office, do not touch\n" in answers(device, Exec("show"))[0].text


def test_a_file_is_stored_first_and_runs_after_reload() -> None:
    device = FileSimulator()
    text = f"[Interface]\nPrivateKey = {PRIVATE}\n# note\n[Peer]\nPublicKey = {KEY}\nAllowedIPs = 10.0.0.2/32\n"
    answers(device, Exec("install /etc/wireguard/wg0.conf", stdin=(Secret(text),)))
    with pytest.raises(Rejected):
        answers(device, Exec("running wg0"))
    answers(device, Exec("reload wg0"))
    running = answers(device, Exec("running wg0"), Exec("cat /etc/wireguard/wg0.conf"))
    assert PRIVATE not in running[0].text
    assert running[1].text == text


def test_a_file_that_cannot_be_parsed_is_not_loaded_and_the_line_is_named() -> None:
    device = FileSimulator()
    answers(device, Exec("install /etc/wireguard/wg0.conf", stdin=("[Interface]\nColour = red\n",)))
    with pytest.raises(Rejected, match="line 2"):
        answers(device, Exec("reload wg0"))
    assert device.running == {}


def test_reload_without_a_file_takes_the_interface_down() -> None:
    device = FileSimulator(path="/etc/acme/{interface}.conf")
    path = "/etc/acme/wg0.conf"
    answers(
        device,
        Exec(f"install {path}", stdin=(f"[Interface]\nPrivateKey = {PRIVATE}\n",)),
        Exec("reload wg0"),
        Exec(f"rm {path}"),
    )
    assert "wg0" in device.running
    answers(device, Exec("reload wg0"))
    assert device.running == {}


def test_a_missing_file_is_an_exit_code_that_a_driver_may_accept() -> None:
    assert answers(FileSimulator(), Exec("cat /nothing", accept=frozenset({0, 1})))[0].code == 1


@pytest.mark.parametrize(
    "device", [ItemSimulator(), BatchSimulator(), FileSimulator()], ids=lambda device: type(device).__name__
)
def test_planted_things_are_seen_as_foreign(device: Simulator) -> None:
    start = {
        ItemSimulator: WG0,
        BatchSimulator: configured("set interface wg0 listen_port 51820", "commit"),
        FileSimulator: Exec("install /etc/wireguard/wg0.conf", stdin=(f"[Interface]\nPrivateKey = {PRIVATE}\n",)),
    }
    answers(device, start[type(device)])
    before = device.foreign()
    device.plant("wg0")
    assert device.foreign() != before
    assert PLANTED_KEY in str(device.foreign())


@pytest.mark.parametrize(("kind", "done"), [("drop_before", 0), ("drop_after", 1)])
def test_a_lost_connection_leaves_the_rest_unsent(kind: str, done: int) -> None:
    device = ItemSimulator()
    device.fault(1, kind)  # type: ignore[arg-type]
    first, second = device.connect().send([WG0, Http("GET", "/interfaces")])
    assert isinstance(first, ConnectionLost)
    assert isinstance(second, ConnectionLost)
    assert (first.sent, second.sent) == (True, False)
    assert device.writes() == done


def test_an_offline_device_is_unreachable() -> None:
    device = ItemSimulator()
    device.offline = True
    with pytest.raises(Unreachable):
        device.connect()


def test_bodies_and_standard_input_are_not_exposed() -> None:
    device = BatchSimulator()
    answers(device, Exec("configure", stdin=("set interface wg0 private_key ", Secret(PRIVATE), "\ncommit")))
    assert device.exposed() == "configure"
