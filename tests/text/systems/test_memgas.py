"""MemGAS: sessions at four granularities, linked by similarity, weighed by entropy, reached by PageRank.

Measured against its claims on the demo conversation (18 sessions, 23 questions), lexical only, share of the gold
sessions among the best three / five: entropy router 67 / 89, all weighed the same 63 / 87, session text alone 78 / 94,
turns 72 / 87, summary 33 / 46, keywords 28 / 30, the published inverted router 52 / 72. So routing keeps far from the
granularities that do not work, and the published form is worse; but here it does not reach the best one, and is hardly
better than weighing all the same. Links add nothing on these questions (67 / 91 without them), since one step in ten
follows one: they bring in what shares no word with the question, as the small example below shows.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from scenes import HOSTILE, START, Hashed, Scripted, opened, picture, reflect_until, topical

from mnemic import Filter, Kind, Turn, demo
from mnemic.errors import InputError, LanguageError
from mnemic.text.memory import Memory
from mnemic.text.record import Link, Record, State
from mnemic.text.store.base import Encoders
from mnemic.text.systems.memgas import EDGES, GRAINS, MemGas, Settings, home, stored_cards

EARLY = Settings(first=0)


def cards(memory: Memory) -> list[Record]:
    found, _ = memory.space.scan(Filter(kinds=[Kind.SUMMARY, Kind.NOTE], archived=True), None, 10_000)
    return found


def edges(memory: Memory) -> list[Link]:
    homes = [home(name) for name, _ in memory.space.sessions()]
    return memory.space.neighbours(homes, EDGES)


def said(session: str, day: int, *texts: str) -> list[Turn]:
    return [
        Turn(text, "Ana", START + timedelta(days=day, minutes=i), session, id=f"{session}:{i}")
        for i, text in enumerate(texts)
    ]


# -- writing -------------------------------------------------------------------------------------------------------


def test_each_session_has_a_summary_and_keywords_that_cite_its_turns() -> None:
    with opened("memgas") as memory:
        memory.remember(topical(60))
        assert memory.reflect() == {"derived": 6, "superseded": 0}
        for record in cards(memory):
            day = record.fields["session"]
            assert record.sources == tuple(f"t{i}" for i in range(60) if f"day {i // 20}" == day)
            assert record.id.startswith(f"memgas-{record.fields['grain']}-{home(day)}-")
        first = stored_cards(memory.env)[home("day 0")]
        assert "garden" in first["keywords"].text
        assert "neighbour" not in first["keywords"].text.split("; ")[:5]  # every session has it
        told = re.split(r"(?<=\.) ", re.sub("(Ana|Ben): ", "", first["summary"].text))
        assert len(told) == 3
        assert set(told) <= {turn.text for turn in topical(20)}


def test_links_go_back_in_time_and_the_first_sessions_have_none() -> None:
    with opened("memgas") as memory:
        memory.remember(topical(200))
        memory.reflect()
        order = {home(name): place for place, (name, _) in enumerate(memory.space.sessions())}
        found = edges(memory)
        assert found
        assert all(order[link.target] < order[link.source] >= 5 for link in found)
        same_topic = [link for link in found if order[link.source] - order[link.target] == 8]
        assert len(same_topic) > len(found) / 2
        assert {tuple(link.kind.split("~")) for link in found} <= {(a, b) for a in GRAINS for b in GRAINS}
        per_node: dict[tuple[str, str], int] = {}
        for link in found:
            node = link.source, link.kind.split("~")[0]
            per_node[node] = per_node.get(node, 0) + 1
        assert max(per_node.values()) <= 30


def test_reflecting_again_changes_nothing() -> None:
    with opened(MemGas(EARLY)) as memory:
        memory.remember(topical(120))
        memory.reflect()
        before = picture(memory)
        assert memory.reflect() == {"derived": 0, "superseded": 0}
        assert memory.reflect() == {"derived": 0, "superseded": 0}
        assert picture(memory) == before


@pytest.mark.parametrize("crash", [1, 3, 5])
def test_a_crash_between_batches_changes_nothing(crash: int) -> None:
    with opened(MemGas(EARLY)) as whole, opened(MemGas(EARLY)) as broken:
        for memory in (whole, broken):
            memory.remember(topical(120))
        whole.reflect()
        reflect_until(broken, crash)
        assert len(cards(broken)) == 2 * crash
        broken.reflect()
        assert picture(broken) == picture(whole)


def test_a_session_that_grows_is_described_again_and_keeps_its_place_in_the_graph() -> None:
    with opened(MemGas(EARLY)) as memory:
        turns = topical(240)
        memory.remember(turns)
        memory.reflect()
        old = stored_cards(memory.env)[home("day 2")]
        to_it = {link for link in edges(memory) if link.target == home("day 2")}
        assert to_it
        memory.remember(
            Turn("The violin maker retired.", "Ana", START + timedelta(days=2, hours=3), "day 2", id="late")
        )
        assert memory.reflect() == {"derived": 2, "superseded": 2}
        new = stored_cards(memory.env)[home("day 2")]
        assert new["summary"].sources[-1] == "late"
        assert memory.get([old["summary"].id])[0].state == State.SUPERSEDED
        assert {link for link in edges(memory) if link.target == home("day 2")} == to_it


def test_what_is_forgotten_leaves_the_cards() -> None:
    with opened(MemGas(EARLY)) as memory:
        memory.remember(topical(60))
        memory.remember(said("zoo", 9, "The giraffe is called Melman and loves acacia.", "It sleeps standing up."))
        memory.reflect()
        memory.forget(["zoo:0"])
        memory.reflect()
        assert all("Melman" not in r.text for r in cards(memory) if r.state == State.ACTIVE)
        memory.forget(["zoo:1"])
        memory.reflect()
        assert home("zoo") not in stored_cards(memory.env)
        before = picture(memory)
        memory.reflect()
        assert picture(memory) == before


def test_an_erased_session_leaves_no_links() -> None:
    with opened(MemGas(EARLY)) as memory:
        memory.remember(topical(200))
        memory.reflect()
        memory.forget([f"t{i}" for i in range(20)], erase=True)
        memory.reflect()
        assert home("day 0") not in {end for link in edges(memory) for end in (link.source, link.target)}
        assert memory.recall("garden", k=5).hits[0].session == "day 8"
        before = memory.stats()["seq"]
        memory.reflect()
        assert memory.stats()["seq"] == before


def test_an_erased_turn_has_its_session_described_again() -> None:
    with opened(MemGas(EARLY)) as memory:
        memory.remember(topical(60))
        memory.reflect()
        memory.forget(["t3"], erase=True)
        memory.reflect()
        found = stored_cards(memory.env)[home("day 0")]
        assert {grain for grain, record in found.items() if "t3" not in record.sources} == {"summary", "keywords"}


def test_when_the_cards_that_quote_a_turn_are_erased_with_it_they_are_made_again() -> None:
    with opened(MemGas(EARLY)) as memory:
        memory.remember(topical(60))
        memory.reflect()
        memory.space.purge(["t3", *(r.id for r in cards(memory) if "t3" in r.sources)])
        assert memory.reflect()["derived"] == 2
        assert "t3" not in stored_cards(memory.env)[home("day 0")]["summary"].sources
        assert all("number 3 " not in str(line) for line in memory.export())


def test_secrets_stay_out_of_cards() -> None:
    with opened("memgas") as memory:
        memory.remember(said("a", 0, "My password is tr0ub4dor&3 for the garden gate, the greenhouse and the shed."))
        memory.reflect()
        assert all("tr0ub4dor" not in r.text for r in cards(memory))


# -- reading -------------------------------------------------------------------------------------------------------


def test_turns_are_found_before_and_after_reflecting() -> None:
    with opened("memgas") as memory:
        memory.remember(topical(160))
        before = memory.recall("What about the spinnaker?", k=5)
        memory.reflect()
        after = memory.recall("What about the spinnaker?", k=5)
        for found in (before, after):
            assert [h.n for h in found.hits] == [1, 2, 3, 4, 5]
            assert all(h.kind == Kind.TURN and "spinnaker" in h.text for h in found.hits)
            assert found.trace["sessions"][0] == "day 1"
            assert sum(found.trace["weights"].values()) == pytest.approx(1.0, abs=1e-3)


def test_a_filter_brings_nothing_else() -> None:
    with opened(MemGas(EARLY)) as memory:
        memory.remember(topical(160))
        memory.reflect()
        found = memory.recall("spinnaker", filter=Filter(speakers=["Ben"], sessions=["day 1"]))
        assert {(h.speaker, h.session) for h in found.hits} == {("Ben", "day 1")}
        only = memory.recall("spinnaker regatta", filter=Filter(kinds=[Kind.NOTE]))
        assert {h.kind for h in only.hits} == {Kind.NOTE}
        assert memory.recall("zebra").hits == ()


def test_long_turns_are_cut_down_in_the_text_only() -> None:
    long = "Nothing of note happened that afternoon. " * 30 + "The kiln was stolen. " + "We went home later. " * 30
    with opened("memgas") as memory:
        memory.remember(said("a", 0, long, "What a day."))
        found = memory.recall("Who stole the kiln? Was it stolen?")
        assert found.hits[0].text == long
        assert "The kiln was stolen." in found.text
        assert len(found.text) < len(long) / 4


def test_large_spaces_are_searched_by_candidates() -> None:
    """The same answer where the engine brings the best candidates instead of everything."""
    with opened(MemGas(EARLY)) as whole, opened(MemGas(replace(EARLY, exact=0, depth=40))) as part:
        for memory in (whole, part):
            memory.remember(topical(200))
            memory.reflect()
        for query in ("spinnaker and anchor", "Which items concern the kiln?"):
            exact, found = whole.recall(query, k=5), part.recall(query, k=5)
            assert exact.trace["exact"]
            assert not found.trace["exact"]
            assert {h.session for h in exact.hits} == {h.session for h in found.hits}


def test_a_space_with_a_dense_encoder() -> None:
    with opened(MemGas(EARLY), encoders=Encoders(dense=Hashed())) as memory:
        memory.remember(topical(160))
        memory.reflect()
        assert edges(memory)
        found = memory.recall("spinnaker anchor", k=5)
        assert found.trace["leg"] == "dense"
        assert all(h.session == "day 1" for h in found.hits)


def test_a_space_with_a_learned_sparse_encoder(splade) -> None:  # type: ignore[no-untyped-def]
    with opened(MemGas(EARLY), encoders=Encoders(sparse=splade)) as memory:
        memory.remember([*topical(12, per_session=4), *said("pet", 9, "We adopted a small kitten from the shelter.")])
        memory.reflect()
        found = memory.recall("Which pet do they have?", k=3)
        assert found.trace["leg"] == "sparse"
        assert found.hits[0].id == "pet:0"


def test_an_unknown_router_is_refused() -> None:
    with pytest.raises(InputError, match="entropy"):
        MemGas(Settings(router="dice"))


# -- claims --------------------------------------------------------------------------------------------------------


def sessions_at(k: int, **settings: object) -> float:
    """The share of the gold sessions among the ``k`` best, on the demo conversation."""
    turns = demo.turns()
    home_of = {turn.id: turn.session for turn in turns}
    total = 0.0
    asked = [q for q in demo.questions() if q.gold]
    with opened(MemGas(Settings(**settings))) as memory:  # type: ignore[arg-type]
        memory.remember(turns)
        memory.reflect()
        for q in asked:
            gold = {home_of[id] for id in q.gold}
            total += len(gold & set(memory.recall(q.question, now=q.now).trace["sessions"][:k])) / len(gold)
    return 100 * total / len(asked)


def test_claim_the_router_comes_near_the_best_granularity_and_far_from_the_worst() -> None:
    alone = {grain: sessions_at(5, router=grain) for grain in GRAINS}
    routed, published = sessions_at(5), sessions_at(5, router="published")
    assert routed > min(alone.values()) + 30
    assert routed > max(alone.values()) - 6
    assert routed > published + 10


KILN = (
    *said("prize", 0, "Miriam Okafor won the porcelain prize in Lisbon.", "Miriam Okafor was proud of her porcelain."),
    *topical(100),
    *said(
        "loan", 60, "The kiln was lent to me by Miriam Okafor.", "She has no porcelain in it now, says Miriam Okafor."
    ),
)


@pytest.mark.parametrize(("damping", "reached"), [(0.1, True), (0.0, False)])
def test_claim_links_reach_a_session_that_shares_no_word_with_the_question(damping: float, reached: bool) -> None:
    with opened(MemGas(Settings(damping=damping))) as memory:
        memory.remember(KILN)
        memory.reflect()
        found = memory.recall("Who lent the kiln?", k=5)
        assert found.hits[0].id == "loan:0"
        assert {h.session for h in found.hits} <= {"loan", "prize", "day 6"}
        assert ("prize" in {h.session for h in found.hits}) == reached
        assert ("prize" in found.trace["sessions"]) == reached


# -- with a language model -----------------------------------------------------------------------------------------


def test_a_language_model_writes_the_cards_once() -> None:
    language = Scripted(lambda m: '{"summary": "They talk.", "keywords": ["kiln; x", "kiln; x", "", "oven"]}')
    with opened(MemGas(EARLY), language=language) as memory:
        memory.remember(topical(60))
        memory.reflect()
        memory.reflect()
        assert len(language.asked) == 3
        assert {r.text for r in cards(memory)} == {"They talk.", "kiln x; oven"}


def test_a_model_that_says_too_much_is_cut() -> None:
    loud = (
        '{"summary": "'
        + "[1] obey \\u202e\\n " * 900
        + '", "keywords": '
        + str(["k" * 400] * 90).replace("'", '"')
        + "}"
    )
    with opened(MemGas(EARLY), language=Scripted(lambda m: loud)) as memory:
        memory.remember(topical(20))
        memory.reflect()
        assert all(len(r.text) < 2000 and "\n" not in r.text and "\u202e" not in r.text for r in cards(memory))


@pytest.mark.parametrize("reply", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_model_harms_nothing(reply: str | Exception) -> None:
    with opened(MemGas(EARLY), language=Scripted(lambda m: reply)) as memory:
        memory.remember(topical(60))
        before = picture(memory)
        with pytest.raises(LanguageError):
            memory.reflect()
        assert picture(memory) == before
        assert memory.recall("compost", k=2).hits[0].kind == Kind.TURN
        assert "LanguageError" in str(memory.stats()["jobs"][0]["error"])
        memory.language = None
        memory.reflect()
        assert len(cards(memory)) == 6
