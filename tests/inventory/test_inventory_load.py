from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from inventory_drivers import DRIVERS, SMALL, fleet_of, refused, with_routers

from fleet.errors import InventoryError
from fleet.inventory import load, load_text, provenance
from fleet.model import MANAGED, Endpoint, Fleet, Where

LEVELS = """\
overlay: {name: acme, ipv4: 10.100.0.0/24, mtu: 1420, listen_port: 51900}
defaults: {driver: mikrotik, username: fleet, mtu: 1400, labels: {country: india, tier: "3"}, options: {burst: 4}}
groups:
  branches: {username: branch, labels: {tier: "2"}, options: {wan_list: PPP}}
  small: {username: small, persistent_keepalive: 50, mtu: 1380}
routers:
  hq: {driver: wg-quick, role: hub, endpoint: "vpn.example.com:51820", options: null}
  a: {groups: [branches, small], labels: {city: pune}}
  b: {groups: [small, branches], username: own, mtu: null}
"""


@pytest.fixture(scope="module")
def levels() -> Fleet:
    return load_text(LEVELS, DRIVERS, "fleet.yaml")


# --------------------------------------------------------------------------------------------------- precedence
def test_a_router_wins_over_its_groups(levels: Fleet) -> None:
    assert levels.routers["b"].username == "own"


def test_the_first_group_wins_over_the_second(levels: Fleet) -> None:
    assert levels.routers["a"].username == "branch"


def test_a_second_group_fills_what_the_first_leaves_open(levels: Fleet) -> None:
    assert levels.routers["a"].persistent_keepalive == 50


def test_defaults_win_over_the_overlay(levels: Fleet) -> None:
    assert levels.routers["hq"].mtu == 1400


def test_the_overlay_is_the_last_level(levels: Fleet) -> None:
    assert levels.routers["a"].listen_port == 51900


def test_null_does_not_hide_the_mtu_that_a_router_must_have(levels: Fleet) -> None:
    assert levels.routers["b"].mtu == 1380


def test_labels_merge_word_by_word(levels: Fleet) -> None:
    assert levels.routers["a"].labels == {"city": "pune", "tier": "2", "country": "india"}


def test_options_merge_key_by_key(levels: Fleet) -> None:
    assert levels.routers["a"].options == {"burst": 4, "wan_list": "PPP"}


def test_options_null_takes_away_what_defaults_give(levels: Fleet) -> None:
    assert levels.routers["hq"].options == {}


def test_a_list_of_the_nearer_level_replaces_the_farther() -> None:
    fleet = fleet_of("""\
        overlay: {name: acme, ipv4: 10.100.0.0/24}
        defaults: {driver: wg-quick, management_from: [10.1.0.0/24, 10.2.0.0/24]}
        routers:
          hq: {role: hub, endpoint: "vpn.example.com:51820", management_from: [10.3.0.0/24]}
    """)
    assert fleet.routers["hq"].management_from == (ipaddress.ip_network("10.3.0.0/24"),)


def test_an_empty_list_takes_away_what_a_group_gives() -> None:
    fleet = fleet_of("""\
        overlay: {name: acme, ipv4: 10.100.0.0/24}
        defaults: {driver: wg-quick, via: hq}
        routers:
          hq: {role: hub, endpoint: "vpn.example.com:51820", via: []}
          a: {}
    """)
    assert (fleet.routers["hq"].via, fleet.routers["a"].via) == ((), ("hq",))


def test_null_takes_away_an_endpoint_that_defaults_give() -> None:
    fleet = fleet_of("""\
        overlay: {name: acme, ipv4: 10.100.0.0/24}
        defaults: {driver: wg-quick, endpoint: "{name}.example.com:51820"}
        routers:
          hq: {role: hub}
          a: {endpoint: null}
    """)
    assert fleet.routers["a"].endpoint is None
    assert fleet.routers["hq"].endpoint == Endpoint("hq.example.com", 51820)


def test_manage_is_replaced_as_a_whole() -> None:
    fleet = fleet_of("""\
        overlay: {name: acme, ipv4: 10.100.0.0/24}
        defaults: {driver: wg-quick, manage: {routes: false}}
        routers:
          hq: {role: hub, endpoint: "vpn.example.com:51820", manage: {mss: false}}
    """)
    assert fleet.routers["hq"].manage == MANAGED - {"mss"}


