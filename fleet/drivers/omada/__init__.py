"""TP-Link Omada gateways through their controller's Open API (controllers 5.x and 6.x), many sites behind one controller.

api.py       paths, requests, pages; how to log in
spelling.py  the two generations of the API: what they call a thing, and which fields are the controller's own
read.py      the requests of one read, generation found by probing
meaning.py   what the answers mean
draft.py     a tunnel and its peers as whole objects, while changes are applied to them
write.py     changes as requests
unchanged.py a look before the first write: nobody else was at it since the read
refused.py   what the controller's codes mean for an operator
"""

from .driver import OmadaDriver
from .options import OmadaOptions

__all__ = ["OmadaDriver", "OmadaOptions"]
