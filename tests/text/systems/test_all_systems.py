"""What holds for every system, by its defaults and with settings under which a turn or two is enough to work on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scenes import opened

from mnemic.text.record import Kind
from mnemic.text.steps.render import count_tokens
from mnemic.text.systems import SYSTEMS, System, make
from mnemic.text.systems.hema import Hema
from mnemic.text.systems.hema import Settings as HemaSettings
from mnemic.text.systems.longmemeval import LongMemEval
from mnemic.text.systems.longmemeval import Settings as LongMemEvalSettings
from mnemic.text.systems.memgas import MemGas
from mnemic.text.systems.memgas import Settings as MemGasSettings
from mnemic.text.systems.memorag import MemoRag
from mnemic.text.systems.memorag import Settings as MemoRagSettings
from mnemic.text.systems.scm import Scm
from mnemic.text.systems.scm import Settings as ScmSettings

EAGER: dict[str, Callable[[], System]] = {
    "hema, a summary a turn": lambda: Hema(HemaSettings(every=1, share=0.05)),
    "longmemeval, sessions": lambda: LongMemEval(LongMemEvalSettings(value="session")),
    "memgas, from the first": lambda: MemGas(MemGasSettings(first=0)),
    "memorag, small blocks": lambda: MemoRag(MemoRagSettings(block=200, gist=60, page=20)),
    "scm, short turns are long": lambda: Scm(ScmSettings(long=40, group=200, node=60, top=80, page=20)),
}
MISO = "猫の名前はミソです。とても可愛い猫で、毎日庭で遊んでいます。"
BUDGET = 400
IN_VIEW = ("hema", "scm", "memalpha")
"""Systems that always show something: the last turns, or a core."""


@pytest.mark.parametrize("turns", [[], ["Hello!"], [MISO], ["🙂"], ["a " * 5000]], ids=["0", "hello", "cat", "🙂", "a"])
@pytest.mark.parametrize("name", [*SYSTEMS, *EAGER])
def test_hardly_anything_to_remember(name: str, turns: list[str]) -> None:
    with opened(EAGER[name]() if name in EAGER else make(name)) as memory:
        memory.remember(turns)
        memory.reflect()
        assert memory.reflect() == {"derived": 0, "superseded": 0}
        found = memory.recall("猫の名前は何ですか？", budget=BUDGET)
        assert any("ミソ" in hit.text for hit in found.hits[:1]) == (MISO in turns)
        assert found.hits == () or MISO in turns or name.startswith(IN_VIEW)
        assert count_tokens(found.text) <= BUDGET
        for query in ("", "\n\n"):
            nothing = memory.recall(query)
            assert nothing.used == ()
            assert nothing.hits == () or name.startswith(IN_VIEW)
        for query in ("Give me an overview.", "What did we discuss in session 1?", "then"):
            assert sum(hit.kind == Kind.TURN for hit in memory.recall(query).hits) <= len(turns)