def test_provenance_says_level_and_line_of_every_value(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(LEVELS)
    origins = provenance(file, "a")
    assert origins["username"] == ("group branches", Where(str(file), 4))
    assert origins["mtu"].level == "group small"
    assert origins["driver"] == ("defaults", Where(str(file), 2))
    assert origins["listen_port"] == ("overlay", Where(str(file), 1))
    assert origins["labels.city"] == ("router", Where(str(file), 8))
    assert origins["labels.tier"].level == "group branches"


def test_provenance_of_an_unknown_router_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(LEVELS)
    with pytest.raises(InventoryError, match="no router is called 'x'"):
        provenance(file, "x")


# ------------------------------------------------------------------------------------------------- placeholders
def test_name_and_labels_are_filled_into_secret_references() -> None:
    router = with_routers('a: {driver: mikrotik, password: "cmd:pass {labels.city}/{name}", labels: {city: pune}}').routers["a"]
    assert router.password == "cmd:pass pune/a"


def test_name_is_filled_into_every_host_of_a_list() -> None:
    router = with_routers('a: {driver: mikrotik, host: ["{name}.lan", "{name}.example.com"]}').routers["a"]
    assert router.hosts == ("a.lan", "a.example.com")


def test_name_is_filled_into_options() -> None:
    router = with_routers('a: {driver: mikrotik, options: {wan_list: "{name}-wan"}}').routers["a"]
    assert router.options == {"wan_list": "a-wan"}


def test_a_host_is_judged_after_filling() -> None:
    text = SMALL + '  a: {driver: mikrotik, host: "{labels.site}.example.com", labels: {site: "x y"}}\n'
    assert "router a: host: 'x y.example.com' is not a host name or address" in refused(text)


def test_braces_of_a_shell_are_the_commands_own() -> None:
    reference = "cmd:awk '{print}' ${name}"
    assert with_routers(f'a: {{driver: mikrotik, password: "{reference}"}}').routers["a"].password == reference


# ------------------------------------------------------------------------------------------------ single values
def test_a_label_keeps_its_spelling() -> None:
    router = with_routers("a: {driver: mikrotik, labels: {floor: 03, version: 1.10, open: yes, up: true}}").routers["a"]
    assert router.labels == {"floor": "03", "version": "1.10", "open": "yes", "up": "true"}


def test_words_of_older_yaml_are_switches() -> None:
    assert not with_routers("a: {driver: mikrotik, enabled: no}").routers["a"].enabled


def test_a_single_value_stands_for_a_list_of_one() -> None:
    router = with_routers("a: {driver: mikrotik, lans: 192.168.2.0/24, host: 192.0.2.7, via: hq, address: 10.100.0.7}").routers[
        "a"
    ]
    assert router.lans == (ipaddress.ip_network("192.168.2.0/24"),)
    assert (router.hosts, router.via) == (("192.0.2.7",), ("hq",))
    assert router.addresses == (ipaddress.ip_address("10.100.0.7"),)


def test_a_path_of_an_ssh_key_is_a_reference_to_its_file() -> None:
    assert with_routers("a: {driver: wg-quick, ssh_key: ~/.ssh/fleet}").routers["a"].ssh_key == "file:~/.ssh/fleet"


def test_a_plugins_secret_scheme_is_a_reference() -> None:
    assert with_routers('a: {driver: wg-quick, password: "vault:kv/fleet#pw"}').routers["a"].password == "vault:kv/fleet#pw"


def test_an_ipv6_endpoint_is_read_with_brackets() -> None:
    router = with_routers('a: {driver: wg-quick, endpoint: "[2001:db8::7]:51820"}').routers["a"]
    assert router.endpoint == Endpoint("2001:db8::7", 51820)


def test_the_age_of_keys_may_be_in_weeks() -> None:
    assert with_routers("a: {driver: wg-quick, keys: {max_age: 12w}}").routers["a"].keys.max_age_days == 84


@pytest.mark.parametrize(
    "written", ["SHA256:" + "AB" * 32, ":".join(["ab"] * 32), "sha256:" + ":".join(["AB"] * 32), "ab" * 32]
)
def test_a_certificate_fingerprint_has_one_spelling_inside(written: str) -> None:
    router = with_routers(f'a: {{driver: mikrotik, tls: {{fingerprint: "{written}"}}}}').routers["a"]
    assert router.tls is not None
    assert router.tls.fingerprint == "ab" * 32


def test_a_host_key_line_loses_its_comment() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    assert with_routers(f'a: {{driver: wg-quick, host_key: "{key} root@a"}}').routers["a"].host_key == key


def test_a_host_key_may_be_a_fingerprint() -> None:
    fingerprint = "SHA256:" + "a" * 43
    assert with_routers(f'a: {{driver: wg-quick, host_key: "{fingerprint}"}}').routers["a"].host_key == fingerprint


def test_options_reach_the_router_as_a_plain_mapping() -> None:
    assert with_routers("a: {driver: mikrotik, options: {burst: 8}}").routers["a"].options == {"burst": 8}


def test_an_alias_repeats_a_value() -> None:
    fleet = with_routers(
        "a: {driver: mikrotik, management_from: &noc [10.9.0.0/24]}", "b: {driver: mikrotik, management_from: *noc}"
    )
    assert fleet.routers["b"].management_from == fleet.routers["a"].management_from


def test_routers_stay_in_file_order_and_know_their_line() -> None:
    fleet = with_routers("z: {driver: mikrotik}", "a: {driver: mikrotik}")
    assert list(fleet.routers) == ["hq", "z", "a"]
    assert fleet.routers["a"].where == Where("fleet.yaml", 5)


def test_links_are_pairs_of_names() -> None:
    fleet = fleet_of("""\
        overlay: {name: acme, ipv4: 10.100.0.0/24, links: [[a, b]]}
        routers:
          a: {driver: wg-quick, endpoint: "a.example.com:51820"}
          b: {driver: wg-quick}
    """)
    assert fleet.overlay.links == (("a", "b"),)


# ------------------------------------------------------------------------------------------- what is *not* wrong
def test_natted_pairs_of_a_mesh_are_relayed_through_a_hub_with_an_endpoint() -> None:
    fleet = fleet_of("""\
        overlay: {name: acme, ipv4: 10.100.0.0/24, topology: full-mesh}
        routers:
          h: {driver: wg-quick, role: hub, endpoint: "h.example.com:51820"}
          a: {driver: wg-quick}
          b: {driver: wg-quick}
    """)
    assert len(fleet.routers) == 3


def test_a_suspended_router_leaves_its_lan_to_another() -> None:
    fleet = with_routers(
        "a: {driver: mikrotik, lans: [192.168.2.0/24], enabled: false}", "b: {driver: mikrotik, lans: [192.168.2.0/24]}"
    )
    assert [router.name for router in fleet.enabled] == ["hq", "b"]


def test_a_suspended_router_keeps_its_address() -> None:
    text = (
        SMALL + "  a: {driver: mikrotik, address: 10.100.0.2, enabled: false}\n  b: {driver: mikrotik, address: 10.100.0.2}\n"
    )
    assert "already claimed by a (line 4)" in refused(text)


def test_a_spoke_with_an_endpoint_lets_its_hub_do_without() -> None:
    fleet = fleet_of("""\
        overlay: {name: acme, ipv4: 10.100.0.0/24}
        routers:
          hq: {driver: wg-quick, role: hub}
          a: {driver: mikrotik, endpoint: "a.example.com:51820"}
    """)
    assert fleet.hubs[0].endpoint is None


def test_the_host_of_a_router_behind_a_jump_may_lie_in_its_lan() -> None:
    assert with_routers("a: {driver: mikrotik, via: hq, host: 192.168.2.1, lans: [192.168.2.0/24]}").routers["a"].hosts


def test_a_hub_may_be_logged_in_to_from_its_own_lan() -> None:
    fleet = fleet_of("""\
        overlay: {name: acme, ipv4: 10.100.0.0/24}
        routers:
          hq: {driver: wg-quick, role: hub, host: 192.168.1.1, endpoint: "vpn.example.com:51820", lans: [192.168.1.0/24]}
          a: {driver: mikrotik, via: hq, host: 203.0.113.9}
    """)
    assert fleet.routers["a"].via == ("hq",)


def test_a_spokes_endpoint_in_a_supernet_is_no_loop_because_only_the_hub_dials_it() -> None:
    fleet = fleet_of("""\
        overlay: {name: acme, ipv4: 10.100.0.0/24, lan_supernets: [192.168.0.0/16]}
        routers:
          hq: {driver: wg-quick, role: hub, endpoint: "vpn.example.com:51820"}
          a: {driver: mikrotik, endpoint: "192.168.77.1:51820"}
    """)
    assert fleet.routers["a"].endpoint is not None


def test_two_routers_behind_different_jumps_may_have_one_host() -> None:
    assert (
        len(with_routers("a: {driver: mikrotik, host: 192.168.88.1}", "b: {driver: mikrotik, host: 192.168.88.1}").routers) == 3
    )


# ----------------------------------------------------------------------------------------------------- warnings
def warned(*lines: str) -> str:
    return "\n".join(with_routers(*lines).warnings)


def test_nothing_to_warn_about_is_no_warning() -> None:
    assert with_routers("a: {driver: mikrotik}").warnings == ()


def test_an_overlay_that_is_four_fifths_full_is_warned_about() -> None:
    text = SMALL.replace("/24}", "/29}", 1)
    nearly = load_text(text + "".join(f"  r{i}: {{driver: mikrotik}}\n" for i in range(4)), DRIVERS, "fleet.yaml")
    enough = load_text(text + "".join(f"  r{i}: {{driver: mikrotik}}\n" for i in range(3)), DRIVERS, "fleet.yaml")
    assert "5 of the 6 addresses of 10.100.0.0/29 are used" in "".join(nearly.warnings)
    assert not enough.warnings


def test_gear_without_a_login_needs_its_key_before_it_gets_peers() -> None:
    assert "fleet.yaml:4: phone is never logged in to and has no public_key" in warned("phone: {driver: manual}")


def test_an_mtu_too_small_for_ipv6_is_warned_about() -> None:
    fleet = load_text(
        SMALL.replace("/24}", '/24, ipv6: "fd10::/64"}', 1) + "  a: {driver: mikrotik, mtu: 1200}\n", DRIVERS, "f"
    )
    assert "f:4: a has MTU 1200: IPv6 needs 1280" in "".join(fleet.warnings)


def test_keepalive_off_behind_nat_is_warned_about() -> None:
    assert "a only dials, with keepalive 0" in warned("a: {driver: mikrotik, persistent_keepalive: 0}")


def test_a_lan_outside_the_supernets_is_warned_about() -> None:
    text = (
        SMALL.replace("/24}", "/24, lan_supernets: [192.168.0.0/16]}", 1) + "  a: {driver: mikrotik, lans: [172.16.0.0/24]}\n"
    )
    fleet = load_text(text, DRIVERS, "fleet.yaml")
    assert "LAN 172.16.0.0/24 of a is in no lan_supernets" in "".join(fleet.warnings)


# --------------------------------------------------------------------------------------- files and directories
def test_a_directory_is_its_yaml_files_without_examples_and_subdirectories(tmp_path: Path) -> None:
    (tmp_path / "overlay.yaml").write_text(SMALL)
    (tmp_path / "branches.yaml").write_text("routers:\n  a: {driver: mikrotik}\n")
    (tmp_path / "example-other.yaml").write_text("nonsense: [")
    (tmp_path / "notes.txt").write_text("nonsense: [")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "x.yaml").write_text("nonsense: [")
    assert set(load(tmp_path, DRIVERS).routers) == {"hq", "a"}


