"""What every store must do, as one suite: a store passes it by naming how its spaces are made.

``class TestMyStore(SpaceConformance)`` overrides the fixture ``make_space``: called with a name it opens the space of
that name, the same one for the same name (see ``opened`` in ``spaces.py``). ``persistent`` is False for a store whose
spaces die with their handle.
"""

from __future__ import annotations

from conformance_reading import Reading
from conformance_writing import Writing


class SpaceConformance(Writing, Reading):
    """The suite. Every test gets fresh spaces from ``make_space``."""
