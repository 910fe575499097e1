"""What each attribute is for, its default and examples: one text for the schema, the reference pages and ``explain``.

A block begins with the noun of a ``Record`` of the grammar in brackets. A line holds the attribute, what it does, the
default (empty: none) and examples as YAML, separated by `` | ``; examples are separated by `` ; ``.
"""

from __future__ import annotations

from stackup.stackfile import descriptions_making, descriptions_service, descriptions_stack

TEXT = "\n".join((descriptions_stack.TEXT, descriptions_service.TEXT, descriptions_making.TEXT))
