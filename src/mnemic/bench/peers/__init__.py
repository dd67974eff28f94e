"""Peers: other memories that run without a language model, measured beside Mnemic on the same turns and questions.

Each runs in a virtual environment and a process of its own (:mod:`environment`, :mod:`worker`, ``serve.py``), behind
an adapter of a few lines (``adapters/``).
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnemic.bench import machine
from mnemic.bench.peers.catalogue import Entry, chosen
from mnemic.bench.peers.report import Comparison
from mnemic.bench.peers.rows import Progress, measure, spread
from mnemic.bench.peers.work import Work, encoded, locomo
from mnemic.text.encode.base import DenseEncoder

ENCODED = 30
"""Texts and questions that the encoder's own time is measured on."""

__all__ = ["Comparison", "Entry", "Work", "chosen", "compare", "encoded", "locomo"]


def compare(
    work: Work,
    entries: Sequence[Entry],
    *,
    command: str,
    encoder: DenseEncoder | None = None,
    where: Path | None = None,
    out: Path | None = None,
    timeout: float = 600.0,
    progress: Progress | None = None,
) -> Comparison:
    """Measure ``entries`` one after the other on ``work``, which holds its vectors.

    ``out`` gets the JSON after every row, and beside it the Markdown (``.md``), so that what is done stays if the run
    is broken off. ``where`` is the folder of the environments. ``encoder`` is timed for the conditions.
    """
    conditions: dict[str, Any] = {
        **machine.describe(),
        "system": platform.system(),
        "python": platform.python_version(),
        "fsync of 4 KB, ms": fsync_ms(),
        "load average before": machine.load(),
    }
    if encoder is not None:
        conditions["encoding one text, ms"] = encoding_ms(encoder, [turn["text"] for turn in work.turns])
        conditions["encoding one question, ms"] = encoding_ms(encoder, [each.question.text for each in work.asked])
    result = Comparison(command, work.about, conditions)
    for entry in entries:
        result.rows.append(measure(entry, work, where=where, timeout=timeout, progress=progress))
        if out is not None:
            write(result, out)
    return result


def write(result: Comparison, out: Path) -> None:
    """``out`` as JSON, and the same path ending in ``.md`` as Markdown."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(result.markdown(), encoding="utf-8")


def encoding_ms(encoder: DenseEncoder, texts: Sequence[str]) -> dict[str, float]:
    """What encoding takes, one text at a time: p50, p95 and n."""
    times = []
    for text in texts[:ENCODED]:
        began = time.perf_counter()
        encoder.encode_query(text)
        times.append(1000 * (time.perf_counter() - began))
    return spread(times)


def fsync_ms(runs: int = 100) -> dict[str, float]:
    """What it takes to append 4 KB to a temporary file and have it on disk, so that durable adds can be judged."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(runs):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append(1000 * (time.perf_counter() - began))
    return spread(times)
