"""The dependency graph of a stack: what must be there before what. The only package that imports networkx.

Called by ``stackfile`` (to refuse cycles), ``planner`` and ``engine``. Pure: no I/O. networkx costs 150 ms to import, so
it is imported when a graph is built, and small stacks without any dependency never need it.
"""

from __future__ import annotations

from stackup.graph.dependencies import Dependencies, Edge, find_cycle

__all__ = ["Dependencies", "Edge", "find_cycle"]
