"""What tests share: a root file system, the command line as a user types it, waiting for events, the residue check.

Everything here looks at the machine with its own eyes (``/proc``, ``ip``, ``nft``), never through ``stackup``'s code,
so that a mistake there cannot hide itself.
"""