def test_a_router_in_two_files_is_refused_with_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SMALL)
    (tmp_path / "b.yaml").write_text("routers:\n  hq: {driver: mikrotik}\n")
    with pytest.raises(InventoryError) as caught:
        load(tmp_path, DRIVERS)
    assert f"{tmp_path}/b.yaml:2: routers: 'hq' is also given at {tmp_path}/a.yaml:3" in str(caught.value)


def test_an_overlap_across_files_names_the_other_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SMALL)
    (tmp_path / "b.yaml").write_text("routers:\n  a: {driver: mikrotik, lans: [192.168.1.0/24]}\n")
    with pytest.raises(InventoryError, match=r"already claimed by hq \(.*/a\.yaml:3\)"):
        load(tmp_path, DRIVERS)


def test_the_folder_of_state_is_the_directory_or_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SMALL)
    assert load(tmp_path, DRIVERS).folder == load(tmp_path / "a.yaml", DRIVERS).folder == str(tmp_path)


def test_an_empty_directory_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="make one with `fleet init`"):
        load(tmp_path, DRIVERS)


def test_yml_files_are_not_silently_ignored_when_nothing_else_is_there(tmp_path: Path) -> None:
    (tmp_path / "fleet.yml").write_text(SMALL)
    with pytest.raises(InventoryError, match=r"rename 'fleet.yml' to \*.yaml"):
        load(tmp_path, DRIVERS)


def test_a_missing_file_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="there is no such file or directory"):
        load(tmp_path / "nothing.yaml", DRIVERS)


def test_unreadable_files_are_all_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("routers: [")
    (tmp_path / "b.yaml").write_bytes(b"routers: \xff")
    with pytest.raises(InventoryError) as caught:
        load(tmp_path, DRIVERS)
    assert [Path(problem.file).name for problem in caught.value.problems] == ["a.yaml", "b.yaml"]


def test_two_thousand_routers_are_judged_without_comparing_every_pair() -> None:
    lines = [f"  r{i}: {{driver: mikrotik, lans: [172.{16 + i // 256}.{i % 256}.0/24], via: hq}}" for i in range(2000)]
    text = SMALL.replace("/24}", "/16}", 1).replace("10.100.0.0", "10.64.0.0") + "\n".join(lines)
    assert len(load_text(text, DRIVERS).routers) == 2001
