"""The driver for Ubiquiti EdgeOS (EdgeRouter) over SSH."""

from .driver import EdgeOsDriver, Options

__all__ = ["EdgeOsDriver", "Options"]
