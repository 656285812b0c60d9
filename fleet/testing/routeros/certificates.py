"""Self-signed certificates for api-ssl of simulated routers."""

from __future__ import annotations

from ..certificates import Certificate, self_signed

__all__ = ["Certificate", "self_signed"]
