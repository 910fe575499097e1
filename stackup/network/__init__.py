"""The host's side of a stack's networks: bridges, addresses, firewall, published ports, names.

``engine`` calls it, from worker threads (``NetworkManager``, ``ports``) or inside its event loop (``DnsServer``,
``Relay``). The container's own side (veth, addresses, DNS sockets) is made by the launcher's child, which this package
only hands values to. It may not decide what should exist: it makes what it is told, finds what it made, removes it.
Only here is pyroute2 imported, and late.
"""
