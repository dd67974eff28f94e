"""The ranking against plain loops over the same candidates, and each feature on a case that a person can check."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.encode.base import SparseVector
from mnemic.text.encode.lexical import tokens
from mnemic.text.plan import Candidates, SearchPlan
from mnemic.text.record import Kind
from mnemic.text.steps import rank
from mnemic.text.store.columns import NEVER, Row
from mnemic.text.store.index import Index

START = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)
VOCABULARY = ["tea", "boat", "moon", "cat", "lamp", "snow"]


def row(number: int, text: str, *, session: str = "s", speaker: str = "Ana", **more: Any) -> Row:
    at = (START + timedelta(minutes=number)).timestamp()
    made: dict[str, Any] = {
        "id": f"t{number}", "kind": Kind.TURN, "at": at, "valid_from": at, "valid_to": NEVER, "ended": NEVER,
        "recorded": at, "retired": NEVER, "forgotten": NEVER, "archived": NEVER, "speaker": speaker, "role": None,
        "session": session, "supersedes": None, "question": text.endswith("?"), "time_word": False,
        "words": len(text.split()), "names": 0, "reaction": False, "tokens": [" ".join(tokens(text))],
        "sparse_terms": [], "sparse_weights": [], "dense": [],
    }  # fmt: skip
    return Row(**{**made, **more})


def candidates(rows: list[Row], query: str, sparse: SparseVector | None = None) -> Candidates:
    index = Index()
    index.add(rows)
    return index.search(SearchPlan(terms=tokens(query), sparse=sparse))


def reference_window(c: Candidates, values: np.ndarray, pool: str) -> np.ndarray:
    """Rows joined with their neighbours', one slot, one step, one term at a time."""
    out = values.astype(float).copy()
    for slot in range(len(values)):
        borrow = rank.SHORT / (rank.SHORT + float(c.length[slot]))
        for side, decay in ((c.previous, rank.BACK), (c.following, rank.AHEAD)):
            at = slot
            for distance in range(1, 5):
                at = int(side[at])
                if at < 0:
                    break
                for term in range(values.shape[1]):
                    part = values[at, term] * decay**distance * borrow
                    out[slot, term] = out[slot, term] + part if pool == "sum" else max(out[slot, term], part)
    return out


@st.composite
def worlds(draw: st.DrawFn) -> list[Row]:
    count = draw(st.integers(1, 14))
    return [
        row(
            n,
            " ".join(draw(st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=5))),
            session=draw(st.sampled_from(["a", "b"])),
            speaker=draw(st.sampled_from(["Ana", "Ben"])),
        )
        for n in range(count)
    ]


@settings(max_examples=60, deadline=None)
@given(
    worlds(),
    st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=3, unique=True),
    st.sampled_from(["sum", "max"]),
)
def test_windows_equal_plain_loops(rows: list[Row], words: list[str], pool: str) -> None:
    c = candidates(rows, " ".join(words))
    assert c.lexical is not None
    borrow = rank.SHORT / (rank.SHORT + c.length)
    fast = rank.windowed(c.lexical.weights, borrow, rank.hops(c), pool=pool)
    np.testing.assert_allclose(fast, reference_window(c, c.lexical.weights, pool), rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=3, unique=True))
def test_bm25_equals_the_textbook(rows: list[Row], words: list[str]) -> None:
    c = candidates(rows, " ".join(words))
    assert c.lexical is not None
    term_weights = rank.idf(c.count, c.lexical.df) * c.lexical.query
    fast = rank.bm25(c.lexical.weights, c.length, c.mean_length, term_weights)
    stems = [r.tokens[0].split() for r in rows]
    mean = sum(map(len, stems)) / len(stems)
    for slot, number in enumerate(c.item.tolist()):
        score = 0.0
        for term in tokens(" ".join(words)):
            df = sum(term in s for s in stems)
            tf = stems[number].count(term)
            norm = rank.K1 * (1 - rank.B + rank.B * len(stems[number]) / mean)
            score += math.log(1 + (len(stems) - df + 0.5) / (df + 0.5)) * tf * (rank.K1 + 1) / (tf + norm)
        assert fast[slot] == pytest.approx(score, rel=1e-4)


def test_a_turn_between_two_matches_is_lifted_by_its_window() -> None:
    rows = [
        row(0, "the boat was red"),
        row(1, "yes it was lovely"),
        row(2, "a boat on the moon"),
        row(3, "lamp", session="z"),
    ]
    c = candidates(rows, "boat moon")
    f = rank.features(c, rank.Cues())
    assert f["bm"][1] == 0
    assert f["bmw"][1] > 0
    assert f["bmw"][3] == 0


