"""Secrets by reference, and the fleet secret that everything derived comes from.

An inventory holds references, never secrets: `env:NAME`, `file:PATH`, `cmd:COMMAND`, `keyring:SERVICE/USER`, or a plugin's
scheme. Each is asked once per run, however many routers share it. Errors name the router, the field and the reference.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import stat
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import UsageError
from .keys import secret_fingerprint
from .model import Fleet, Secret

COMMAND_TIMEOUT: Final = 60.0
"""Seconds for `cmd:`, long enough for a person to unlock a password store."""

MAX_BYTES: Final = 1 << 20
FOLDER: Final = ".fleet"

Scheme = Callable[[str], str]
"""A plugin's scheme: from what follows the colon to the secret. Raises anything; its text is shown, so no secret in it."""


class _Failed(Exception):
    """Why a reference gave nothing, and what to do: both free of secrets."""

    def __init__(self, why: str, cure: str = "") -> None:
        super().__init__(why, cure)
        self.why = why
        self.cure = cure


class _Once:
    """One reference: the first asks, the others wait for the same answer or the same failure."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer: Secret | _Failed | None = None

    def ask(self, source: Callable[[], str]) -> Secret | _Failed:
        with self._lock:
            if self._answer is None:
                try:
                    self._answer = Secret(source())
                except _Failed as failed:
                    self._answer = failed
            return self._answer


class Resolver:
    """Turns references into secrets, each once. Thread-safe: different references are asked side by side.

    `folder` is where relative `file:` paths start and where `cmd:` runs: the inventory's. `schemes` adds plugins' schemes.
    """

    def __init__(
        self,
        folder: Path | str = ".",
        *,
        environ: Mapping[str, str] = os.environ,
        schemes: Mapping[str, Scheme] | None = None,
        command_timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        self._folder = Path(folder)
        self._environ = environ
        self._command_timeout = command_timeout
        self._keyring = threading.Lock()
        own = {"env": self._from_environment, "file": self._from_file, "cmd": self._from_command, "keyring": self._from_keyring}
        self._schemes: dict[str, Scheme] = {**(schemes or {}), **own}
        self._lock = threading.Lock()
        self._asked: dict[str, _Once] = {}

    def resolve(self, reference: str, what: str) -> Secret:
        """The secret behind a reference. `what` says for whom, as in `mumbai: password`.

        Raises UsageError that names `what` and the reference, never the value.
        """
        scheme, colon, rest = reference.partition(":")
        source = self._schemes.get(scheme)
        if source is None or not colon or not rest:
            # Not shown: what is no reference may well be the secret itself.
            raise UsageError(f"{what} is not a secret reference", f"give it as {self.known}")
        with self._lock:
            once = self._asked.setdefault(reference, _Once())
        answer = once.ask(lambda: self._asked_of(scheme, source, rest))
        if isinstance(answer, _Failed):
            raise UsageError(f"{what}: {reference} {answer.why}", answer.cure or "correct the reference in the inventory")
        return answer

    def optional(self, reference: str | None, what: str) -> Secret | None:
        """The same for a field that may be absent. Raises UsageError."""
        return None if reference is None else self.resolve(reference, what)

    def key_file(self, text: str | None, what: str) -> Secret | None:
        """The same where a plain path is allowed as well (`ssh_key:` of a jump). Raises UsageError."""
        if text is None:
            return None
        return self.resolve(text if self.is_reference(text) else f"file:{text}", what)

    def is_reference(self, text: str) -> bool:
        """True if this begins with a known scheme and more follows."""
        scheme, colon, rest = text.partition(":")
        return bool(colon and rest and scheme in self._schemes)

    @property
    def known(self) -> str:
        """The forms a reference may have, for a message."""
        plugins = sorted(set(self._schemes) - {"env", "file", "cmd", "keyring"})
        forms = ["env:NAME", "file:PATH", "cmd:COMMAND", "keyring:SERVICE/USER", *(f"{name}:..." for name in plugins)]
        return ", ".join(forms[:-1]) + " or " + forms[-1]

    def _asked_of(self, scheme: str, source: Scheme, rest: str) -> str:
        try:
            found = source(rest)
        except _Failed:
            raise
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            raise _Failed(f"failed: {type(error).__name__}: {error}", f"the {scheme} plugin said so; ask its author") from None
        if not found:
            raise _Failed("is empty", "put the secret there")
        return found

    def _from_environment(self, name: str) -> str:
        if name not in self._environ:
            raise _Failed("is not set", f"export {name} before running fleet")
        return self._environ[name]

    def _from_file(self, path: str) -> str:
        place = self._folder / Path(path).expanduser()
        try:
            with place.open("rb") as file:
                return _text(file.read(MAX_BYTES + 1))
        except FileNotFoundError:
            raise _Failed(f"does not exist ({place})", "create the file or correct the path") from None
        except (OSError, RuntimeError) as error:
            raise _Failed(f"cannot be read: {getattr(error, 'strerror', None) or error}", f"check {place}") from None

    def _from_command(self, command: str) -> str:
        # By the shell, as people write pipes here; it is the operator's own command line. Its standard input is empty, so
        # that it cannot swallow what was piped to fleet: password stores ask on the terminal itself.
        with subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self._folder,
            env=dict(self._environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                output, said = process.communicate(timeout=self._command_timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                for pipe in (process.stdout, process.stderr):
                    if pipe is not None:
                        pipe.close()  # children of the shell may keep the other ends open for ever
                raise _Failed(f"gave no answer within {self._command_timeout:g} s", "run the command by hand") from None
        if process.returncode:
            lines = said.decode(errors="replace").strip().splitlines()[-3:]
            raise _Failed(
                f"failed with exit code {process.returncode}" + (f": {' / '.join(lines)}" if lines else ""),
                "run the command by hand",
            )
        return _text(output)

    def _from_keyring(self, entry: str) -> str:
        service, slash, user = entry.rpartition("/")
        if not (slash and service and user):
            raise _Failed("lacks a part", "write it as keyring:SERVICE/USER")
        import keyring
        from keyring.errors import KeyringError

        try:
            with self._keyring:  # backends are not thread-safe
                found = keyring.get_password(service, user)
        except KeyringError as error:
            raise _Failed(f"cannot be read: {error}", "unlock the keyring, or use another kind of reference") from None
        if found is None:
            raise _Failed("has no entry", f"store it with: keyring set {service} {user}")
        return found


def _text(raw: bytes) -> str:
    """UTF-8 without one final newline, which editors and commands add. Raises _Failed."""
    if len(raw) > MAX_BYTES:
        raise _Failed("is more than 1 MiB", "that is no secret; correct the reference")
    try:
        return re.sub(r"\r?\n\Z", "", raw.decode())
    except UnicodeDecodeError:
        raise _Failed("is not text (UTF-8)", "a secret is text; encode it first") from None


@dataclass(frozen=True, slots=True)
class FleetSecret:
    """The one secret that preshared keys and passwords are derived from, and where it lives.

    It is what `FLEET_SECRET` refers to, else the file `.fleet/secret` beside the inventory. Nobody else may read that
    file; its folder keeps itself out of version control.
    """

    folder: Path
    """The inventory's folder."""

    @property
    def path(self) -> Path:
        """Where the file is or would be."""
        return self.folder / FOLDER / "secret"

    @staticmethod
    def locate(folder: Path | str, environ: Mapping[str, str] = os.environ) -> Secret | None:
        """The secret of this folder, None if there is none. Raises UsageError if it is readable by others or unusable."""
        if reference := environ.get("FLEET_SECRET"):
            return Resolver(folder, environ=environ).resolve(reference, "FLEET_SECRET")
        return _read(FleetSecret(Path(folder)).path)

    @staticmethod
    def create(folder: Path | str) -> Secret:
        """A new secret of 256 bits in a file of its own. Raises UsageError if there is one already: it is never replaced."""
        path = private_folder(Path(folder)) / "secret"
        value = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise UsageError(
                f"{path} exists and is never replaced: every preshared key is derived from it", "keep it and go on"
            ) from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}", "check the folder's owner and rights") from None
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(value + "\n")
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink()  # half a secret is worse than none
            raise
        return Secret(value)

    @staticmethod
    def matches(secret: Secret, secret_id: str) -> bool:
        """True if this is the secret that `overlay.secret_id` names."""
        return secret_fingerprint(secret) == secret_id.strip().lower()

    @staticmethod
    def require(fleet: Fleet, folder: Path | str, environ: Mapping[str, str] = os.environ) -> Secret | None:
        """The fleet's secret for a command that needs it. Writes nothing.

        None only if there is no secret and no `secret_id` yet: one may be made if the routers hold nothing of ours.
        Raises UsageError if `secret_id` names a secret that is not here, saying where to get it.
        """
        secret, wanted = FleetSecret.locate(folder, environ), fleet.overlay.secret_id
        if wanted is None or (secret is not None and FleetSecret.matches(secret, wanted)):
            return secret
        path = FleetSecret(Path(folder)).path
        cure = (
            f"copy {FOLDER}/secret from the machine that made this fleet (or from your password store) to {path}, mode 600, "
            "or point FLEET_SECRET at it, as in FLEET_SECRET=env:NAME or file:PATH"
        )
        if secret is None:
            raise UsageError(f"the fleet secret {wanted} of overlay {fleet.overlay.name} is not here", cure)
        origin = "FLEET_SECRET" if environ.get("FLEET_SECRET") else str(path)
        raise UsageError(
            f"{origin} holds fleet secret {secret_fingerprint(secret)}, overlay {fleet.overlay.name} was made with {wanted}",
            cure,
        )


def private_folder(folder: Path) -> Path:
    """`.fleet` beside the inventory, made if absent: mode 0700, with a `.gitignore` of its own. Raises UsageError."""
    private = folder / FOLDER
    try:
        private.mkdir(mode=0o700, exist_ok=True)
        if stat.S_IMODE(private.stat().st_mode) & 0o077:
            private.chmod(0o700)
        ignore = private / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise UsageError(f"{private} cannot be made: {error.strerror}", f"check owner and rights of {folder}") from None
    return private


def _read(path: Path) -> Secret | None:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the file's owner and rights") from None
    if mode & 0o077:
        raise UsageError(f"{path} can be read by others (mode {mode:o})", f"run: chmod 600 {path}")
    try:
        text = _text(raw).strip()
    except _Failed as failed:
        raise UsageError(f"{path} {failed.why}", "restore it from a backup or another machine") from None
    if not text:
        raise UsageError(f"{path} is empty", "restore it from a backup or another machine")
    return Secret(text)
