"""What real uci said, said by the simulated router (captures 2.1 to 2.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from openwrt_replay import Exchange, Recorded, exchanges, recorded, replay

EXCHANGES = exchanges("uci")


@pytest.fixture(scope="module")
def router() -> Iterator[Recorded]:
    with recorded("25.12") as router:
        yield router


def _comparable(text: str) -> str:
    """Without inode numbers and without listings, whose sizes and dates are the machine's."""
    text = re.sub(r"^\d+ (/etc/config/network)$", r"N \1", text, flags=re.MULTILINE)
    return re.sub(r"^(?:[d-][rwxt-]{9} +|total ).*\n?", "", text, flags=re.MULTILINE).rstrip("\n")


@pytest.mark.parametrize("exchange", EXCHANGES, ids=[f"{n:02d}-{one.command[:40]}" for n, one in enumerate(EXCHANGES)])
def test_uci_says_what_real_uci_said(router: Recorded, exchange: Exchange) -> None:
    out, error, code = replay(router, exchange.command)
    assert (_comparable(out), error, code) == (_comparable(exchange.out), exchange.error, exchange.code)
