"""`python -m fleet.testing.demo`."""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

from .acts import Demo, Disappointed


def main(arguments: list[str] | None = None) -> int:
    """Show it; 0 if everything came true, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m fleet.testing.demo", description="A simulated fleet, shown act by act.")
    parser.add_argument("--full", action="store_true", help="show every line of every report")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)  # so that the temporary folder goes too
    try:
        with Demo(full=options.full) as demo:
            demo.play()
    except Disappointed as disappointed:
        print(f"\nthe demo stops: {disappointed}", file=sys.stderr)  # noqa: T201 - this is a program
        return 1
    except (KeyboardInterrupt, TimeoutError) as error:
        print(f"\nthe demo stops: {error or 'interrupted'}", file=sys.stderr)  # noqa: T201 - this is a program
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
