"""Three invented devices for authors of drivers: item by item, one batch with commit, one whole file.

They answer `Request`s in process, without sockets, and are devices for the contract suite: `return ItemSimulator()` from
`DriverContract.device`. Each refuses what a device of its kind refuses and keeps what it does not understand.
"""

from .base import Simulator
from .batch import BatchSimulator
from .files import FileSimulator
from .items import ItemSimulator
from .tables import PLANTED_KEY

__all__ = ["PLANTED_KEY", "BatchSimulator", "FileSimulator", "ItemSimulator", "Simulator"]
