from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet import Driver
from fleet.drivers.manual import ManualDriver
from fleet.errors import InventoryError, UsageError
from fleet.inventory import load, load_text
from fleet.model import Fleet
from fleet.scaffold import from_csv, write_inventory


class _Linux(ManualDriver):
    name = "wg-quick"
    transport = "ssh"
    jump = True


class _Mikrotik(ManualDriver):
    name = "mikrotik"
    transport = "routeros"


DRIVERS: dict[str, type[Driver]] = {"wg-quick": _Linux, "mikrotik": _Mikrotik, "manual": ManualDriver}

SHEET = """\
Site Name,Vendor,Mgmt IP,LAN Subnet,Public IP,Role,City
Head Office,Linux,198.51.100.10,192.168.1.0/24 192.168.2.0/24,198.51.100.10,hub,Chennai
Mumbai Branch 2,MikroTik hAP ax3,10.5.5.1,192.168.20.0/24;192.168.21.0/24,,branch,03
pune,routeros,,192.168.30.0/24,,,
"""


def fleet_of(sheet: str) -> Fleet:
    return load_text(from_csv(sheet, DRIVERS, file="sites.csv"), DRIVERS)


def refused(sheet: str) -> str:
    with pytest.raises(InventoryError) as caught:
        from_csv(sheet, DRIVERS, file="sites.csv")
    return str(caught.value)


# --------------------------------------------------------------------------------------------- a first inventory
def test_the_first_inventory_loads_as_it_is(tmp_path: Path) -> None:
    path = write_inventory(tmp_path / "inventory", "acme")
    assert load(path, DRIVERS).overlay.name == "acme"


def test_the_first_inventory_explains_itself(tmp_path: Path) -> None:
    assert write_inventory(tmp_path, "acme").read_text().count("#") > 10


def test_the_folder_of_secrets_is_ignored_by_git(tmp_path: Path) -> None:
    write_inventory(tmp_path, "acme")
    assert (tmp_path / ".gitignore").read_text() == ".fleet/\n"


