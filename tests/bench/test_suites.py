"""Each suite on a few lines of its own format, written here: what is read, what is gold, what is dropped."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mnemic.bench.run import Settings, run
from mnemic.bench.suite import Item, Question, Suite
from mnemic.bench.suites import SUITES, babi, make
from mnemic.bench.suites.generated import newest_first
from mnemic.bench.suites.locomo import evidence
from mnemic.bench.suites.longmemeval import DISTRACTORS, haystack, moment
from mnemic.bench.suites.personamem import choose
from mnemic.bench.suites.scm import evidence as derived
from mnemic.errors import InputError
from mnemic.text.record import Turn


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") if path.suffix == ".gz" else path.open("w") as file:
        file.write(value if isinstance(value, str) else json.dumps(value))


def found(question: Question, *ids: str, sessions: tuple[str, ...] = ()) -> Item:
    return Item(question, "case", [[id] for id in ids], [[s] for s in sessions or ids], [10] * len(ids), 0.5, 1.0)


def score(suite: Suite, items: list[Item], metric: str, group: str = "all") -> float:
    return next(s.value for s in suite.score(items) if (s.metric, s.group) == (metric, group))


# -- LoCoMo ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def locomo(tmp_path: Path) -> Path:
    talk = {
        "speaker_a": "Ann",
        "speaker_b": "Bob",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ann", "dia_id": "D1:1", "text": "I went kayaking."},
            {"speaker": "Bob", "dia_id": "D1:2", "text": "Look!", "blip_caption": "a photo of a lighthouse"},
        ],
        "session_2_date_time": "9:00 am on 9 June, 2023",
        "session_2": [{"speaker": "Bob", "dia_id": "D2:1", "text": "My sister moved to Bergen."}],
    }
    qa = [
        {"question": "What did Ann do?", "answer": "kayaking", "evidence": ["D1:1"], "category": 4},
        {"question": "What is on Bob's photo?", "answer": 2022, "evidence": ["D1:2; D2:1"], "category": 1},
        {"question": "Unknown?", "answer": "x", "evidence": ["D"], "category": 3},
        {
            "question": "Where did Ann's sister move?",
            "adversarial_answer": "Bergen",
            "evidence": ["D2:1"],
            "category": 5,
        },
    ]
    write(tmp_path / "locomo/locomo.json.gz", [{"sample_id": "conv-1", "conversation": talk, "qa": qa}])
    return tmp_path


def test_locomo_reads_turns_captions_dates_and_evidence(locomo: Path):
    data = make("locomo").load(locomo, limit=None, seed=0)
    (case,) = data.cases
    assert [turn.caption for turn in case.turns] == [None, "a photo of a lighthouse", None]
    assert case.turns[0].at == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    first, second, third, adversarial = case.questions
    assert first.gold == (case.turns[0].id,)
    assert second.gold == (case.turns[1].id, case.turns[2].id)
    assert second.answer == "2022"
    assert len(second.sessions) == 2
    assert third.gold == ()
    assert (adversarial.answerable, adversarial.category) == (False, "adversarial")
    assert data.notes == {"questions": 4, "evidence dropped": 1, "questions without evidence": 1}


def test_locomo_scores_categories_apart_from_the_adversarial_one(locomo: Path):
    suite = make("locomo")
    case = suite.load(locomo, limit=None, seed=0).cases[0]
    first, second, third, adversarial = case.questions
    kayak, photo, _ = (turn.id or "" for turn in case.turns)
    items = [found(first, kayak), found(second, photo), found(third, kayak), found(adversarial, kayak)]
    assert score(suite, items, "recall@5") == 0.75  # 1 and 1/2; the one without evidence does not count
    assert score(suite, items, "led astray@10", "adversarial") == 0.0
    assert {s.metric for s in suite.score(items) if s.group == "refusal"} == {"AUROC", "ECE"}


def test_locomo_answers_to_adversarial_questions_count_apart(locomo: Path):
    suite = make("locomo")
    first, _, _, adversarial = suite.load(locomo, limit=None, seed=0).cases[0].questions
    items = [
        replace(found(first, "x"), response="kayaking"),
        replace(found(adversarial, "x"), response="In Bergen."),
    ]
    assert score(suite, items, "answer F1") == 1.0
    assert score(suite, items, "answer F1", "adversarial") == 0.0
    refused = [replace(item, response="No information available.") for item in items]
    assert score(suite, refused, "answer F1", "adversarial") == 1.0


@pytest.mark.parametrize(
    ("given", "ids", "dropped"),
    [
        (["D1:1", "D1:1"], ["D1:1"], 0),
        (["D8:6; D9:17"], ["D8:6", "D9:17"], 0),
        (["D:11:26"], ["D11:26"], 0),
        (["D30:05"], ["D30:5"], 0),
        (["D"], [], 1),
        (["D99:1", "D1:1"], ["D1:1"], 1),
        ([], [], 0),
    ],
)
def test_locomo_evidence_is_read_leniently(given: list[str], ids: list[str], dropped: int):
    known = dict.fromkeys(["D1:1", "D8:6", "D9:17", "D11:26", "D30:5"], Turn("x"))
    assert evidence(given, known) == (ids, dropped)


# -- LongMemEval -----------------------------------------------------------------------------------------------------


def entry(id: str, kind: str, sessions: dict[str, list[tuple[str, str, bool]]], dates: list[str]) -> dict[str, Any]:
    return {
        "question_id": id,
        "question_type": kind,
        "question": "Where did I buy the lamp?",
        "answer": 7,
        "question_date": "2023/06/30 (Fri) 12:00",
        "haystack_session_ids": list(sessions),
        "haystack_dates": dates,
        "haystack_sessions": [
            [{"role": role, "content": text, "has_answer": gold} for role, text, gold in turns]
            for turns in sessions.values()
        ],
        "answer_session_ids": list(sessions),
    }


@pytest.fixture
def longmemeval(tmp_path: Path) -> Path:
    later, sooner = "2023/06/10 (Sat) 09:30", "2023/06/01 (Thu) 08:00"
    user = {
        "answer_1_2": [("user", "I bought the lamp in Oslo.", True), ("assistant", "Nice lamp!", False)],
        "answer_1_1": [("user", "Hello.", False), ("assistant", "Hi.", False), ("user", "The lamp is green.", True)],
        "answer_1_3": [("user", "Nothing of note.", False), ("assistant", "Right.", False)],
    }
    assistant = {"answer_2_1": [("user", "Any lamp shops?", False), ("assistant", "Try Lampe in Oslo.", True)]}
    rows = [
        entry("q1", "multi-session", user, [later, sooner, later]),
        entry("q2", "single-session-assistant", assistant, [sooner]),
        entry("q1_abs", "multi-session", assistant, [sooner]),
    ]
    write(tmp_path / "longmemeval/longmemeval_oracle.json", rows)
    pool = {f"chat_{n}": [{"role": "user", "content": f"Small talk {n}."}] for n in range(60)}
    pool["1_9"] = [{"role": "user", "content": "Same invented user."}]
    write(tmp_path / "longmemeval/distractor_sessions.json", pool)
    return tmp_path


def test_longmemeval_official_index_and_gold(longmemeval: Path):
    data = make("longmemeval").load(longmemeval, limit=None, seed=0)
    first, second, abstention = (case.questions[0] for case in data.cases)
    turns = data.cases[0].turns
    assert {turn.role for turn in turns} == {"user"}
    assert first.gold == ("answer_1_1_3", "answer_1_2_1")  # 1-based over all turns; sessions by date
    assert first.sessions == ("answer_1_1", "answer_1_2")  # answer_1_3 holds no marked turn
    assert (first.answer, first.now) == ("7", datetime(2023, 6, 30, 12, tzinfo=UTC))
    assert (second.scored, second.gold) == (False, ())
    assert (abstention.scored, abstention.answerable) == (False, False)
    assert data.notes == {"abstention questions": 1, "without gold: single-session-assistant": 1}


def test_longmemeval_both_sides_keeps_the_assistants_evidence(longmemeval: Path):
    data = make("longmemeval:both").load(longmemeval, limit=2, seed=0)
    assert data.cases[1].questions[0].gold == ("answer_2_1_2",)
    assert data.cases[1].questions[0].scored


def test_longmemeval_haystacks_are_drawn_dated_and_sorted(longmemeval: Path):
    row = json.loads((longmemeval / "longmemeval/longmemeval_oracle.json").read_text())[0]
    pool = json.loads((longmemeval / "longmemeval/distractor_sessions.json").read_text())
    sessions = haystack(row, pool, 7)
    assert len(sessions) == DISTRACTORS + 3
    assert [s.at for s in sessions] == sorted(s.at for s in sessions)
    assert moment("2023/06/01 (Thu) 08:00") <= sessions[0].at
    assert sessions[-1].at <= moment(row["question_date"])
    assert "1_9" not in {s.id for s in sessions}  # shares the stem of the evidence
    assert [s.id for s in haystack(row, pool, 7)] == [s.id for s in sessions]
    assert [s.id for s in haystack(row, pool, 8)] != [s.id for s in sessions]


def test_longmemeval_counts_sessions_by_their_best_turn():
    suite = make("longmemeval")
    question = Question("q", "?", "multi-session", gold=("a_1", "b_3"), sessions=("a", "b"))
    item = found(question, "x_1", "x_3", "a_1", "y_1", "b_1", sessions=("x", "x", "a", "y", "b"))
    assert score(suite, [item], "session any@1") == 0.0
    assert score(suite, [item], "session any@3") == 1.0  # sessions x a y: repeats do not use up ranks
    assert score(suite, [item], "session all@3") == 0.0
    assert score(suite, [item], "session all@5") == 1.0
    assert score(suite, [item], "turn all@5") == 0.0
    assert score(suite, [item], "turn any@5") == 1.0


# -- questions about time --------------------------------------------------------------------------------------------


def test_temporal_reads_families_and_asks_after_the_last_turn(tmp_path: Path):
    def said(n: int, at: str) -> dict[str, str]:
        return {"speaker": "Ann", "dia_id": f"D1:{n}", "text": f"Line {n}.", "date_time": at, "response_number": str(n)}

    talk = {
        "speaker_a": "Ann",
        "session_1_date_time": "x",
        "session_2": [said(2, "09:00:05 AM on Monday 08 May, 2023")],
        "session_1": [said(0, "01:56:04 PM on Saturday 06 May, 2023"), said(1, "01:56:13 PM on Saturday 06 May, 2023")],
    }
    write(tmp_path / "temporal/conversations/26.json.gz", talk)
    time = {
        "file_26": [
            {
                "questions": ["What did we discuss 2 days ago?", "What did we talk about two days ago?"],
                "relevant_docs": [0, 1],
            }
        ]
    }
    dialogue = [{"speaker": "Ann", "text": "We talked on May 6th."}, {"speaker": "Ann", "text": "What about?"}]
    write(tmp_path / "temporal/questions/time_qs/test_rel_day.json", time)
    write(
        tmp_path / "temporal/questions/ambiguous_time_qs/test_dates.json",
        {"file_26": [{"questions": [dialogue], "relevant_docs": [0, 1]}]},
    )
    write(tmp_path / "temporal/questions/content_time_qs/content_time_qs.json", {"file_26": []})
    case = make("temporal").load(tmp_path, limit=None, seed=0).cases[0]
    assert [turn.id for turn in case.turns] == ["0", "1", "2"]
    assert case.turns[2].at == datetime(2023, 5, 8, 9, 0, 5, tzinfo=UTC)
    assert case.k == 3
    assert [(q.category, q.gold) for q in case.questions] == [
        ("time/rel_day", ("0", "1")),
        ("time/rel_day", ("0", "1")),
        ("ambiguous/dates", ("0", "1")),
    ]
    assert case.questions[2].text == "We talked on May 6th.\nWhat about?"
    outcome = run("temporal:time", ["mnemic@lexical"], tmp_path).outcomes[0]
    assert outcome.score("F1", "time/rel_day").value == 1.0
    assert outcome.score("F1", "time").n == 2


def test_temporal_scores_sets():
    suite = make("temporal")
    item = found(Question("q", "?", "time/dates", gold=("1", "2", "3")), "1", "2", "9", "8")
    assert score(suite, [item], "recall") == pytest.approx(2 / 3)
    assert score(suite, [item], "precision", "time") == 0.5
    assert score(suite, [item], "F1", "time/dates") == pytest.approx(4 / 7)
    assert score(suite, [item], "R-precision") == pytest.approx(2 / 3)


# -- the others ------------------------------------------------------------------------------------------------------


def test_beam_reads_anchors_and_sources(tmp_path: Path):
    chat = [
        {
            "batch_number": 1,
            "turns": [
                [
                    {
                        "role": "user",
                        "id": 0,
                        "time_anchor": "March-15-2024",
                        "content": "My sprint ends Friday. ->-> 1,1",
                    },
                    {"role": "assistant", "id": 1, "content": "Noted."},
                ]
            ],
        },
        {"batch_number": 2, "turns": [[{"role": "user", "id": 2, "content": "The deadline moved."}]]},
    ]
    probes = {
        "knowledge_update": [
            {"question": "When?", "answer": "a", "source_chat_ids": {"original_info": [0], "updated_info": [2, 77]}}
        ],
        "abstention": [{"question": "Why?", "ideal_response": "unknown"}],
    }
    write(tmp_path / "beam/100K/1/chat.json.gz", chat)
    write(tmp_path / "beam/100K/1/probing_questions.json.gz", probes)
    data = make("beam").load(tmp_path, limit=None, seed=0)
    (case,) = data.cases
    assert case.turns[0].text == "My sprint ends Friday."
    assert [(t.session, t.at) for t in case.turns][1:] == [
        ("batch 1", datetime(2024, 3, 15, tzinfo=UTC)),
        ("batch 2", datetime(2024, 3, 15, tzinfo=UTC)),
    ]
    update, abstention = case.questions
    assert update.gold == ("0", "2")
    assert not abstention.answerable
    assert data.notes["sources dropped"] == 1


def test_babi_reads_stories_up_to_the_question(tmp_path: Path):
    text = "\n".join(
        [
            "1 John went home.",
            "2 Mary ran.",
            "3 Where is John? \thome\t1",
            "4 John left.",
            "5 Where is John?\taway\t1 4",
            "1 Ann sat.",
            "2 Who sat?\tAnn\t1",
        ]
    )
    write(tmp_path / "babi/qa1_single-supporting-fact_test.txt", text)
    write(tmp_path / "babi/qa16_basic-induction_test.txt.gz", text)
    problems = list(babi.read(tmp_path / "babi/qa1_single-supporting-fact_test.txt"))
    assert [len(p.statements) for p in problems] == [2, 3, 1]
    assert problems[1].support == (1, 4)
    assert problems[0].question == "Where is John?"
    data = make("babi:filler").load(tmp_path, limit=None, seed=0)
    assert len(data.cases) == 6
    assert {case.questions[0].category[:2] for case in data.cases[:2]} == {"01", "16"}
    case = next(c for c in data.cases if c.questions[0].gold == ("s1", "s4"))
    assert len(case.turns) == babi.FILLER + 3
    facts = [turn.id for turn in case.turns if (turn.id or "").startswith("s")]
    assert facts == ["s1", "s2", "s4"]  # the story keeps its order


def test_nested_kv_chains_values_and_the_rule_follows_them(tmp_path: Path):
    pairs = [[f"key-{n}", f"value-{n}"] for n in range(8)]
    write(tmp_path / "nested-kv/kv-retrieval-140_keys.jsonl", json.dumps({"ordered_kv_records": pairs}) + "\n")
    for level in range(1, 7):
        name = f"nested-kv/random_orderings_100_samples_140_indices_{level}_levels.jsonl"
        write(tmp_path / name, json.dumps([5, 2, 7, 0, 1, 3][:level]) + "\n")
    cases = make("nested-kv").load(tmp_path, limit=None, seed=0).cases
    assert [case.questions[0].answer for case in cases][:3] == ["value-5", "value-2", "value-7"]
    assert cases[2].turns[5].text == "The value of key-5 is key-2."
    outcome = run("nested-kv", ["mnemic@lexical"], tmp_path).outcomes[0]
    assert outcome.score("exact").value == 1.0
    assert outcome.score("exact", "level 6").n == 1
    assert not [s for s in run("nested-kv", ["bm25"], tmp_path).outcomes[0].scores if s.metric == "exact"]


def test_scm_derives_evidence_from_the_answer(tmp_path: Path):
    words = {"0": {"cat", "dog"}, "1": {"cat", "dog", "bird", "fish"}, "2": {"cat", "dog", "bird"}}
    assert derived("bird cat dog fish", words) == ("1",)
    assert derived("bird cat dog", words) == ("1", "2")
    assert derived("horse", words) == derived("", words) == ()
    write(tmp_path / "scm/dialogue_en.json.gz", [{"id": "d", "dialogue": ["Name a fish.", "The pike is a fish.", ""]}])
    asked = [
        {"question_id": "q1", "id": "d", "mode": "single-turn", "question": "Which fish?", "answer": "pike fish"},
        {"question_id": "q2", "id": "d", "mode": "multi-turn", "question": "Why?", "answer": "quantum foam"},
    ]
    write(tmp_path / "scm/dialogue_en_questions.json", asked)
    data = make("scm").load(tmp_path, limit=None, seed=0)
    assert [turn.role for turn in data.cases[0].turns] == ["user", "assistant"]
    assert [q.gold for q in data.cases[0].questions] == [("1",), ()]
    assert data.notes == {"questions": 2, "questions without evidence": 1}


def test_personamem_splits_turns_and_options(tmp_path: Path):
    content = "[SYSTEM] Persona of Kim.\n\n[USER] User: I adore beekeeping.\n\n[ASSISTANT] Assistant: Great."
    write(tmp_path / "personamem/documents.json.gz", [{"id": "u_0", "user_id": "u", "content": content}])
    query = "User: Kim\n\nWhat shall I read?\n\n(a) Something on beekeeping.\n(b) Something on rockets.\n"
    row = {
        "id": "q",
        "query": query,
        "gold_answers": ["(a) ...", "a"],
        "user_id": "u",
        "meta": {"question_type": "new"},
    }
    write(tmp_path / "personamem/queries.json.gz", [row])
    (case,) = make("personamem").load(tmp_path, limit=None, seed=0).cases
    assert [(t.role, t.text) for t in case.turns] == [
        ("system", "Persona of Kim."),
        ("user", "I adore beekeeping."),
        ("assistant", "Great."),
    ]
    question = case.questions[0]
    assert question.text == "What shall I read?"
    assert question.options == ("Something on beekeeping.", "Something on rockets.")
    outcome = run("personamem", ["mnemic@lexical"], tmp_path).outcomes[0]
    assert outcome.score("accuracy").value == 1.0
    assert outcome.score("chance").value == 0.5


def test_choice_by_rule_covers_distinctive_words():
    options = ["You like red tea.", "You like green tea.", "You like green tea and long walks."]
    assert choose(options, ["I bought red paint"]) == "a"
    assert choose(options, []) == "c"  # nothing known: the longest


def test_newest_first_looks_at_the_first_value_that_comes():
    question = Question("q", "?", "update", gold=("n",), meta={"old": ("o",)})
    assert newest_first(found(question, "x", "n", "o")) == 1.0
    assert newest_first(found(question, "x", "o", "n")) == 0.0
    assert newest_first(found(question, "x")) == 0.0
    assert newest_first(found(Question("q", "?", "fact", gold=("n",)), "n")) is None


def test_every_suite_describes_itself():
    for name in SUITES:
        suite = make(name)
        assert suite.name == name
        assert suite.about
        assert suite.licence
        assert suite.headline


def test_every_suite_that_reads_files_asks_for_them():
    for name in SUITES:
        if name not in ("generated", "orhan"):  # these make their own
            with pytest.raises(InputError, match="--data"):
                make(name).load(None, limit=None, seed=0)


def test_generated_suite_runs_on_nothing():
    outcome = run("generated", ["mnemic@lexical"], settings=Settings(limit=2)).outcomes[0]
    assert {s.group for s in outcome.scores} >= {"all", "fact", "update", "alias", "date", "refusal"}
    assert outcome.score("recall@5", "date").value == 1.0


# -- the data itself, where it is there ------------------------------------------------------------------------------


@pytest.mark.data
def test_locomo_as_published(data: Path):
    loaded = make("locomo").load(data, limit=None, seed=0)
    questions = [q for case in loaded.cases for q in case.questions]
    assert sum(len(case.turns) for case in loaded.cases) == 4124
    assert len(questions) == 1347
    assert sum(not q.answerable for q in questions) == 312
    assert loaded.notes["evidence dropped"] <= 9


@pytest.mark.data
def test_longmemeval_as_published(data: Path):
    loaded = make("longmemeval").load(data, limit=None, seed=0)
    questions = [case.questions[0] for case in loaded.cases]
    assert len(questions) == 406
    assert sum(q.scored for q in questions) == 338
    assert loaded.notes["abstention questions"] == 27
    sizes = [len({turn.session for turn in case.turns}) for case in loaded.cases]
    assert min(sizes) >= DISTRACTORS


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in SUITES if name not in ("generated", "locomo", "longmemeval")])
def test_other_suites_load_as_published(data: Path, name: str):
    loaded = make(name).load(data, limit=3, seed=0)
    case = random.Random(0).choice(loaded.cases)
    known = {turn.id for turn in case.turns}
    assert len(known) == len(case.turns)
    assert case.questions
    assert all(set(question.gold) <= known for question in case.questions)
