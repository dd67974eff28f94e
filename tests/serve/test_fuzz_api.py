"""Requests made from the server's own description, right ones and wrong ones: every answer is one that it describes."""

from __future__ import annotations

import contextlib
import itertools
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mnemic.serve.config import Config, Limits
from mnemic.serve.run import running

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 5
"""Right ones and wrong ones for each operation in a round."""
ROUNDS = 4
SECONDS = 30.0
"""After that no further round is begun."""
THERE = {"space": "default", "id": "m1"}
TURNS = [{"id": "m1", "text": "I adopted a beagle called Pim.", "at": "2024-03-02"}]


@pytest.mark.slow
def test_no_request_is_answered_in_a_way_that_is_not_described(tmp_path: Path) -> None:
    config = Config(tmp_path / "store", port=0, encoders="lexical", pages=False, limits=Limits(rate=1e6, burst=10**6))
    with running(config) as address:
        headers = {"Authorization": f"Bearer {address.token}"}
        schema = schemathesis.openapi.from_url(f"{address.url}/api/openapi.json", headers=headers)
        began, seen = time.monotonic(), dict[str, set[int]]()
        operations = [result.ok() for result in schema.get_all_operations()]
        assert len(operations) > 25
        for number, operation in itertools.product(range(ROUNDS), operations):
            if number and time.monotonic() - began > SECONDS:  # one whole round at least
                break
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                httpx.post(f"{address.url}/api/spaces/default/turns", json={"turns": TURNS}, headers=headers)
                _ask(operation, mode, number, headers, seen.setdefault(operation.label, set()))
        assert all(min(codes) < 300 for label, codes in seen.items() if "{id}" not in label), seen


def _ask(operation: Any, mode: GenerationMode, number: int, headers: dict[str, str], codes: set[int]) -> None:
    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.booleans())
    def ask(case: Any, known: bool) -> None:
        if known and case.path_parameters:
            case.path_parameters |= {name: there for name, there in THERE.items() if name in case.path_parameters}
        response = case.call(headers=headers)
        if response.text == "Invalid HTTP request received.":  # an address too long for HTTP: it never came in
            return
        codes.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # where nothing is asked for, nothing can be wrong
        ask()
