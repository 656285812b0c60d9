from __future__ import annotations

import ipaddress
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.keys import secret_fingerprint
from fleet.model import Fleet, Overlay, Secret
from fleet.secrets import FleetSecret, Resolver


def resolver(folder: Path, **environ: str) -> Resolver:
    return Resolver(folder, environ={"PATH": "/usr/bin:/bin", **environ})


def failure(resolving: Resolver, reference: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        resolving.resolve(reference, "mumbai: password")
    return caught.value


# ----------------------------------------------------------------------------------------------------- references
def test_a_variable_of_the_environment_is_a_secret(tmp_path: Path) -> None:
    assert resolver(tmp_path, ROUTER="s3cret").resolve("env:ROUTER", "mumbai: password") == Secret("s3cret")


def test_a_variable_that_is_not_set_is_named_with_router_field_and_reference(tmp_path: Path) -> None:
    error = failure(resolver(tmp_path), "env:ROUTER")
    assert error.summary == "mumbai: password: env:ROUTER is not set"
    assert "export ROUTER" in error.hint
    assert error.exit_code == 3


def test_a_file_beside_the_inventory_is_a_secret_without_its_final_newline(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" s3cret \n\n")
    assert resolver(tmp_path).resolve("file:password", "mumbai: password") == Secret(" s3cret \n")


def test_a_file_below_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text("text of a key")
    assert resolver(Path("/nowhere")).resolve("file:~/key", "mumbai: ssh_key") == Secret("text of a key")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "does not exist"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "not text"), (b"x" * 2_000_000, "1 MiB")],
)
def test_an_unusable_file_is_refused_with_the_reason(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    assert said in failure(resolver(tmp_path), "file:password").summary


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    assert "directory" in failure(resolver(tmp_path), "file:.").summary.lower()


def test_a_command_may_be_a_pipe_and_runs_in_the_folder_of_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("mumbai s3cret\npune other\n")
    command = "cmd:grep '^mumbai ' store | cut -d' ' -f2"
    assert resolver(tmp_path).resolve(command, "mumbai: password") == Secret("s3cret")


def test_a_failed_command_shows_its_error_output_and_never_its_output(tmp_path: Path) -> None:
    error = failure(resolver(tmp_path), "cmd:printf 's3%s' cret; echo 'store is locked' >&2; exit 7")
    assert "exit code 7: store is locked" in error.summary
    assert "s3cret" not in f"{error} {error!r}"


def test_a_command_that_hangs_is_given_up_though_its_children_keep_the_output_open(tmp_path: Path) -> None:
    hanging = Resolver(tmp_path, command_timeout=0.2)
    assert "no answer within 0.2 s" in failure(hanging, "cmd:sleep 5 | cat; true").summary


def test_a_command_cannot_swallow_what_was_piped_to_fleet(tmp_path: Path) -> None:
    assert "is empty" in failure(resolver(tmp_path), "cmd:cat").summary


def keyring_with(monkeypatch: pytest.MonkeyPatch, entries: dict[tuple[str, str], str]) -> None:
    class KeyringError(Exception):
        """The library's own."""

    def get_password(service: str, user: str) -> str | None:
        if service == "locked":
            raise KeyringError("the collection is locked")
        return entries.get((service, user))

    errors = types.ModuleType("keyring.errors")
    errors.KeyringError = KeyringError  # type: ignore[attr-defined]
    module = types.ModuleType("keyring")
    module.get_password = get_password  # type: ignore[attr-defined]
    module.errors = errors  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)


def test_a_keyring_entry_is_found_by_service_and_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring_with(monkeypatch, {("noc/fleet", "mumbai"): "s3cret"})
    assert resolver(tmp_path).resolve("keyring:noc/fleet/mumbai", "mumbai: password") == Secret("s3cret")


@pytest.mark.parametrize(
    ("reference", "said"),
    [("keyring:fleet/pune", "no entry"), ("keyring:fleet", "lacks a part"), ("keyring:locked/x", "is locked")],
)
def test_a_keyring_without_the_entry_is_told_apart_from_a_locked_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, said: str
) -> None:
    keyring_with(monkeypatch, {})
    assert said in failure(resolver(tmp_path), reference).summary


@pytest.mark.parametrize("bare", ["hunter2", "hunter2:x", "", "env:", ":x", "https://hunter2"])
def test_a_bare_secret_is_refused_without_being_shown(tmp_path: Path, bare: str) -> None:
    error = failure(resolver(tmp_path), bare)
    assert "hunter2" not in str(error)
    assert "env:NAME, file:PATH, cmd:COMMAND or keyring:SERVICE/USER" in error.hint


# --------------------------------------------------------------------------------------------------------- plugins
def test_a_plugin_adds_a_scheme(tmp_path: Path) -> None:
    vault = Resolver(tmp_path, schemes={"vault": lambda path: f"value of {path}"})
    assert vault.resolve("vault:kv/mumbai#password", "mumbai: password") == Secret("value of kv/mumbai#password")
    assert "vault:..." in failure(vault, "hunter2").hint


def test_a_plugin_that_breaks_is_an_error_of_that_reference(tmp_path: Path) -> None:
    def sealed(path: str) -> str:
        raise RuntimeError("vault is sealed")

    error = failure(Resolver(tmp_path, schemes={"vault": sealed}), "vault:kv/mumbai")
    assert "vault:kv/mumbai failed: RuntimeError: vault is sealed" in error.summary


def test_a_plugin_cannot_take_over_a_scheme_of_fleet(tmp_path: Path) -> None:
    greedy = Resolver(tmp_path, environ={"A": "mine"}, schemes={"env": lambda name: "theirs"})
    assert greedy.resolve("env:A", "mumbai: password") == Secret("mine")


