"""Any Linux with wireguard-tools: a file that wg-quick reads, `wg syncconf`, and a shell script of ours beside it."""

from .driver import Options, WgQuickDriver

__all__ = ["Options", "WgQuickDriver"]
