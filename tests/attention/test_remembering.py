"""What a memory writes when it is asked, and the text floor's MemoRAG on top of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from models import text, tiny
from policies import SMALL

import mnemic
from mnemic.attention.remembering import PROMPTS, Remembering, clues
from mnemic.attention.session import Session, attach
from mnemic.errors import InputError
from mnemic.text.steps.clues import Clues
from mnemic.text.systems.memorag import Block, GlobalMemory, MemoRag, Settings

LETTERS = "\n abcdefghijklmnopqrstuvwxyz?.,:'-0123456789"


class Letters:
    """A tokenizer: a letter is a token. With a ``script`` it reads that from whatever was written."""

    def __init__(self, script: str | None = None) -> None:
        self.script = script

    def __call__(self, said: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [1] * add_special_tokens + [3 + max(LETTERS.find(c), 0) for c in said.lower()]}

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return self.script or "".join(LETTERS[(id - 3) % len(LETTERS)] for id in ids)


@pytest.fixture(params=["beacon", "beacon-standin", "lambda"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    with attach(tiny(), SMALL[request.param]) as made:
        yield made


def test_what_is_written_is_what_the_memory_goes_on_with(session: Session) -> None:
    tokenizer = Letters()
    session.prefill(text(50))
    before = session.fork()
    copy = session.fork()
    copy.prefill(tokenizer(PROMPTS["draft"].format(question="who?"), add_special_tokens=False)["input_ids"])
    wanted = tokenizer.decode(copy.generate(20)[0]).strip(" \n\t-*•").split("\n")[0]
    assert clues(session, "who?", tokenizer, tokens=20).draft == wanted
    assert session.rows[0].ids == before.rows[0].ids
    assert torch.equal(session.forward([[5]], every=True)[0], before.forward([[5]], every=True)[0])


def test_lines_that_are_no_clues_are_left_out() -> None:
    script = "- The kiln was lent.\n\n* too short\nThe kiln was lent.\n  Who is Miriam Okafor?\nOne line too many now"
    with attach(tiny(), SMALL["beacon"]) as session:
        session.prefill(text(20))
        written = clues(session, "who?", Letters(script), tokens=2, most=2)
        assert written.recall == written.questions == ("The kiln was lent.", "Who is Miriam Okafor?")
        assert written.draft == "The kiln was lent."
        asked: list[str] = []

        def encode(prompt: str) -> list[int]:
            asked.append(prompt)
            return [7]

        assert clues(session, "who?", Letters("\n"), tokens=1, encode=encode).draft is None
        assert len(asked) == 3
        assert all("who?" in prompt for prompt in asked)
        session.forward([[5]])
    with attach(tiny(), SMALL["beacon"]) as session:
        session.prefill(torch.tensor([text(5), text(5)]))
        with pytest.raises(InputError, match="not 2"):
            clues(session, "who?", Letters())


def test_only_what_changed_is_read_again(session: Session) -> None:
    blocks = {"a": "the kiln was lent to us", "b": "by miriam okafor.", "c": "we fired a jug", "d": "and a bowl"}
    loaded: list[str] = []

    def told(names: Sequence[str]) -> Callable[[int], str]:
        def load(number: int) -> str:
            loaded.append(names[number])
            return blocks[names[number]]

        return load

    memory = Remembering(session, Letters())
    with pytest.raises(InputError, match="nothing to remember"):
        memory.read([], told([]))
    for names, read in (("abc", "abc"), ("abc", ""), ("abcd", "d"), ("abd", "d"), ("bd", "bd"), ("b", "")):
        loaded.clear()
        found = memory.read(list(names), told(names))
        assert "".join(loaded) == read
    fresh = Remembering(session, Letters()).read(["b"], told("b"))
    assert torch.equal(found.logits, fresh.logits)
    assert found.rows[0].ids == fresh.rows[0].ids
    assert not session.rows


class Remembered:
    """As docs/attention.md has it."""

    name = "beacon"

    def __init__(self, session: Session, tokenizer: Letters) -> None:
        self.tokenizer, self.memory = tokenizer, Remembering(session, tokenizer)

    def clues(self, question: str, blocks: Sequence[Block], load: Callable[[Block], str]) -> Clues:
        if not blocks:
            return Clues()
        session = self.memory.read([block.id for block in blocks], lambda number: load(blocks[number]))
        written = clues(session, question, self.tokenizer, tokens=4)
        return Clues(written.recall, written.questions, written.draft)


def test_memorag_searches_by_what_the_memory_writes() -> None:
    with attach(tiny(), SMALL["beacon"]) as session:
        remembered = Remembered(session, Letters("Okafor won a prize in Lisbon"))
        assert isinstance(remembered, GlobalMemory)
        said = ["The kiln was lent to us by Miriam Okafor.", "We fired a jug.", "Okafor won a prize in Lisbon."]
        system = MemoRag(Settings(block=40, gist=16), remembered)
        with mnemic.open(":memory:", system=system, encoders="lexical") as memory:
            memory.remember(said)
            memory.reflect()
            found = memory.recall("What is the fame of whoever lent the kiln?", k=2)
    assert found.trace["clues_by"] == "beacon"
    assert found.trace["clues"] == ["Okafor won a prize in Lisbon"]
    assert said[2] in [hit.text for hit in found]