def test_sparse_windows_take_the_maximum_and_never_the_sum() -> None:
    terms, weights = [np.array([3], np.int32)], [np.array([1.0], np.float32)]
    rows = [row(n, "x", sparse_terms=terms, sparse_weights=weights) for n in range(3)]
    c = candidates(rows, "x", SparseVector(np.array([3], np.int32), np.array([2.0], np.float32)))
    f = rank.features(c, rank.Cues())
    np.testing.assert_allclose(f["spw"], f["sp"])


def test_an_answer_inherits_the_match_of_its_question() -> None:
    rows = [
        row(0, "who feeds the cat?"),
        row(1, "my neighbour"),
        row(2, "the cat sleeps"),
        row(3, "my neighbour again"),
    ]
    f = rank.features(candidates(rows, "who feeds the cat"), rank.Cues())
    assert f["pq_bm"][1] == f["bm"][0] > 0
    assert f["pq_bm"][3] == 0


def test_the_person_asked_about_is_preferred_only_when_exactly_one_is_named() -> None:
    rows = [row(0, "tea", speaker="Ana"), row(1, "tea", speaker="Ben"), row(2, "tea", speaker=None)]  # type: ignore[arg-type]
    c = candidates(rows, "tea")
    assert rank.features(c, rank.Cues(speakers=(1,)))["spk"].tolist() == [-1.0, 1.0, 0.0]
    assert not rank.features(c, rank.Cues(speakers=(0, 1)))["spk"].any()


def test_without_a_chat_no_feature_of_chats_is_there() -> None:
    f = rank.features(candidates([row(0, "tea?")], "tea"), rank.Cues(chat=False))
    assert not {"spk", "isq", "when_tex", "first", "asst", "react", "names"} & set(f)


def test_the_date_prior_is_one_inside_and_fades_outside() -> None:
    day = timedelta(days=1)
    at = np.array([(START + n * day).timestamp() for n in (-7, 0, 1, 8)])
    prior = rank.date_prior(at, [(START, START + 2 * day)])
    np.testing.assert_allclose(prior, [math.exp(-1), 1, 1, math.exp(-6 * 0.7 / 7)], rtol=1e-4)
    assert not rank.date_prior(np.array([np.inf]), [(START, START + day)]).any()
    assert not rank.date_prior(at, []).any()


@pytest.mark.parametrize(
    ("question", "name", "told"),
    [
        ("Who is Ana's doctor?", True, False),
        ("Where did you say the keys are?", True, True),
        ("What did you recommend for my sleep?", False, True),
        ("What book did Ben finish?", True, False),
        ("Can you remind me of our previous conversation about tents?", False, True),
        ("How often does Ana swim?", False, False),
    ],
)
def test_what_a_question_gives_away(question: str, name: bool, told: bool) -> None:
    assert rank.asks_for_name(question) is name
    assert rank.asks_what_was_told(question) is told


def test_only_the_strongest_query_terms_are_kept_in_order() -> None:
    vector = SparseVector(np.arange(5, dtype=np.int32), np.array([5, 1, 4, 2, 3], np.float32))
    kept = rank.strongest(vector, 3)
    assert kept.terms.tolist() == [0, 2, 4]
    assert kept.weights.tolist() == [5, 4, 3]
    assert rank.strongest(vector, 9) is vector


def test_the_shipped_table_is_small_and_names_only_features_there_are() -> None:
    table = json.loads(files("mnemic.text.steps").joinpath("rank.json").read_text("utf-8"))
    assert set(table["score"]) == set(table["confidence"]) == {"lexical", "sparse", "dense", "all"}
    vector = SparseVector(np.array([1], np.int32), np.array([1.0], np.float32))
    index = Index(2)
    dense = [np.array([1.0, 0.0], np.float32)]
    index.add([row(0, "tea", sparse_terms=[vector.terms], sparse_weights=[vector.weights], dense=dense)])
    c = index.search(SearchPlan(terms=["tea"], sparse=vector, dense=dense[0]))
    known = set(rank.features(c, rank.Cues()))
    for coefficients in table["score"].values():
        assert len(coefficients) <= 25
        assert set(coefficients) <= known
        assert all(2 * value == round(2 * value) for value in coefficients.values())


def test_a_score_is_the_sum_of_its_parts() -> None:
    f = {"a": np.array([1, 2], np.float32), "b": np.array([3, 0], np.float32)}
    assert rank.score(f, {"a": 2.0, "b": -1.0, "c": 9.0}).tolist() == [-1.0, 4.0]