def test_an_existing_gitignore_keeps_its_lines(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.bak")
    write_inventory(tmp_path, "acme")
    assert (tmp_path / ".gitignore").read_text() == "*.bak\n.fleet/\n"


def test_a_folder_that_holds_an_inventory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("x")
    with pytest.raises(UsageError, match=r"already holds mine\.yaml"):
        write_inventory(tmp_path, "acme")
    assert [each.name for each in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_name_that_cannot_be_an_overlays_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'Acme Corp' is not a name"):
        write_inventory(tmp_path / "new", "Acme Corp")
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_way_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_inventory(tmp_path / "file", "acme")


def test_an_inventory_from_a_spreadsheet_can_be_written_in_its_place(tmp_path: Path) -> None:
    path = write_inventory(tmp_path, "acme", text=from_csv(SHEET, DRIVERS))
    assert set(load(path, DRIVERS).routers) == {"head-office", "mumbai-branch-2", "pune"}


# ----------------------------------------------------------------------------------------------- a spreadsheet
def test_the_usual_names_of_columns_are_understood() -> None:
    hub = fleet_of(SHEET).routers["head-office"]
    assert (hub.driver, hub.role, hub.hosts) == ("wg-quick", "hub", ("198.51.100.10",))
    assert str(hub.endpoint) == "198.51.100.10:51820"


def test_several_lans_in_a_cell_are_separated_by_space_or_semicolon() -> None:
    fleet = fleet_of(SHEET)
    assert [str(lan) for lan in fleet.routers["head-office"].lans] == ["192.168.1.0/24", "192.168.2.0/24"]
    assert [str(lan) for lan in fleet.routers["mumbai-branch-2"].lans] == ["192.168.20.0/24", "192.168.21.0/24"]


def test_a_site_name_becomes_a_routers_name_and_stays_as_a_label() -> None:
    assert fleet_of(SHEET).routers["mumbai-branch-2"].labels["site"] == "Mumbai Branch 2"


def test_an_unknown_column_becomes_a_label_with_its_spelling() -> None:
    assert fleet_of(SHEET).routers["mumbai-branch-2"].labels["city"] == "03"


def test_an_empty_cell_says_nothing() -> None:
    pune = fleet_of(SHEET).routers["pune"]
    assert (pune.hosts, pune.labels) == ((), {})


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found(separator: str) -> None:
    sheet = "name,driver,lan,endpoint\nhq,linux,192.168.1.0/24,vpn.example.com:4500\na,mikrotik,192.168.2.0/24,\n"
    fleet = fleet_of(sheet.replace(",", separator))
    assert str(fleet.routers["hq"].endpoint) == "vpn.example.com:4500"


def test_without_a_role_the_only_router_with_an_endpoint_is_the_hub() -> None:
    fleet = fleet_of("name,driver,endpoint\nhq,linux,vpn.example.com\na,mikrotik,\n")
    assert [hub.name for hub in fleet.hubs] == ["hq"]


def test_without_role_and_endpoint_the_cure_is_a_column() -> None:
    message = refused("name,driver\nhq,linux\na,mikrotik\n")
    assert "sites.csv:1: no row says which router is the hub, and no row has an endpoint" in message
    assert "add a column `role`" in message


def test_groups_of_the_sheet_exist_in_the_inventory() -> None:
    fleet = fleet_of("name,driver,endpoint,groups\nhq,linux,vpn.example.com,\na,mikrotik,,north shops\n")
    assert fleet.routers["a"].groups == ("north", "shops")


def test_an_excel_byte_order_mark_and_its_line_ends_are_no_problem() -> None:
    assert len(fleet_of("\ufeff" + SHEET.replace("\n", "\r\n")).routers) == 3


def test_blank_rows_are_skipped_and_lines_still_count() -> None:
    assert "sites.csv:4: router a" in refused("name,driver,endpoint\nhq,linux,vpn.example.com\n,,\na,foo,\n")


def test_a_line_break_in_a_quoted_cell_does_not_shift_the_lines() -> None:
    sheet = 'name,driver,endpoint,note\nhq,linux,vpn.example.com,"two\nlines"\na,foo,,\n'
    assert "sites.csv:2: invisible characters in note" in refused(sheet)
    assert "sites.csv:4: router a: no driver 'foo'" in refused(sheet.replace('"two\nlines"', '"\n"'))


def test_all_rows_with_problems_are_named_at_once_with_their_lines() -> None:
    message = refused(
        "name,driver,lan,role,endpoint\nhq,linux,192.168.1.0/24,hub,vpn.example.com\n"
        "a,foo,192.168.9.1/24,,\nb,mikrotik,192.168.1.128/25,,\n"
    )
    assert "sites.csv:3: router a: lans[0]: '192.168.9.1/24' has host bits set" in message
    assert "sites.csv:3: router a: no driver 'foo' is installed" in message
    assert "sites.csv:4: router b claims 192.168.1.128/25, which overlaps 192.168.1.0/24 of hq (line 2)" in message


def test_two_rows_of_one_name_are_refused() -> None:
    message = refused("name,driver,endpoint\nPune 1,linux,vpn.example.com\npune-1,mikrotik,\n")
    assert "sites.csv:3: router pune-1 is also in line 2" in message


def test_a_password_in_the_sheet_is_refused_and_not_repeated() -> None:
    message = refused("name,driver,endpoint,password\nhq,linux,vpn.example.com,hunter2\n")
    assert "sites.csv:2: column password: a bare secret" in message
    assert "hunter2" not in message


def test_a_secret_reference_in_the_sheet_is_taken() -> None:
    fleet = fleet_of("name,driver,endpoint,password\nhq,linux,vpn.example.com,env:HQ_PASSWORD\n")
    assert fleet.routers["hq"].password == "env:HQ_PASSWORD"


@pytest.mark.parametrize("header", ["driver,lan", "name,lan"])
def test_a_sheet_without_names_or_drivers_is_refused_at_its_header(header: str) -> None:
    assert "sites.csv:1: no column says the" in refused(header + "\nx,192.168.1.0/24\n")


def test_a_row_without_a_name_is_refused() -> None:
    assert "sites.csv:3: this row has no name" in refused("name,driver,endpoint\nhq,linux,vpn.example.com\n,mikrotik,\n")


def test_a_name_of_another_script_is_refused() -> None:
    assert "sites.csv:2: 'मुंबई' cannot become a router's name" in refused("name,driver\nमुंबई,linux\n")


def test_more_cells_than_columns_are_refused() -> None:
    assert "sites.csv:2: more cells than the header" in refused("name,driver\nhq,linux,oops\n")


def test_an_empty_sheet_is_refused() -> None:
    assert "no column says the name" in refused("")
    assert "no rows below the header" in refused("name,driver\n")


@pytest.mark.parametrize(
    "cell", ["$(reboot)", "a: b", "#x", "'", '""', "[x", "{name}", "=1+1", "*a", "&a", "!x", "null", "1e3", "no"]
)
def test_a_cell_that_yaml_would_read_otherwise_arrives_as_it_is(cell: str) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    fleet = fleet_of(f"name,driver,endpoint,note\nhq,linux,vpn.example.com,{quoted}\n")
    assert fleet.routers["hq"].labels == {"note": cell}


@pytest.mark.parametrize("cell", ["\x1b[2J", "a\u202eb", "x\x00"])
def test_a_cell_that_a_terminal_would_obey_is_refused(cell: str) -> None:
    message = refused(f"name,driver,endpoint,note\nhq,linux,vpn.example.com,{cell}\n")
    assert json.dumps(cell) not in message
    assert all(line.isprintable() for line in message.split("\n"))
