"""The drivers and transports that fleet ships, registered through the same hooks as anyone's."""

from __future__ import annotations

from collections.abc import Iterable

from .driver import Driver
from .hookspecs import hookimpl
from .transports import Transport


@hookimpl
def fleet_drivers() -> Iterable[type[Driver]]:
    """The built-in drivers."""
    from .drivers.edgeos import EdgeOsDriver
    from .drivers.manual import ManualDriver
    from .drivers.mikrotik import MikrotikDriver
    from .drivers.omada import OmadaDriver
    from .drivers.openwrt import OpenwrtDriver
    from .drivers.opnsense import OpnsenseDriver
    from .drivers.wg_quick import WgQuickDriver

    return [MikrotikDriver, OpenwrtDriver, OpnsenseDriver, WgQuickDriver, EdgeOsDriver, OmadaDriver, ManualDriver]


@hookimpl
def fleet_transports() -> Iterable[type[Transport]]:
    """The built-in transports."""
    from .transports.cli import CliTransport
    from .transports.rest import RestTransport
    from .transports.routeros import RouterosTransport
    from .transports.ssh import SshTransport

    return [SshTransport, RouterosTransport, RestTransport, CliTransport]
