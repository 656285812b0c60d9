"""What the sheet leaves open. Each default is the stricter reading; the other one is the option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Strictness:
    """Unverified behaviour; the number is the sheet's section.

    budget               requests in any one second, all sites of the controller together; None for no limit (1.7)
    too_fast             how the budget is refused: HTTP 429, or `-7132` with HTTP 200 (1.7)
    concurrent_writes    one write of a kind per site at a time, more is refused like too many requests; False: any (1.7)
    bad_paging           missing page or pageSize: `-1001` (seen by one tool) or HTTP 400 (by another) (1.7)
    wrong_verb           HTTP 405 (one report) or `-1600` (1.7)
    no_token             missing header: `-44113` with HTTP 200, or HTTP 401 (11.3)
    tokens_coexist       a new access token leaves earlier ones of the application valid (12.6)
    masked_keys          applications that may only view get no private or preshared key (7, 12.6); stricter for tools is True,
                         stricter for operators False, which is also what the schema says
    local_ip_prefix      localIp and tunnelIp may carry `/prefix` (2.1); the prefix then is a connected route
    ipsec_fields         the v2 fields of IPsec must be there in WireGuard writes too, as the schema says (2.2)
    ipv6                 IPv6 inside tunnels (4)
    overlap              allowed addresses that another peer of the interface has: `refused` (-1001) when equal, or `accepted`,
                         and the last writer gets all packets (2.1, 4)
    delete_with_peers    deleting an interface that has peers: `refused` (-1001) or `cascade` (2.1)
    delete_unknown       deleting what is not there: `success` (seen elsewhere in this API) or `refused` (10.5)
    peer_ids             a v2 PATCH gives all peers new ids (`new`), or keeps those whose public key stays (`kept`) (2.3)
    flap                 a delivery ends sessions of changed peers (`peer`), or all of a changed interface (`interface`) (12.4)
    reresolves           the gateway looks names up again by itself; else only when settings are delivered (4)
    row_ids              ids of status rows are strings (captured) or numbers (5)
    web_sessions         a session of the web page may call the Open API (one tool), else -44116 (another) (3)
    bare_results         backup and restore results come without the envelope, as the schema shows (6)
    """

    budget: int | None = 10
    too_fast: Literal["429", "-7132"] = "429"
    concurrent_writes: bool = False
    bad_paging: Literal["-1001", "400"] = "-1001"
    wrong_verb: Literal["405", "-1600"] = "405"
    no_token: Literal["-44113", "401"] = "-44113"
    tokens_coexist: bool = False
    masked_keys: bool = False
    local_ip_prefix: bool = False
    ipsec_fields: Literal["required", "optional"] = "required"
    ipv6: bool = False
    overlap: Literal["refused", "accepted"] = "refused"
    delete_with_peers: Literal["refused", "cascade"] = "refused"
    delete_unknown: Literal["success", "refused"] = "success"
    peer_ids: Literal["new", "kept"] = "new"
    flap: Literal["peer", "interface"] = "peer"
    reresolves: bool = False
    row_ids: Literal["string", "number"] = "string"
    web_sessions: bool = False
    bare_results: bool = False


LENIENT = Strictness(
    budget=None,
    concurrent_writes=True,
    tokens_coexist=True,
    local_ip_prefix=True,
    ipsec_fields="optional",
    ipv6=True,
    overlap="accepted",
    delete_with_peers="cascade",
    peer_ids="kept",
    reresolves=True,
)
"""The other reading of everything that can be read two ways."""
