"""OPNsense 23.7 to 26.7 over its REST API.

api.py        endpoints, and what their replies mean
read.py       four reads
meaning.py    what they mean: stored, running, what is left over
release.py    which release answers, and its clock
write.py      changes as requests: records first, one reconfigure, loaded anew where a load failed
peers.py      peers as records, a few one by one, many in one write
filtering.py  openings as writes to the firewall
rules.py      openings as rules, both ways
jobs.py       scheduled jobs
guard.py      the undo, where an administrator installed one
values.py     OPNsense's spelling of values
options.py    `options:`
"""

from .driver import OpnsenseDriver
from .options import OpnsenseOptions

__all__ = ["OpnsenseDriver", "OpnsenseOptions"]
