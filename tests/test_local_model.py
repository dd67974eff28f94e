from __future__ import annotations

import pytest

from mnemic.text.language.base import Language, Message


@pytest.mark.slow
def test_a_real_model_completes_and_counts_its_tokens(real_language: Language) -> None:
    done = real_language.complete([Message("user", "Name one colour.")], max_tokens=16)
    assert done.text.strip()
    assert not done.estimated
    assert 0 < done.completion_tokens <= 16
