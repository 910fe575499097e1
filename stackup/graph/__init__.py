"""The dependency graph of a stack: what must be there before what. The only package that imports networkx.

For ``planner``, ``engine`` and whoever draws a stack. Pure: no I/O. networkx costs 150 ms to import: that happens when
a graph is built. (``stackfile`` looks for circles itself: it must not wait for networkx, and knows the lines.)
"""

from __future__ import annotations

from stackup.graph.dependencies import Dependencies, Edge, find_cycle

__all__ = ["Dependencies", "Edge", "find_cycle"]
