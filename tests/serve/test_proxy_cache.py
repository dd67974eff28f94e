"""What an upstream finds unchanged from request to request, against two simpler ways of quoting memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from upstream import START, Stage, stage

import mnemic
from mnemic.serve.proxy_sessions import plain, recall
from mnemic.text.steps.render import count_tokens

DOCS = Path(__file__).parents[2] / "docs" / "proxy.md"
SYSTEM = "You are a friendly assistant. Answer in one or two sentences. " * 4
STORED = [
    "I adopted a beagle called Pim from the shelter in Delft.",
    "Pim is afraid of thunder and hides under the kitchen table.",
    "Our vet is Dr. Okafor, her practice is next to the library.",
    "Pim must not eat grapes or chocolate, the vet said.",
    "My sister Ines lives in Lisbon and works at the harbour.",
    "Ines is allergic to peanuts and to cats.",
    "We visit Ines in Lisbon every summer, usually in July.",
    "The train to Lisbon leaves from Madrid at noon.",
    "I play the cello in an orchestra on Tuesday evenings.",
    "The orchestra rehearses Dvorak for the concert in June.",
    "My cello needs a new bow, the old one is cracked.",
    "I work as a gardener in the botanical garden.",
    "In the garden we grow forty kinds of tulips.",
    "My boss at the garden is called Willem.",
    "I drink my coffee black, without sugar.",
    "For breakfast I like oats with blueberries.",
    "My bicycle was stolen last week near the station.",
    "I bought a red bicycle with a basket for Pim.",
    "My mother turns seventy in October, we plan a party.",
    "The party for my mother will be in the garden of Ines.",
]
ASKED = [
    "What is my beagle called, and where did I adopt him?",
    "What does Pim do when there is thunder?",
    "What must Pim not eat?",
    "Who is our vet, and where is her practice?",
    "When do we visit Ines in Lisbon?",
    "What is Ines allergic to?",
    "What does the orchestra rehearse for the concert?",
    "What is wrong with my cello?",
    "Where is the party for my mother, and when does she turn seventy?",
    "What happened to my bicycle near the station?",
]
ANSWERS = [f"That I can tell you, going by what you told me before. It is answer number {n}." for n in range(10)]
Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Cost:
    """Tokens of all the prompts of a conversation, and how many of them stand at the beginning of the one before."""

    sent: int
    cached: int

    @property
    def row(self) -> str:
        return f"{self.sent:,} | {self.cached:,} | {self.sent - self.cached:,} | {self.cached / self.sent:.0%}"


def cost(prompts: list[Messages]) -> Cost:
    texts = ["".join(f"<{message['role']}>{message['content']}" for message in prompt) for prompt in prompts]
    cached = [count_tokens(text[: shared(before, text)]) for before, text in pairwise(texts)]
    return Cost(sum(map(count_tokens, texts)), sum(cached))


def shared(one: str, other: str) -> int:
    """How many characters they begin with alike."""
    unlike = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(unlike, min(len(one), len(other)))


def history(turn: int) -> Messages:
    """What a client sends for its ``turn``-th question."""
    said: Messages = [{"role": "system", "content": SYSTEM}]
    for question, answer in zip(ASKED[:turn], ANSWERS, strict=False):
        said += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return [*said, {"role": "user", "content": ASKED[turn]}]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, budget=500) as opened:
        opened.remember(*STORED)
        opened.upstream.reply = lambda body: ANSWERS[sum(each["role"] == "user" for each in body["messages"]) - 1]
        yield opened


def talk(served: Stage) -> list[Messages]:
    """The conversation through the proxy: what the upstream was asked at each turn."""
    for turn in range(len(ASKED)):
        served.clock.forward(minutes=1)
        served.client().chat.completions.create(model="fake", messages=history(turn))  # type: ignore[arg-type]
    return [seen.json["messages"] for seen in served.upstream.seen]


def test_every_request_is_the_one_before_it_and_more(served: Stage) -> None:
    prompts = talk(served)
    assert sum("[1]" in str(prompt[1]["content"]) for prompt in prompts) == 10  # the first quotation is always there
    for before, prompt in pairwise(prompts):
        assert prompt[: len(before)] == before


def test_what_the_cache_saves_is_what_the_documentation_says(served: Stage, tmp_path: Path) -> None:
    def quoting(place: Callable[[Messages, str], Messages]) -> Cost:
        """The same recall with the same budget, made anew for each turn and put where ``place`` says."""
        with mnemic.open(":memory:", encoders="lexical", clock=lambda: START) as memory:
            memory.remember(STORED, session="before", role="user", at="2024-01-05")
            prompts = []
            for turn, question in enumerate(ASKED):
                held = {plain(each["content"]) for each in history(turn)}
                now = START + timedelta(minutes=turn + 1)
                block = recall(memory, question, budget=500, now=now, known=set(), held=held)
                prompts.append(place(history(turn), block.text))
            return cost(prompts)

    def in_system(said: Messages, block: str) -> Messages:
        return [{"role": "system", "content": f"{said[0]['content']}\n\n{block}"}, *said[1:]]

    def in_last(said: Messages, block: str) -> Messages:
        return [*said[:-1], {"role": "user", "content": f"{block}\n\n{said[-1]['content']}"}]

    rows = {
        "no memory": cost([history(turn) for turn in range(10)]),
        "recalled anew into the system message": quoting(in_system),
        "recalled anew before the last message": quoting(in_last),
        "this proxy": cost(talk(served)),
    }
    fresh = {name: cost.sent - cost.cached for name, cost in rows.items()}
    assert fresh["this proxy"] < fresh["recalled anew before the last message"] / 2
    table = [f"| {name} | {cost.row} |" for name, cost in rows.items()]
    assert "\n".join(table) in DOCS.read_text("utf-8")
