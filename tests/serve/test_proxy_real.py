"""The proxy before a real model server: llama.cpp with a very small model, which proves the way and not the wit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from upstream import stage

PIM = "I adopted a beagle called Pim from the shelter in Delft, and he is afraid of thunder."


@pytest.mark.slow
def test_a_real_server_streams_remembers_and_finds_its_last_prompt_in_the_cache(
    local_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-local")
    with stage(tmp_path, upstream=local_model) as served:
        served.remember(PIM)
        create: Any = served.client().chat.completions.create
        asked = {"role": "user", "content": "What is my beagle called?"}
        chunks = list(
            create(
                model="smollm2-135m",
                messages=[asked],
                max_tokens=32,
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        first = chunks[-1].usage
        assert said.strip()
        assert first.prompt_tokens > 60  # the quotation is in it
        second = create(
            model="smollm2-135m",
            messages=[asked, {"role": "assistant", "content": said}, {"role": "user", "content": "Where is he from?"}],
            max_tokens=16,
            temperature=0,
        )
        cached = second.usage.prompt_tokens_details.cached_tokens
        assert cached >= first.prompt_tokens - 8  # but for what marks the end of the prompt
        assert second.usage.prompt_tokens > first.prompt_tokens
        answer = second.choices[0].message.content
        records = served.records(4)
        assert [record.text for record in records] == [asked["content"], said, "Where is he from?", answer]
        assert len({record.session for record in records}) == 1
