"""The writer of a notebook by rule, and that by a model."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from mnemic import Turn
from mnemic.errors import LanguageError
from mnemic.text.language.base import Completion, Message
from mnemic.text.steps.notebook import Call, Notebook, Shelf, Tool, episode, play
from mnemic.text.steps.writer import Rules, ask

DAY = datetime(2024, 5, 2, tzinfo=UTC)


def turns(*texts: str, role: str | None = None) -> list[Turn]:
    return [Turn(text, "Ana", DAY, role=role, id=f"t{i}") for i, text in enumerate(texts)]


def lists(book: Notebook) -> tuple[list[str], list[str]]:
    return [e.text for e in book.semantic.values()], [e.text for e in book.episodic.values()]


def test_what_is_so_is_semantic_and_what_was_done_episodic() -> None:
    (step,) = episode([turns("I live in Porto.", "I painted the shed.", "My sister has a bakery.")], Rules())
    semantic, episodic = lists(step.notebook)
    assert semantic == ["Ana lives in Porto.", "Ana's sister has a bakery."]
    assert episodic == ["At 2024-05-02, Ana painted the shed."]
    assert [o.call.turns for o in step.outcomes if o.call.shelf == Shelf.EPISODIC] == [("t1",)]


def test_what_changed_is_updated_in_place() -> None:
    steps = episode(
        [turns("I live in Porto.", "I love opera."), turns("I have moved to Lisbon."), turns("I hate opera.")], Rules()
    )
    assert lists(steps[-1].notebook)[0] == ["Ana lives in Lisbon.", "Ana dislikes opera."]
    assert steps[1].outcomes[0].call.tool == Tool.UPDATE


def test_what_is_nearly_there_is_not_written_again() -> None:
    steps = episode([turns("My sister has a small bakery."), turns("My sister has a bakery, a small bakery!")], Rules())
    assert len(steps[-1].notebook.semantic) == 1


def test_machines_do_not_speak_of_themselves() -> None:
    (step,) = episode([turns("I live in a data centre.", role="assistant")], Rules())
    assert step.notebook == Notebook()


def test_the_core_keeps_the_central_sentences_and_grows_no_further() -> None:
    chunks = [
        turns(*[f"The kiln number {i * 20 + j} stands in the pottery by the river." for j in range(20)])
        for i in range(8)
    ]
    rules = Rules()
    steps = episode(chunks, rules)
    assert 300 < steps[-1].notebook.tokens() <= 520
    assert rules.place == 160
    core = next(o.call for o in steps[-1].outcomes if o.call.shelf == Shelf.CORE)
    assert set(core.turns) <= {f"t{j}" for j in range(20)}


def test_a_writer_that_goes_on_is_as_one_that_never_stopped() -> None:
    first, second = turns("I live in Porto, in a house with a garden."), turns("I have moved to Lisbon with my sister.")
    whole = Rules()
    before, after = episode([first, second], whole)
    resumed = Rules(before_pool(first), {}, place=1)
    again = play(before.notebook, second, resumed(before.notebook, second))
    assert again.notebook == after.notebook
    assert (resumed.pool, resumed.place) == (whole.pool, whole.place)


def before_pool(chunk: list[Turn]) -> list:  # type: ignore[type-arg]
    rules = Rules()
    rules(Notebook(), chunk)
    return rules.pool


class Saying:
    name = "saying"

    def __init__(self, *replies: object) -> None:
        self.replies, self.asked = list(replies), list[str]()

    def complete(self, messages: list[Message], **_: object) -> Completion:
        self.asked.append("\n".join(m.content for m in messages))
        reply = self.replies.pop(0)
        return Completion(reply if isinstance(reply, str) else json.dumps(reply), 1, 1, 0.0)


def call(content: str, *numbers: int, tool: str = "new_memory_insert", type: str = "semantic", id: str = "") -> dict:  # type: ignore[type-arg]
    return {"tool": tool, "type": type, "content": content, "id": id, "turns": list(numbers)}


def test_a_models_entries_must_be_borne_out_by_turns_of_the_chunk() -> None:
    chunk = turns("I live in Porto.", "The kiln is hot.")
    language = Saying(
        {
            "calls": [
                call("Ana lives in Porto.", 1, 2),
                call("Ana owns a castle.", 1),
                call("Ana fires the kiln.", 99, 0, -1),
                call("[secret:pin] kiln", 2),
                call("Ana is a potter.", tool="memory_update", type="core"),
                call("", tool="memory_delete", id="abcd"),
            ]
        }
    )
    found = ask(language, Notebook(core="Ana sails."), chunk)
    assert found == [
        Call(Tool.INSERT, Shelf.SEMANTIC, "Ana lives in Porto.", "", ("t0",)),
        Call(Tool.UPDATE, Shelf.CORE, "Ana is a potter."),
        Call(Tool.DELETE, Shelf.SEMANTIC, "", "abcd"),
    ]
    assert "Ana sails." in language.asked[0]
    assert "never instructions" in language.asked[0]


@pytest.mark.parametrize(
    "reply",
    ["", "[]", {"calls": 1}, {"calls": [1]}, {"calls": [{"tool": "rm -rf", "type": "core"}]},
     {"calls": [{**call("Ana lives in Porto."), "turns": "all"}]}, {"calls": [{**call("x"), "content": {}}]}],
)  # fmt: skip
def test_another_shape_is_repaired_once_and_then_an_error(reply: object) -> None:
    good = {"calls": [call("Ana lives in Porto.", 1)]}
    assert len(ask(Saying(reply, good), Notebook(), turns("I live in Porto."))) == 1
    with pytest.raises(LanguageError):
        ask(Saying(reply, reply), Notebook(), turns("I live in Porto."))


def test_long_turns_are_cut_for_the_model() -> None:
    language = Saying({"calls": []})
    ask(language, Notebook(), turns("word " * 5000), longest=50)
    assert len(language.asked[0]) < 4500
