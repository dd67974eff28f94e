"""The mechanisms on a real small model: plumbing and recall, not eloquence."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mnemic import models
from mnemic.attention import pretrained
from mnemic.attention.policies.block_retrieval import BlockRetrieval
from mnemic.attention.policies.lambda_window import LambdaWindow
from mnemic.attention.policy import FullAttention, Policy
from mnemic.attention.session import attach
from mnemic.errors import ModelError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
FILLER = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. "


@pytest.fixture(scope="module")
def small() -> tuple[Any, Any]:
    try:
        models.pull(pretrained.SMALL, progress=False)
    except ModelError as error:
        pytest.skip(f"the small model cannot be fetched: {error}")
    torch.set_num_threads(1)
    return pretrained.load()


@pytest.fixture(scope="module")
def text(small: tuple[Any, Any]) -> list[int]:
    """Some 700 tokens with a key near their beginning, and the question for it."""
    whole = FILLER * 4 + "The passkey is 48213. Remember it: 48213 is the passkey. " + FILLER * 22 + "\nThe passkey is"
    return list(small[1](whole)["input_ids"])


def answer(small: tuple[Any, Any], text: list[int], policy: Policy) -> tuple[str, int]:
    model, tokenizer = small
    with attach(model, policy) as session:
        session.prefill(text, chunk=128)
        written = session.generate(6, stop=[])[0]
        return tokenizer.decode(written), session.resident


def test_full_attention_is_the_model_itself(small: tuple[Any, Any], text: list[int]) -> None:
    model, _ = small
    with torch.inference_mode():
        wanted = model(torch.tensor([text[:300]])).logits[0, -1]
    with attach(model, FullAttention()) as session:
        found = session.prefill(text[:300], chunk=100)[0]
    assert float((found - wanted).abs().max()) < 1e-3
    assert int(found.argmax()) == int(wanted.argmax())


def test_what_a_window_forgets_a_block_that_matches_brings_back(small: tuple[Any, Any], text: list[int]) -> None:
    assert "48213" in answer(small, text, FullAttention())[0]
    forgot, held = answer(small, text, LambdaWindow(window=256, sinks=16))
    assert "48213" not in forgot
    assert held == 272
    found, held = answer(
        small, text, BlockRetrieval(window=256, sinks=16, block=32, blocks=6, piece=128, tier="disk", cached=8)
    )
    assert "48213" in found
    assert held <= 256 + 16 + 32 + 8 * 32