# ------------------------------------------------------------------------------------------------------ asked once
def test_a_reference_is_asked_once_though_a_hundred_routers_ask_at_the_same_time(tmp_path: Path) -> None:
    asked = []
    together = threading.Barrier(100, timeout=20)

    def slow(path: str) -> str:
        asked.append(path)
        return "s3cret"

    resolving = Resolver(tmp_path, schemes={"vault": slow})

    def one(number: int) -> Secret:
        together.wait()
        return resolving.resolve("vault:shared", f"router-{number}: password")

    with ThreadPoolExecutor(100) as many:
        assert set(many.map(one, range(100))) == {Secret("s3cret")}
    assert asked == ["shared"]


def test_different_references_do_not_wait_for_each_other(tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=20)

    def meet(path: str) -> str:
        together.wait()
        return path

    resolving = Resolver(tmp_path, schemes={"vault": meet})
    with ThreadPoolExecutor(2) as both:
        found = both.map(lambda name: resolving.resolve(f"vault:{name}", name), ["a", "b"])
        assert list(found) == [Secret("a"), Secret("b")]


def test_a_failure_is_asked_once_too_and_told_to_each_router_in_its_own_name(tmp_path: Path) -> None:
    resolving = resolver(tmp_path)
    command = "cmd:echo asked >> log; exit 1"
    for name in ("mumbai", "pune"):
        with pytest.raises(UsageError, match=f"^{name}: password: cmd:"):
            resolving.resolve(command, f"{name}: password")
    assert (tmp_path / "log").read_text() == "asked\n"


def test_a_jump_may_give_its_key_as_a_plain_path(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("text of a key")
    resolving = resolver(tmp_path, KEY="from environment")
    assert resolving.key_file("id", "bastion: ssh_key") == Secret("text of a key")
    assert resolving.key_file("env:KEY", "bastion: ssh_key") == Secret("from environment")
    assert resolving.key_file(None, "bastion: ssh_key") is None


# ---------------------------------------------------------------------------------------------------- fleet secret
def fleet(secret_id: str | None = None) -> Fleet:
    return Fleet(Overlay("acme", ipv4=ipaddress.IPv4Network("10.100.0.0/20"), secret_id=secret_id), {})


def test_a_new_fleet_secret_is_found_again(tmp_path: Path) -> None:
    made = FleetSecret.create(tmp_path)
    assert FleetSecret.locate(tmp_path, {}) == made


def test_a_new_fleet_secret_has_256_bits_and_is_never_the_same(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    one, other = (FleetSecret.create(tmp_path / name) for name in "ab")
    assert one != other
    assert len(one.reveal()) == 43


def test_the_fleet_secret_is_readable_by_its_owner_only_and_kept_out_of_git(tmp_path: Path) -> None:
    FleetSecret.create(tmp_path)
    folder = tmp_path / ".fleet"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_folder_that_others_could_read_is_closed_when_the_secret_is_made(tmp_path: Path) -> None:
    (tmp_path / ".fleet").mkdir(mode=0o755)
    FleetSecret.create(tmp_path)
    assert (tmp_path / ".fleet").stat().st_mode & 0o777 == 0o700


def test_a_fleet_secret_is_never_replaced(tmp_path: Path) -> None:
    made = FleetSecret.create(tmp_path)
    with pytest.raises(UsageError, match="never replaced"):
        FleetSecret.create(tmp_path)
    assert FleetSecret.locate(tmp_path, {}) == made


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_fleet_secret_that_others_can_read_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    FleetSecret.create(tmp_path)
    path = tmp_path / ".fleet" / "secret"
    path.chmod(mode)
    with pytest.raises(UsageError) as caught:
        FleetSecret.locate(tmp_path, {})
    assert f"chmod 600 {path}" in caught.value.hint


def test_an_empty_fleet_secret_is_refused_and_not_taken_for_none(tmp_path: Path) -> None:
    FleetSecret.create(tmp_path)
    (tmp_path / ".fleet" / "secret").write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        FleetSecret.locate(tmp_path, {})


def test_the_environment_may_say_where_the_fleet_secret_is(tmp_path: Path) -> None:
    FleetSecret.create(tmp_path)
    environ = {"FLEET_SECRET": "env:VAULT", "VAULT": "from the pipeline"}
    assert FleetSecret.locate(tmp_path, environ) == Secret("from the pipeline")


def test_the_environment_must_not_hold_the_fleet_secret_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="FLEET_SECRET is not a secret reference") as caught:
        FleetSecret.locate(tmp_path, {"FLEET_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_the_secret_named_by_the_inventory_is_accepted(tmp_path: Path) -> None:
    made = FleetSecret.create(tmp_path)
    assert FleetSecret.require(fleet(secret_fingerprint(made)), tmp_path, {}) == made


def test_a_clone_without_the_secret_is_told_where_to_get_it_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        FleetSecret.require(fleet("0011223344556677"), tmp_path, {})
    assert caught.value.exit_code == 3
    assert "0011223344556677" in caught.value.summary
    assert str(tmp_path / ".fleet" / "secret") in caught.value.hint
    assert "FLEET_SECRET" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_another_fleets_secret_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    made = FleetSecret.create(tmp_path)
    with pytest.raises(UsageError) as caught:
        FleetSecret.require(fleet("0011223344556677"), tmp_path, {})
    assert "0011223344556677" in caught.value.summary
    assert secret_fingerprint(made) in caught.value.summary
    assert made.reveal() not in str(caught.value)


def test_without_a_secret_id_there_may_be_no_secret_yet(tmp_path: Path) -> None:
    assert FleetSecret.require(fleet(), tmp_path, {}) is None
