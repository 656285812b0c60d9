"""Real WireGuard in network namespaces: hub, carrier NAT, branch NAT, branch router and LAN host, proven with pings."""
