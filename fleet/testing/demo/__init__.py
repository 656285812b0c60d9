"""`make demo`: a simulated fleet on loopback and the real command line, from an empty router to a healed one.

No root, no packet that leaves this machine, nothing on disk but one temporary folder.
"""

from .acts import Demo, Disappointed
from .network import Network

__all__ = ["Demo", "Disappointed", "Network"]
