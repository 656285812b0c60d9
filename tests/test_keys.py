"""Keys, derivation, sealing: held against other implementations and against what must never happen."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from strategies import key

from fleet import keys
from fleet.errors import UsageError
from fleet.model import PublicKey, Secret

SECRET = Secret("correct horse battery staple")


@pytest.mark.skipif(shutil.which("wg") is None, reason="wireguard-tools are not installed")
def test_a_public_key_is_the_one_that_wg_computes() -> None:
    private = keys.new_private_key()
    shown = subprocess.run(["wg", "pubkey"], input=private.reveal(), capture_output=True, text=True, check=True).stdout.strip()
    assert keys.public_key_of(private) == shown


def test_every_new_private_key_is_another_one() -> None:
    assert len({keys.new_private_key().reveal() for _ in range(20)}) == 20


@given(st.text(min_size=1), st.binary(max_size=80), st.integers(1, 32))
def test_our_hkdf_is_the_librarys(secret: str, info: bytes, length: int) -> None:
    reference = HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(
        secret.encode("utf-8", "surrogatepass")
    )
    assert keys._hkdf(Secret(secret), info, length) == reference


def test_a_pair_has_one_preshared_key_whoever_asks() -> None:
    assert keys.derive_preshared_key(SECRET, key("a"), key("b"), 2) == keys.derive_preshared_key(SECRET, key("b"), key("a"), 2)


def test_pair_epoch_and_fleet_secret_each_make_another_preshared_key() -> None:
    derived = [
        keys.derive_preshared_key(SECRET, key("a"), key("b")),
        keys.derive_preshared_key(SECRET, key("a"), key("c")),
        keys.derive_preshared_key(SECRET, key("a"), key("b"), 1),
        keys.derive_preshared_key(Secret("another"), key("a"), key("b")),
    ]
    assert len({one.reveal() for one in derived}) == 4


def test_a_preshared_key_has_the_form_of_a_key() -> None:
    assert PublicKey(keys.derive_preshared_key(SECRET, key("a"), key("b")).reveal())


def test_passwords_differ_by_router_purpose_and_epoch_and_need_no_quoting() -> None:
    made = {
        keys.derive_password(SECRET, *which).reveal()
        for which in (("mumbai", "ssh"), ("mumbai", "api"), ("pune", "ssh"), ("mumbai", "ssh", 1))
    }
    assert len(made) == 4
    assert all(len(one) == 24 and one.replace("-", "").replace("_", "").isalnum() for one in made)


def test_the_secret_id_tells_secrets_apart_and_is_short() -> None:
    assert keys.secret_fingerprint(SECRET) != keys.secret_fingerprint(Secret("another"))
    assert len(keys.secret_fingerprint(SECRET)) == 16


def test_a_signature_holds_for_one_purpose_and_one_payload() -> None:
    assert keys.sign(SECRET, "plan", b"x") != keys.sign(SECRET, "other", b"x") != keys.sign(SECRET, "other", b"y")


def test_an_escrowed_key_comes_back_as_it_was() -> None:
    private = keys.new_private_key()
    assert keys.unseal(SECRET, "hq", keys.seal(SECRET, "hq", private)) == private


def test_sealing_twice_does_not_show_that_it_is_the_same_key() -> None:
    private = keys.new_private_key()
    assert keys.seal(SECRET, "hq", private) != keys.seal(SECRET, "hq", private)


@pytest.mark.parametrize(
    ("secret", "name", "touch"),
    [(Secret("another"), "hq", 0), (SECRET, "dr", 0), (SECRET, "hq", 1)],
    ids=["another secret", "another router", "a touched byte"],
)
def test_an_escrowed_key_opens_for_its_secret_its_router_and_untouched_only(secret: Secret, name: str, touch: int) -> None:
    sealed = bytearray(keys.seal(SECRET, "hq", keys.new_private_key()))
    sealed[-1] ^= touch
    with pytest.raises(UsageError, match="cannot be opened") as refused:
        keys.unseal(secret, name, bytes(sealed))
    assert SECRET.reveal() not in str(refused.value)
