"""A bare RouterOS API client for the simulator's own tests: words in, words out, nothing interpreted."""

from __future__ import annotations

import socket
import ssl
from types import TracebackType
from typing import TYPE_CHECKING

from fleet.testing.routeros.words import Decoder, sentence

if TYPE_CHECKING:
    from fleet.testing.routeros import RouterosSimulator


class Client:
    """One connection, logged in as admin unless `login` is False."""

    def __init__(
        self,
        router: RouterosSimulator,
        *,
        login: bool = True,
        user: str = "admin",
        password: str = "",
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.socket = socket.create_connection((router.host, router.port), timeout=10)
        if context is not None:
            self.socket = context.wrap_socket(self.socket)
        self._decoder = Decoder()
        self._waiting: list[list[str]] = []
        if login:
            try:
                assert self.talk("/login", f"=name={user}", f"=password={password}") == [["!done"]]
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, *words: str) -> None:
        self.socket.sendall(sentence(words))

    def burst(self, *sentences: tuple[str, ...]) -> None:
        self.socket.sendall(b"".join(sentence(words) for words in sentences))

    def receive(self) -> list[str]:
        """The next sentence. Raises ConnectionError at the end."""
        while not self._waiting:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed")
            self._waiting += self._decoder.feed(data)
        return self._waiting.pop(0)

    def until_done(self, count: int = 1) -> list[list[str]]:
        """Sentences up to the `count`-th `!done`."""
        sentences: list[list[str]] = []
        while count:
            sentences.append(self.receive())
            count -= sentences[-1][0] == "!done"
        return sentences

    def talk(self, *words: str) -> list[list[str]]:
        self.send(*words)
        return self.until_done()

    def rows(self, *words: str) -> list[dict[str, str]]:
        """`!re` rows as dictionaries; a trap is an assertion."""
        replies = self.talk(*words)
        assert not any(reply[0] == "!trap" for reply in replies), replies
        return [dict(word[1:].split("=", 1) for word in reply[1:]) for reply in replies if reply[0] == "!re"]  # type: ignore[misc]

    def add(self, menu: str, **fields: object) -> str:
        """Add a row, return its id."""
        replies = self.talk(f"{menu}/add", *(f"={name.replace('_', '-')}={value}" for name, value in fields.items()))
        assert replies[-1][1:], replies
        return replies[-1][1].removeprefix("=ret=")

    def trap(self, *words: str) -> str:
        """The message of the trap this must get, followed by `!done`."""
        replies = self.talk(*words)
        assert [reply[0] for reply in replies] == ["!trap", "!done"], replies
        return next(word.removeprefix("=message=") for word in replies[0] if word.startswith("=message="))
