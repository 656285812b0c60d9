"""Options that firewall4 knows, by type of section.

Another one is no error, but it is said: `specifies unknown option` (firewall4, fw4.uc, parse_options; not in the sheet).
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KNOWN: Final = {
    "defaults": _words(
        """
        input output forward drop_invalid syn_flood synflood_protect synflood_rate synflood_burst
        tcp_syncookies tcp_ecn tcp_window_scaling accept_redirects accept_source_route auto_helper
        custom_chains disable_ipv6 flow_offloading flow_offloading_hw tcp_reject_code any_reject_code
        auto_includes
        """
    ),
    "zone": _words(
        """
        enabled name family network device subnet input output forward masq masq_allow_invalid masq_src
        masq_dest masq6 extra extra_src extra_dest mtu_fix custom_chains auto_helper helper log log_limit
        counter
        """
    ),
    "forwarding": _words(
        """
        enabled name family src dest
        """
    ),
    "rule": _words(
        """
        enabled name _name family src dest device direction ipset helper set_helper log log_limit proto src_ip
        src_mac src_port dest_ip dest_port icmp_type target limit limit_burst utc_time start_date stop_date
        start_time stop_time weekdays monthdays mark set_mark set_xmark dscp set_dscp counter extra
        """
    ),
    "redirect": _words(
        """
        enabled name _name family src dest ipset helper log log_limit proto src_ip src_mac src_port src_dip
        src_dport dest_ip dest_port limit limit_burst reflection reflection_src reflection_zone mark target
        counter extra
        """
    ),
    "nat": _words(
        """
        enabled name family src device ipset proto src_ip src_port snat_ip snat_port dest_ip dest_port limit
        limit_burst connlimit_ports utc_time start_date stop_date start_time stop_time weekdays monthdays mark target log
        log_limit counter extra
        """
    ),
}
