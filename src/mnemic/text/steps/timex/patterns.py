"""Regular expressions compiled when they are first needed: importing the grammar compiles none."""

from __future__ import annotations

import re
from functools import cache


@cache
def pattern(source: str) -> re.Pattern[str]:
    """``source`` compiled, once a process. Flags stand in the pattern itself, as ``(?i)``."""
    return re.compile(source)
