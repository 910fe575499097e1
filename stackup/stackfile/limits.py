"""How much one load takes on: every limit that a user can meet, and how it is named. docs/stack-file.md lists them.

What costs time is values, not bytes: some 20 microseconds for each. ``MAX_VALUES`` is what keeps an answer within a
second or two.
"""

from __future__ import annotations

MAX_BYTES = 16 << 20  # of one file
MAX_VALUES = 100_000  # of one file; a stack of 450 services has about 10,000
MAX_ALIASED = 400_000  # the same after aliases have been expanded
MAX_DEPTH = 200  # of nesting in one file; real files stay below 20
MAX_FILES = 500  # in one load, those included several times counted each time
MAX_INCLUDES = 40  # files of which each includes the next
MAX_EXTENDS = 100  # services of which each extends the next
MAX_PORTS = 50_000  # that the short forms of one load stand for; those that extends brings are counted again
MAX_TEXT = MAX_BYTES  # characters of a text once its variables are filled in


def too_large(size: int) -> str:
    """Reads on after ``cannot read FILE:``."""
    return f"it holds {size / (1 << 20):.1f} MiB, more than the {MAX_BYTES >> 20} MiB that are allowed"


TOO_MANY = f"it holds more than {MAX_VALUES:,} values, which is all that is read of one file"
TOO_MANY_ALIASES = f"its aliases expand to more than {MAX_ALIASED:,} values, which is all that is read of one file"
TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"
TOO_MANY_PORTS = f"together with those before it these are more than {MAX_PORTS:,} ports"
