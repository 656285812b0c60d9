"""Editing a wg-quick file: what is not ours survives, whatever it looks like."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wg_quick_host import key, mark, private_key

from fleet import HIDDEN, Endpoint, Mark, Peer, PublicKey, Secret
from fleet.drivers.wg_quick.conf import Conf, Line, addresses_of, number_of, read_peer, write_peer

ALL = ("mark", "preshared_key", "allowed_ips", "endpoint", "persistent_keepalive")


def conf(text: str) -> Conf:
    return Conf(Line.read(line, number) for number, line in enumerate(text.split("\n"), 1))


def text(conf: Conf) -> str:
    return "\n".join(line.text + (line.secret.reveal() if line.secret else "") for line in conf.lines)


def section(body: str) -> Peer:
    return read_peer(next(section for _, section in conf(f"[Peer]\n{body}").peers))


FOREIGN = f"""# by hand
[Interface]
Address = 10.0.0.1/24 # office
PostUp = echo "[Peer]"; true
DNS=1.1.1.1

# the laptop of the boss
[Peer]
PublicKey={key(7)}   # do not touch
AllowedIPs=10.0.0.7"""


def test_a_file_that_is_not_edited_keeps_every_line_and_its_number() -> None:
    assert [line.number for line in conf(FOREIGN).lines] == list(range(1, 11))
    assert text(conf(FOREIGN)) == FOREIGN


def test_a_new_peer_goes_to_the_end_and_leaves_all_lines_above_alone() -> None:
    edited = conf(FOREIGN)
    peer = Peer(key(1), frozenset({ipaddress.ip_network("10.0.0.9/32")}), mark=mark("mumbai"))
    write_peer(edited.peer(peer.public_key), peer, ALL)
    assert text(edited) == FOREIGN + f"\n\n[Peer]\n# fleet:acme:mumbai\nPublicKey = {key(1)}\nAllowedIPs = 10.0.0.9/32"


def test_removing_a_peer_that_was_added_gives_the_file_back() -> None:
    edited = conf(FOREIGN)
    edited.peer(key(1))
    edited.remove_peer(key(1))
    assert text(edited) == FOREIGN


def test_a_comment_above_the_next_peer_survives_the_removal_of_ours() -> None:
    edited = conf(f"[Peer]\n# fleet:acme:a\nPublicKey = {key(1)}\n\n# the printer\n[Peer]\nPublicKey = {key(2)}")
    edited.remove_peer(key(1))
    assert text(edited) == f"\n# the printer\n[Peer]\nPublicKey = {key(2)}"


def test_a_changed_value_keeps_the_comment_behind_it() -> None:
    edited = conf(f"[Peer]\nPublicKey = {key(1)}\nEndpoint = 192.0.2.1:1 # fibre")
    write_peer(edited.peer(key(1)), Peer(key(1), endpoint=Endpoint("192.0.2.2", 2)), ["endpoint"])
    assert text(edited).endswith("Endpoint = 192.0.2.2:2 # fibre")


def test_several_allowed_ips_lines_become_one() -> None:
    edited = conf(f"[Peer]\nPublicKey = {key(1)}\nAllowedIPs = 10.0.0.1\nallowedips = 10.0.0.2, 10.0.0.3/32")
    write_peer(edited.peer(key(1)), Peer(key(1), frozenset({ipaddress.ip_network("10.9.0.0/16")})), ["allowed_ips"])
    assert text(edited).split("\n")[2:] == ["AllowedIPs = 10.9.0.0/16"]


def test_a_parked_peer_has_no_allowed_ips_line() -> None:
    edited = conf(f"[Peer]\nPublicKey = {key(1)}\nAllowedIPs = 10.0.0.1")
    write_peer(edited.peer(key(1)), Peer(key(1)), ["allowed_ips"])
    assert "AllowedIPs" not in text(edited)


def test_a_removed_preshared_key_leaves_no_line() -> None:
    edited = conf(f"[Peer]\nPublicKey = {key(1)}\nPresharedKey = {private_key(3).reveal()}")
    write_peer(edited.peer(key(1)), Peer(key(1)), ["preshared_key"])
    assert "PresharedKey" not in text(edited)


def test_a_preshared_key_of_ours_never_shows_in_a_repr() -> None:
    line = Line.read(f"PresharedKey = {private_key(3).reveal()}", 4)
    assert line.secret == private_key(3)
    assert private_key(3).reveal() not in repr(line)


def test_a_hidden_preshared_key_is_set_but_not_known() -> None:
    peer = Conf([Line("[Peer]"), Line(f"PublicKey = {key(1)}"), Line("", 3, "PresharedKey")]).peer(key(1))
    assert read_peer(peer).preshared_key is HIDDEN


def test_an_existing_comment_is_kept_when_the_mark_in_it_changes() -> None:
    edited = conf(f"[Peer]\n# branch 7, fleet:acme:old, ring Mary first\nPublicKey = {key(1)}")
    edited.peer(key(1)).set_mark(Mark("acme", "new", 2))
    assert text(edited).split("\n")[1] == "# branch 7, fleet:acme:new:2, ring Mary first"


def test_a_mark_in_a_comment_above_the_section_marks_nothing() -> None:
    assert conf(f"# fleet:acme:a\n[Peer]\nPublicKey = {key(1)}").peer(key(1)).mark is None


@pytest.mark.parametrize(
    ("line", "networks"),
    [
        ("AllowedIPs = 10.0.0.7", {"10.0.0.7/32"}),
        ("allowedips=10.0.0.9/24, fd00::1/64 # both", {"10.0.0.0/24", "fd00::/64"}),
        ("ALLOWEDIPS =", set()),
    ],
)
def test_allowed_ips_are_read_as_wg_reads_them(line: str, networks: set[str]) -> None:
    assert {str(network) for network in section(f"PublicKey = {key(1)}\n{line}").allowed_ips} == networks


def test_keepalive_off_and_keepalive_absent_are_the_same() -> None:
    off = section(f"PublicKey = {key(1)}\nPersistentKeepalive = off")
    assert off == section(f"PublicKey = {key(1)}")


def test_the_last_section_of_a_key_counts() -> None:
    double = conf(f"[Peer]\nPublicKey = {key(1)}\nAllowedIPs = 10.0.0.1\n[Peer]\nPublicKey = {key(1)}\nAllowedIPs = 10.0.0.2")
    ((_, counts),) = double.peers
    assert [str(network) for network in read_peer(counts).allowed_ips] == ["10.0.0.2/32"]


def test_removing_a_key_that_is_there_twice_removes_both_sections() -> None:
    double = conf(f"[Interface]\n[Peer]\nPublicKey = {key(1)}\n[Peer]\nPublicKey = {key(1)}")
    double.remove_peer(key(1))
    assert text(double) == "[Interface]"


def test_settings_of_several_interface_sections_count_together() -> None:
    parts = conf("[Interface]\nAddress = 10.0.0.1/24\n[interface]\nAddress = fd00::1/64, 10.0.1.1\nListenPort = 0x1234")
    assert sorted(map(str, addresses_of(parts))) == ["10.0.0.1/24", "10.0.1.1/32", "fd00::1/64"]
    assert number_of(parts, "listenport") == 0x1234


def test_a_broken_key_is_an_error_and_not_another_peer() -> None:
    with pytest.raises(ValueError, match="not a WireGuard public key"):
        section("PublicKey = abc")


# ---------------------------------------------------------------------------------------------- any file, any edits
_words = st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), max_size=20)
_foreign_line = st.one_of(
    _words,
    st.sampled_from(
        ["", "# note", "[Interface]", "DNS = 1.1.1.1", "PostUp = iptables -A FORWARD -j ACCEPT", "MTU=1300", "Table = 7"]
    ),
    st.integers(100, 120).map(lambda number: f"[Peer]\nPublicKey = {key(number)}\nAllowedIPs = 10.9.0.{number}"),
)
_peer = st.builds(
    Peer,
    public_key=st.integers(1, 6).map(key),
    allowed_ips=st.frozensets(st.sampled_from([ipaddress.ip_network(f"10.1.{n}.0/24") for n in range(4)])),
    endpoint=st.sampled_from([None, Endpoint("hub.example.com", 51820), Endpoint("2001:db8::1", 51820)]),
    persistent_keepalive=st.sampled_from([0, 25]),
    preshared_key=st.sampled_from([None, private_key(8)]),
    mark=st.sampled_from([mark("mumbai"), Mark("acme", "pune", 3)]),
)


@given(st.lists(_foreign_line, max_size=12), st.lists(st.one_of(_peer, st.integers(1, 6).map(key)), max_size=8))
def test_foreign_lines_survive_any_edits_in_any_order(foreign: list[str], edits: list[Peer | PublicKey]) -> None:
    original = "\n".join(foreign)
    edited = conf(original)
    for edit in edits:
        if isinstance(edit, PublicKey):
            edited.remove_peer(edit)
        else:
            write_peer(edited.peer(edit.public_key), edit, ALL)
    kept = [line.number for line in edited.lines if line.number and line.text.strip()]
    assert kept == [number for number, line in enumerate(original.split("\n"), 1) if line.strip()]


@given(st.lists(_foreign_line, max_size=8), st.lists(_peer, max_size=6))
def test_what_is_written_is_what_is_read(foreign: list[str], peers: list[Peer]) -> None:
    edited = conf("\n".join(foreign))
    for peer in peers:
        write_peer(edited.peer(peer.public_key), peer, ALL)
    again = conf(text(edited))
    wanted = {peer.public_key: peer for peer in peers}
    assert {key: read_peer(again.peer(key)) for key in wanted} == wanted


def test_secrets_of_the_model_are_compared_by_value() -> None:
    peer = section(f"PublicKey = {key(1)}\nPresharedKey = {private_key(8).reveal()}")
    assert peer.preshared_key == Secret(private_key(8).reveal())
