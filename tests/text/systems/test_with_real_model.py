"""Every system with a real language model, a very small one: it proves the plumbing, not what such a model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

import mnemic
from mnemic.errors import LanguageError
from mnemic.text import systems
from mnemic.text.language.base import Completion, Language, Message
from mnemic.text.plan import Filter
from mnemic.text.record import Kind

SAID = [
    ("Ana", "I moved to Lisbon in March and I work as a baker now."),
    ("Ben", "My beagle Pim chewed the blue sofa on 3 May 2024."),
    ("Ana", "I like rye bread, and I swim in the river every Friday."),
]


class Sparing:
    """At most two calls of 64 tokens; after that there is no model."""

    def __init__(self, language: Language) -> None:
        self.language, self.calls = language, 0

    @property
    def name(self) -> str:
        return self.language.name

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion:
        if self.calls == 2:
            raise LanguageError("no more calls in this test")
        self.calls += 1
        return self.language.complete(messages, schema=schema, max_tokens=min(64, max_tokens), temperature=temperature)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("system", sorted(systems.SYSTEMS))
def test_a_real_model_is_asked_and_whatever_it_says_nothing_is_lost(system: str, real_language: Language) -> None:
    language = Sparing(real_language)
    with mnemic.open(":memory:", system=system, encoders="lexical", language=language) as memory:
        memory.remember(
            [
                mnemic.Turn(text, speaker, session=f"day {i // 2}", id=f"t{i}", role="user")
                for i, (speaker, text) in enumerate(SAID)
            ]
        )
        with suppress(LanguageError):  # its job stays open, and says why
            memory.reflect()
        found = memory.recall("Where does Ana live?")
        with suppress(LanguageError):
            memory.ask("What did Pim chew?")
        assert language.calls > 0
        turns, _ = memory.space.scan(Filter(kinds=[Kind.TURN], archived=True))
        assert [turn.text for turn in turns] == [text for _, text in SAID]
        assert found.hits
        known = {record.id for record in memory.space.scan(Filter(archived=True))[0]}
        assert all(set(record.sources) <= known for record in memory.space.scan(Filter(archived=True))[0])
        memory.language = None
        memory.reflect()  # what the model gave nothing usable about is made up for without it
        assert not [job for job in memory.stats()["jobs"] if job["error"]]
        assert {id for hit in memory.recall("Who moved to Lisbon?").hits for id in hit.sources} & {"t0"}
