"""What ran and for how long: the trace that every recall carries."""

from __future__ import annotations

import time


class Clock:
    """Laps of one operation in milliseconds, by name."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End a stage: the time since the stage before is added under ``name``."""
        now = time.perf_counter()
        self.laps[name] = round(self.laps.get(name, 0.0) + 1000 * (now - self._last), 3)
        self._last = now

    def total(self) -> float:
        return round(1000 * (time.perf_counter() - self._start), 3)
