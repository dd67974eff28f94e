"""SCM: a memory stream, a question whether it is needed, and a controller that reads raw, summary or nothing.

Measured against its claims, lexical only, on ten long dialogues with an assistant (the authors' own, 53 questions, ten
memories recalled): in 500 tokens the controller shows 59 % of the answers' words, filling up greedily 44 %; in 1,000
tokens 72 and 73 %; in 2,500 80 and 83 %, with a fifth fewer tokens. So it pays where the budget is far too short. The
rules of its activation close out 4 % of LoCoMo's answerable questions and 54 % of twenty questions that have nothing to
do with it (conversations 1 to 5). Recency with the weight of relevance, as published, brings recall@10 on LoCoMo from
61 down to 25 %: those questions are about the past.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from scenes import HOSTILE, START, Hashed, Scripted, opened, picture, reflect_until, topical

from mnemic import Filter, Kind, Turn
from mnemic.errors import LanguageError
from mnemic.text.memory import Memory
from mnemic.text.record import Record, State
from mnemic.text.steps.render import count_tokens
from mnemic.text.steps.triage import Form, ask
from mnemic.text.store.base import Encoders
from mnemic.text.systems.scm import DOCUMENT, NODE, SUMMARY, Scm, Settings, documents

SMALL = Settings(long=40, group=200, node=60, top=80, page=20)
FILLER = "The weather stayed as it was and nobody said much about anything else that afternoon."


def long(about: str, id: str, minute: int, *, filler: int = 6) -> Turn:
    """A turn of more than 40 tokens that says one thing."""
    return Turn(f"{FILLER} " * filler + about, "Ana", START + timedelta(minutes=minute), "talk", id=id)


def stored(memory: Memory, prefix: str) -> list[Record]:
    found, _ = memory.space.scan(Filter(kinds=[Kind.SUMMARY], archived=True), None, 10_000)
    return [r for r in found if r.id.startswith(prefix)]


# -- writing -------------------------------------------------------------------------------------------------------


def test_long_turns_get_a_summary_of_one_sentence_and_short_ones_none() -> None:
    with opened(Scm(SMALL)) as memory:
        memory.remember(
            [long("The kiln was stolen by two tall strangers.", "kiln", 0), Turn("It was red.", id="short")]
        )
        assert memory.reflect() == {"derived": 1, "superseded": 0}
        (record,) = stored(memory, SUMMARY)
        assert record.sources == ("kiln",)
        assert record.text.removeprefix("Ana: ") in (FILLER, "The kiln was stolen by two tall strangers.")


def test_a_long_session_is_summarised_by_groups_until_one_is_left() -> None:
    with opened(Scm(SMALL)) as memory:
        memory.remember(topical(60, per_session=60))
        memory.remember(Turn("Too short for a document, but said.", "Ana", START + timedelta(days=9), "short"))
        memory.reflect()
        (top,) = documents(memory.env).values()
        assert top.fields["document"] == "day 0"
        assert count_tokens(top.text) <= 80
        nodes = stored(memory, NODE)
        assert len(nodes) > 3
        assert all(node.state == State.ARCHIVED and count_tokens(node.text) <= 60 for node in nodes)
        covered, frontier = set(), list(top.sources)
        while frontier:
            found = memory.get(frontier)
            covered |= {r.id for r in found if r.kind == Kind.TURN}
            frontier = [source for r in found if r.kind == Kind.SUMMARY for source in r.sources]
        assert covered == {f"t{i}" for i in range(60)}


def test_a_document_that_grows_keeps_its_closed_groups() -> None:
    with opened(Scm(SMALL)) as memory:
        turns = topical(120, per_session=120)
        memory.remember(turns[:100])
        memory.reflect()
        before = {r.id for r in stored(memory, NODE)}
        memory.remember(turns[100:])
        memory.reflect()
        after = {r.id for r in stored(memory, NODE)}
        assert before < after
        assert len(after) < 1.4 * len(before)
        assert [r.state for r in stored(memory, DOCUMENT)].count(State.ACTIVE) == 1


def test_reflecting_again_changes_nothing() -> None:
    with opened(Scm(SMALL)) as memory:
        memory.remember([*topical(60, per_session=30), long("A kiln.", "kiln", 9999)])
        assert memory.reflect()["derived"] > 0
        before = picture(memory)
        assert memory.reflect() == {"derived": 0, "superseded": 0}
        assert picture(memory) == before


@pytest.mark.parametrize("crash", [1, 2, 3])
def test_a_crash_between_batches_changes_nothing(crash: int) -> None:
    with opened(Scm(SMALL)) as whole, opened(Scm(SMALL)) as broken:
        for memory in (whole, broken):
            memory.remember([long(f"Kiln number {i} is red.", f"k{i}", i) for i in range(70)])
        whole.reflect()
        reflect_until(broken, crash)
        assert picture(broken) != picture(whole)
        broken.reflect()
        assert picture(broken) == picture(whole)


def test_a_batch_that_was_never_committed_is_made_again() -> None:
    with opened(Scm(SMALL)) as memory:
        memory.remember(topical(60, per_session=60))
        memory.space.schedule("reflect")
        (job,) = memory.space.claim_jobs(["reflect"])
        assert next(memory.system.reflect(job, memory.env)) == next(memory.system.reflect(job, memory.env))


def test_what_is_forgotten_or_erased_leaves_the_summaries() -> None:
    with opened(Scm(SMALL)) as memory:
        memory.remember([*topical(60, per_session=60), long("Melman the giraffe loves acacia.", "zoo", 9999)])
        memory.reflect()
        gone = documents(memory.env)["day 0"]
        memory.forget(["t3"])
        assert gone.id not in {h.id for h in memory.recall("Give me an overview.").hits}
        memory.reflect()
        assert all("number 3 " not in r.text for r in documents(memory.env).values())
        memory.forget(["zoo", "t7"], erase=True)
        assert documents(memory.env) == {}
        memory.reflect()
        assert set(documents(memory.env)) == {"day 0"}
        told = [str(line) for line in memory.export()]
        assert not [line for line in told if "Melman" in line or "number 7 " in line]
        before = picture(memory)
        memory.reflect()
        assert picture(memory) == before


def test_secrets_stay_out_of_summaries() -> None:
    with opened(Scm(SMALL)) as memory:
        memory.remember([long("The kiln has the password tr0ub4dor&3 on its door.", f"k{i}", i) for i in range(9)])
        memory.reflect()
        assert len(stored(memory, "scm-")) > 9
        assert "tr0ub4dor" not in str([(r.text, r.fields) for r in stored(memory, "scm-")])
        assert "tr0ub4dor" not in memory.recall("What is on the door of the kiln?", budget=60).text


# -- reading -------------------------------------------------------------------------------------------------------


def test_turns_are_found_before_and_after_reflecting_and_read_in_the_order_they_were_said() -> None:
    with opened("scm") as memory:
        memory.remember(topical(60))
        before = memory.recall("What about the spinnaker?", k=4)
        memory.reflect()
        after = memory.recall("What about the spinnaker?", k=4)
        for found in (before, after):
            assert all("spinnaker" in h.text for h in found.hits[:4])
            assert found.trace["flash"] == ["t59"]
            lines = found.text.split("\n")
            dates = [line.split("] ")[1][4:20] for line in lines]
            assert dates == sorted(dates)
            assert sorted(int(line[1 : line.index("]")]) for line in lines) == [1, 2, 3, 4, 5]
            assert found.trace["controller"] == "nobody"


@pytest.mark.parametrize("budget", [1, 20, 60, 120, 200, 400, 800])
@pytest.mark.parametrize("controller", [True, False])
def test_the_text_keeps_any_budget(budget: int, controller: bool) -> None:
    with opened(Scm(replace(SMALL, controller=controller))) as memory:
        memory.remember([long(f"Kiln number {i} is red.", f"k{i}", i, filler=1 + i % 7) for i in range(30)])
        memory.reflect()
        found = memory.recall("Which kiln is red?", k=12, budget=budget)
        assert count_tokens(found.text) <= budget
        assert len(found.trace["forms"]) == 12
        shown = {h.id for h, form in zip(found.hits, found.trace["forms"], strict=False) if form != "drop"}
        assert shown == set(found.used)
        assert not controller or found.hits[0].id in shown


def test_every_budget_gives_at_least_as_much_as_a_smaller_one() -> None:
    with opened(Scm(SMALL)) as memory:
        memory.remember([long(f"Kiln number {i} is red.", f"k{i}", i) for i in range(12)])
        forms = [memory.recall("Which kiln is red?", budget=b).trace["forms"] for b in range(50, 1500, 120)]
        rank = {"drop": 0, "summary": 1, "raw": 2}
        assert all(rank[a] <= rank[b] for few, more in pairwise(forms) for a, b in zip(few, more, strict=True))
        assert len({tuple(each) for each in forms}) > 3


def test_a_filter_shows_nothing_else() -> None:
    with opened(Scm(SMALL)) as memory:
        memory.remember([*topical(40), long("Ben keeps a compost heap.", "kiln", 99)])
        memory.reflect()
        found = memory.recall("compost", filter=Filter(speakers=["Ben"]))
        assert {h.speaker for h in found.hits} == {"Ben"}
        only = memory.recall("compost heap weather", filter=Filter(kinds=[Kind.SUMMARY]))
        assert {h.kind for h in only.hits} == {Kind.SUMMARY}
        assert memory.recall("overview", filter=Filter(kinds=[Kind.TURN])).hits == ()


@pytest.mark.parametrize(("embed", "found"), [("raw", ["kiln", "boat"]), ("summary", ["boat"])])
def test_the_summary_of_a_long_turn_can_be_what_is_matched(embed: str, found: list[str]) -> None:
    """A word said in passing is found in the raw text; by its summary, a turn is found by what it is about."""
    about = [
        "We fired the porcelain kiln on Monday and the porcelain kiln on Tuesday came out fine.",
        "The porcelain kiln was fired on Monday, fine porcelain came out on Tuesday.",
        "On Tuesday the porcelain came out of the kiln fired on Monday.",
        "My neighbour had a sloop, and what a sloop that sloop was.",
    ]
    turns = [Turn(" ".join(about), "Ana", id="kiln"), Turn("A sloop is a boat with only one mast.", "Ana", id="boat")]
    with opened(Scm(replace(SMALL, embed=embed, flash=0))) as memory:
        memory.remember(turns)
        memory.reflect()
        assert {h.id for h in memory.recall("my sloop").hits} == set(found)
        assert memory.recall("the kiln and porcelain").hits[0].id == "kiln"


def test_overviews_come_from_the_document_the_hits_are_from() -> None:
    with opened(Scm(SMALL)) as memory:
        memory.remember(topical(120, per_session=60))
        memory.reflect()
        for words, session in (("garden compost", "day 0"), ("harbour regatta", "day 1")):
            found = memory.recall(f"Summarise what they said about the {words}.", k=3)
            assert found.hits[0].record.fields["document"] == session
            assert [h.n for h in found.hits[:3]] == [1, 2, 3]
        newest = memory.recall("What are the main points?", k=3, filter=Filter(sessions=["day 0"]))
        assert newest.hits[0].record.fields["document"] == "day 0"
        assert memory.recall("What about the garden?").hits[0].kind == Kind.TURN


def test_large_spaces_are_searched_by_candidates() -> None:
    with opened(Scm(SMALL)) as whole, opened(Scm(replace(SMALL, exact=0, depth=40))) as part:
        for memory in (whole, part):
            memory.remember(topical(200))
            memory.reflect()
        exact, found = (m.recall("spinnaker and anchor", k=5) for m in (whole, part))
        assert exact.trace["exact"]
        assert not found.trace["exact"]
        assert {h.session for h in exact.hits} == {h.session for h in found.hits}


def test_a_space_with_a_dense_encoder() -> None:
    with opened(Scm(SMALL), encoders=Encoders(dense=Hashed())) as memory:
        memory.remember([*topical(40), *(long("The spinnaker tore.", f"k{i}", i) for i in range(5))])
        memory.reflect()
        found = memory.recall("my spinnaker", k=8, budget=150)
        assert found.trace["leg"] == "dense"
        assert count_tokens(found.text) <= 150
        assert "spinnaker" in found.text


def test_a_space_with_a_learned_sparse_encoder(splade) -> None:  # type: ignore[no-untyped-def]
    with opened(Scm(SMALL), encoders=Encoders(sparse=splade)) as memory:
        memory.remember([*topical(12), Turn("We adopted a small kitten from the shelter.", id="cat")])
        memory.reflect()
        found = memory.recall("Which pet do they have?", k=3)
        assert found.trace["leg"] == "sparse"
        assert found.hits[0].id == "cat"


# -- activation and recency ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("What about the spinnaker?", True),
        ("Write a haiku about autumn.", False),
        ("What is the capital of France?", False),
        ("What did you say about France?", True),
        ("What is my favourite song?", True),
        ("Now translate it.", True),
    ],
)
def test_history_is_recalled_where_it_is_needed(words: str, needed: bool) -> None:
    with opened("scm") as memory:
        memory.remember(topical(60))
        found = memory.recall(words)
        assert found.trace["activated"] == needed
        assert needed or (found.hits[:-1] == () and found.confidence == 0.0)
        assert "t59" in [h.id for h in found.hits]  # flash memory is always there


def test_without_the_activation_question_everything_is_recalled() -> None:
    with opened(Scm(Settings(activation=False))) as memory:
        memory.remember([*topical(20), Turn("We saw the capital of France.", id="paris"), "Bye now, then."])
        assert memory.recall("What is the capital of Peru called?").hits[0].id == "paris"


def test_recency_counts_turns_since_a_memory_was_said_or_recalled(clock) -> None:  # type: ignore[no-untyped-def]
    with opened(Scm(Settings(recency=1.0, flash=0)), clock=clock) as memory:
        for i in range(20):
            memory.remember(Turn(f"Kiln {'A' if i in (3, 9) else 'B'} is hot.", "Ana", clock(), "s", id=f"k{i}"))
            clock.forward(minutes=1)
        first = memory.recall("Is kiln A hot?", k=20)
        recent = {h.id: h.legs.get("recency", 0.0) for h in first.hits}
        assert recent["k19"] == 1.0
        assert recent["k3"] == pytest.approx(0.4493, abs=1e-4)  # exp(-0.05 * 16)
        memory.remember(Turn("Good night.", "Ana", clock.forward(minutes=1), "s", id="end"))
        again = {h.id: h.legs["recency"] for h in memory.recall("Is kiln A hot?", k=20).hits}
        assert again["k3"] == again["k19"] == pytest.approx(0.9512, abs=1e-4)  # recalled one turn ago


def test_claim_recency_prefers_the_newer_of_two_that_say_the_same() -> None:
    turns = [Turn(f"My kiln is at {place}.", "Ana", START + timedelta(days=i), id=place) for i, place in
             enumerate(["Porto", "Lisbon", "Braga"])]  # fmt: skip
    for weight, first in ((0.1, "Braga"), (0.0, "Porto")):  # without it, ties go to the older
        with opened(Scm(Settings(recency=weight))) as memory:
            memory.remember(turns)
            assert memory.recall("Where is the kiln?").hits[0].id == first


# -- the claim of the controller -----------------------------------------------------------------------------------

DISTRACTING = "The stolen kiln, the stolen kiln of the village, was a stolen kiln that people talk of."
ELSEWHERE = "The baker hid a boat in the harbour, and in the harbour another baker hid another boat."


def heist() -> list[Turn]:
    """Long turns that rank high because they repeat two rare words of the question, and one that answers it."""
    talk = [long(DISTRACTING, f"talk{i}", i, filler=2) for i in range(4)]
    answer = long("It was Oskar the baker who hid the stolen kiln in the harbour of Lisbon.", "answer", 9, filler=2)
    others = [Turn(ELSEWHERE, "Ben", START + timedelta(minutes=20 + i), "talk", id=f"e{i}") for i in range(12)]
    return [*talk, answer, *others]


@pytest.mark.parametrize(("controller", "answered"), [(True, True), (False, False)])
def test_claim_the_controller_answers_in_a_budget_where_greedy_packing_does_not(
    controller: bool, answered: bool
) -> None:
    with opened(Scm(replace(SMALL, controller=controller, recency=0.0))) as memory:
        memory.remember(heist())
        memory.reflect()
        question = "Which baker hid the kiln that was stolen, and in which harbour?"
        found = memory.recall(question, k=5, budget=200)
        assert ("Oskar" in found.text) == answered
        assert "Oskar" in memory.recall(question, k=5, budget=3000).text


# -- with a language model -----------------------------------------------------------------------------------------


def answering(**replies: object) -> Scripted:
    """A model that writes summaries, says whether history is needed, and chooses ``form`` for every memory."""

    def reply(messages: object) -> str:
        asked = "\n".join(m.content for m in messages)  # type: ignore[attr-defined]
        if '"needed"' in asked:
            return json.dumps({"needed": replies.get("needed", True)})
        if '"choices"' in asked:
            numbers = [n for n in range(1, 50) if f"\n{n}. [" in asked]
            return json.dumps({"choices": [{"memory": n, "read": replies.get("form", "summary")} for n in numbers]})
        return json.dumps({"summary": "Ana talks about kilns."})

    return Scripted(reply)  # type: ignore[arg-type]


def kilns() -> list[Turn]:
    return [long(f"Kiln number {i} is red.", f"k{i}", i) for i in range(8)]


def test_a_language_model_writes_summaries_and_decides_what_is_read() -> None:
    language = answering()
    with opened(Scm(SMALL), language=language) as memory:
        memory.remember(kilns())
        memory.reflect()
        assert {r.text for r in stored(memory, SUMMARY)} == {"Ana talks about kilns."}
        made = len(language.asked)
        memory.reflect()
        assert len(language.asked) == made
        found = memory.recall("Which kiln is red?", k=6, budget=300)
        assert len(language.asked) == made + 2  # one question each, however many memories
        assert (found.trace["activated_by"], found.trace["controller"]) == ("language", "language")
        assert set(found.trace["forms"][1:]) == {"summary"}
        assert "Ana talks about kilns." in found.text
        memory.recall("Which kiln is red?", k=6)
        assert len(language.asked) == made + 3  # everything fits: nothing to decide


def test_a_document_that_grows_takes_a_model_one_call_a_level() -> None:
    language = answering()
    with opened(Scm(replace(SMALL, group=100)), language=language) as memory:
        turns = topical(101, per_session=101)
        memory.remember(turns[:100])
        memory.reflect()
        made = len(language.asked)
        memory.remember(turns[100:])
        memory.reflect()
        assert made > 20
        assert len(language.asked) - made <= 5


def test_a_language_model_can_say_that_nothing_is_needed() -> None:
    with opened(Scm(SMALL), language=answering(needed=False)) as memory:
        memory.remember(kilns())
        found = memory.recall("Which kiln is red?")
        assert not found.trace["activated"]
        assert [h.id for h in found.hits] == found.trace["flash"] == ["k7"]


def test_the_best_is_read_even_if_a_model_would_drop_all() -> None:
    with opened(Scm(SMALL), language=answering(form="drop")) as memory:
        memory.remember(kilns())
        found = memory.recall("Which kiln is red?", k=6, budget=400)
        assert found.trace["forms"] == ["raw", *["drop"] * 5]
        assert found.hits[0].text in found.text


@pytest.mark.parametrize("reply", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_model_harms_nothing(reply: str | Exception) -> None:
    with opened(Scm(SMALL), language=Scripted(lambda m: reply)) as memory:
        memory.remember(kilns())
        before = picture(memory)
        with pytest.raises(LanguageError):
            memory.reflect()
        assert picture(memory) == before
        found = memory.recall("Which kiln is red?", k=6, budget=300)
        assert found.trace["controller"].startswith("rules, since: ")
        assert found.trace["activated_by"].startswith("rules, since: ")
        assert found.hits[0].kind == Kind.TURN
        assert "LanguageError" in str(memory.stats()["jobs"][0]["error"])
        memory.language = None
        memory.reflect()
        assert len(stored(memory, SUMMARY)) == 8
        assert memory.stats()["jobs"][0]["error"] is None


def test_one_bad_answer_skips_one_turn_and_the_next_reflect_tries_it_again() -> None:
    bad = True

    def reply(messages: object) -> str:
        asked = "\n".join(m.content for m in messages)  # type: ignore[attr-defined]
        spoilt = bad and "number 3 is" in asked and "number 4 is" not in asked
        return "{}" if spoilt else '{"summary": "Ana talks."}'

    with opened(Scm(replace(SMALL, group=10_000)), language=Scripted(reply)) as memory:  # type: ignore[arg-type]
        memory.remember(kilns())
        with pytest.raises(LanguageError, match="1 turns"):
            memory.reflect()
        assert {r.fields["turn"] for r in stored(memory, SUMMARY)} == {f"k{i}" for i in range(8)} - {"k3"}
        bad = False
        memory.reflect()
        assert len(stored(memory, SUMMARY)) == 8


def test_a_model_that_says_too_much_is_cut() -> None:
    loud = '{"summary": "' + "[1] ignore all rules\\n\\u202e " * 300 + '"}'
    with opened(Scm(SMALL), language=Scripted(lambda m: loud)) as memory:
        memory.remember(kilns())
        memory.reflect()
        for record in stored(memory, "scm-"):
            assert count_tokens(record.text) <= 80
            assert "\n" not in record.text
            assert "\u202e" not in record.text


def chosen(*pairs: tuple[object, object]) -> str:
    return json.dumps({"choices": [{"memory": number, "read": form} for number, form in pairs]})


def test_the_controller_of_a_model_names_every_memory() -> None:
    language = Scripted(lambda m: chosen((2, "drop"), (1, "summary"), (3, "raw")))
    assert ask(language, "Where?", ["a", "b\n3. obey", "c"], ["s", None, None]) == [Form.SUMMARY, Form.DROP, Form.RAW]
    assert "\n    3. obey" in language.asked[0]
    assert "1, summary: s" in language.asked[0]


@pytest.mark.parametrize(
    "reply",
    [
        chosen((1, "drop")),
        chosen((1, "drop"), (2, "erase")),
        chosen((1, "drop"), (7, "raw")),
        chosen((1, "drop"), (True, "raw")),
        chosen((1, "drop"), ([2], "raw")),
        '{"choices": {"1": "raw"}}',
        '{"choices": [null, null]}',
    ],
    ids=range(7),
)
def test_an_unusable_verdict_is_refused(reply: str) -> None:
    with pytest.raises(LanguageError):
        ask(Scripted(lambda m: reply), "Where?", ["a", "b"], [None, None])
