"""Every task's answers, worked out again by solvers that read nothing but the tokens; the same seed, the same data."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mnemic.errors import InputError, NotFoundError
from mnemic.neural.tasks import TASKS, make
from mnemic.neural.tasks.base import Task, bucket, collate, generator

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("mqar", {}),
    ("mqar", {"overwrite": 0.5}),
    ("mqar", {"repeats": 3, "noise": 0.2, "delay": 2}),
    ("passkey", {}),
    *(("babilong", {"kind": kind, "facts": 12, "length": length}) for kind in (1, 2, 3) for length in (0, 200)),
    ("copying", {}),
    ("copying", {"permuted": True}),
    ("book", {"cast": 4}),
    ("dialogues", {}),
    ("clevr", {}),
    ("listops", {}),
]
IDS = [f"{name}-{'-'.join(map(str, settings.values()))}".rstrip("-") for name, settings in SETTINGS]


def rows(task: Task, count: int = 40) -> list[tuple[list[int], dict[int, int], dict[str, list[int]]]]:
    """(tokens, place -> answer, meta) of every sequence, each cut at its last answer or token."""
    batch = task.sample(count, generator("test", 3))
    found = []
    for n in range(count):
        asked = {int(t): int(batch.targets[n, t]) for t in batch.mask[n].nonzero()[:, 0]}
        found.append((batch.tokens[n].tolist(), asked, {name: each[n].tolist() for name, each in batch.meta.items()}))
    return found


def said(task: Any, count: int = 40) -> list[tuple[list[str], dict[int, str], dict[str, list[int]]]]:
    """The same in words."""
    words = task.words
    return [
        ([words.say([t]) for t in tokens], {at: words.say([t]) for at, t in asked.items()}, meta)
        for tokens, asked, meta in rows(task, count)
    ]


# -- what holds for all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=IDS)
def test_batches_are_well_formed_and_repeat(name: str, settings: dict[str, Any]) -> None:
    task = make(name, settings)
    for each in (task, task.at(0.0), task.at(0.3), *task.tests().values()):
        assert each.vocab == task.vocab
        batch = each.sample(3, generator("train", 0))
        assert batch.tokens.shape == batch.targets.shape == batch.mask.shape
        assert batch.mask.dtype == torch.bool
        assert bool(batch.mask.any(1).all()), "a sequence asks nothing"
        for tokens in (batch.tokens, batch.targets):
            assert tokens.dtype == torch.int64
            assert 0 <= int(tokens.min()) <= int(tokens.max()) < task.vocab
        assert set(each.by) <= set(batch.meta)
        for by in each.by:
            assert bool((batch.meta[by][batch.mask] >= 0).all()), f"an answer has no {by}"
    first, again = (task.sample(5, generator("train", 7)) for _ in range(2))
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.targets, again.targets)


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=IDS)
def test_what_is_tested_was_not_trained_on(name: str, settings: dict[str, Any]) -> None:
    task = make(name, settings)

    def drawn(purpose: str, seed: int, index: int) -> set[tuple[int, ...]]:
        return {tuple(row) for row in task.sample(4, generator(purpose, seed, index)).tokens.tolist()}

    batches = [drawn("train", 0, 0), drawn("train", 0, 1), drawn("train", 1, 0), drawn("test", 0, 0)]
    if name != "listops":  # short lists may be drawn twice
        assert len(set.union(*batches)) == sum(map(len, batches))
    assert len({frozenset(each) for each in batches}) == 4


@pytest.mark.parametrize("name", TASKS)
def test_chance_is_what_guessing_finds(name: str) -> None:
    """Answers drawn from those of other sequences of the same kind of question are right about as often as chance."""
    task = make(name)
    rng = np.random.default_rng(0)
    kinds: dict[int, list[int]] = defaultdict(list)
    for _, asked, meta in rows(task, 300):
        for at, answer in asked.items():
            if name != "book" or meta["word"][at] == 2:
                kinds[meta["question"][at] if name == "clevr" else at if name == "book" else 0].append(answer)
    if name == "book":  # a trait has eight values, by its kind; pool by the set that the word belongs to
        sets = [set(make("book").words.read(values)) for values in _traits().values()]
        pooled = [answer for answers in kinds.values() for answer in answers]
        kinds = {n: [each for each in pooled if each in those] for n, those in enumerate(sets)}
    shares = []
    for answers in kinds.values():
        guesses = rng.choice(sorted(set(answers)), size=len(answers))
        shares.append(float(np.mean(np.array(answers) == guesses)))
    found = statistics.mean(shares) ** (task.digits if name == "passkey" else 1)
    assert found == pytest.approx(task.chance, abs=0.04)


def _traits() -> dict[str, list[str]]:
    from mnemic.neural.tasks.book import TRAITS

    return TRAITS


class Knowing:
    """A model that says what a table of sequences knows, and what it does not know wrongly."""

    training = False
    device = torch.device("cpu")

    def __init__(self, vocab: int, right: float) -> None:
        self.vocab, self.right = vocab, right
        self.targets: Tensor | None = None
        self.at = 0

    def train(self, mode: bool = True) -> None:
        self.training = mode

    def __call__(self, tokens: Tensor, states: Any = None, mask: Any = None) -> tuple[Tensor, list[Any]]:
        assert self.targets is not None
        at = 0 if states is None else states[0]
        wanted = self.targets[:, at : at + tokens.shape[1]].clone()
        wrong = torch.rand(wanted.shape, generator=torch.Generator().manual_seed(at)) >= self.right
        wanted[wrong] = (wanted[wrong] + 1) % self.vocab
        return torch.nn.functional.one_hot(wanted, self.vocab) * 30.0, [at + tokens.shape[1]]


@pytest.mark.parametrize("right", [1.0, 0.5])
@pytest.mark.parametrize("name", TASKS)
def test_evaluation_counts_what_is_right(name: str, right: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from mnemic.neural.runner import SegmentRunner

    task = make(name)
    model = Knowing(task.vocab, right)
    judge = SegmentRunner.judge

    def told(self: SegmentRunner, batch: Any) -> Any:
        model.targets = batch.targets
        return judge(self, batch)

    monkeypatch.setattr(SegmentRunner, "judge", told)
    result = task.evaluate(model, batch=4, batches=2, segment=50)
    assert list(result["tests"]) == list(task.tests())
    for test in result["tests"].values():
        assert test["n"] > 0
        assert test["accuracy"] == pytest.approx(right, abs=0 if right == 1 else 0.5)
        for by in task.by:
            assert sum(each["n"] for each in test["by"][by].values()) == test["n"]
            mean = sum(each["n"] * each["accuracy"] for each in test["by"][by].values()) / test["n"]
            assert mean == pytest.approx(test["accuracy"], abs=1e-4)
    first = next(iter(result["tests"].values()))
    assert result["headline"] == first[task.headline]
    if right == 1:
        assert first["exact"] == 1
        assert first["nats"] < 1e-6
    elif first["n"] > 40:
        assert 0.3 < first["accuracy"] < 0.7
        assert first["exact"] < first["accuracy"] or name in ("babilong", "listops")


# -- solvers, one for each task --------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"overwrite": 0.5}, {"delay": 3}, {"overwrite": 1.0, "repeats": 2}])
def test_mqar(settings: dict[str, Any]) -> None:
    task = make("mqar", settings)
    step = 2 + task.delay
    for tokens, asked, meta in rows(task):
        begin = min(asked)
        assert len(asked) == task.pairs == len({tokens[at] for at in asked})
        shown = tokens[: begin - task.gap]
        assert all(each >= task.keys + task.values for each in tokens[begin - task.gap : begin])
        bindings = [(at, tokens[at], tokens[at + step - 1]) for at in range(0, len(shown), step)]
        times = Counter(key for _, key, _ in bindings)
        for at, answer in asked.items():
            last, _, value = [each for each in bindings if each[1] == tokens[at]][-1]
            assert answer == value
            assert meta["distance"][at] == bucket(at - last)
            assert meta["overwritten"][at] == int(times[tokens[at]] > task.repeats)
    if settings.get("overwrite"):
        first = [dict(reversed([(k, v) for _, k, v in bindings]))[tokens[at]] == answer for at, answer in asked.items()]
        assert not all(first), "the first value would do"


def test_mqar_values_with_noise_are_right_by_majority() -> None:
    task = make("mqar", {"repeats": 9, "noise": 0.2, "pairs": 4})
    shares = []
    for tokens, asked, _ in rows(task):
        shown = tokens[: min(asked) - task.gap]
        values: dict[int, list[int]] = defaultdict(list)
        for key, value in zip(shown[::2], shown[1::2], strict=True):
            values[key].append(value)
        for at, answer in asked.items():
            assert statistics.mode(values[tokens[at]]) == answer
            shares.append(values[tokens[at]].count(answer) / 9)
    assert statistics.mean(shares) == pytest.approx(0.8, abs=0.05)


def test_passkey() -> None:
    task = make("passkey", {"length": 150, "digits": 4})
    depths = set()
    for words, asked, meta in said(task):
        assert len(words) == 150
        text = " ".join(words)
        found = re.findall(r"the pass key is ((?:\d ){4})\.", text)
        assert len(found) == 1
        assert text.endswith("what is the pass key ? " + found[0].strip())
        assert [asked[at] for at in sorted(asked)] == found[0].split()
        assert sorted(asked) == list(range(145, 149))
        depths.add(meta["depth"][145])
    assert depths == set(range(5))


def solved(facts: Sequence[Sequence[str]], question: Sequence[str]) -> str:
    """The answer of a story in our wording, from the end backwards: no state of the world is kept."""

    def place(who: str, until: int) -> str | None:
        return next((f[4] for f in reversed(facts[:until]) if f[0] == who and f[2] == "to"), None)

    def stays(thing: str) -> list[str]:
        """Where a thing was, in order, with repeats."""
        found: list[str] = []
        carrier = None
        for n, fact in enumerate(facts):
            if fact[-2] == "there" and fact[3] == thing:
                carrier = fact[0]
                found.append(place(carrier, n) or "?")
            elif fact[1] in ("dropped", "left") and fact[3] == thing:
                carrier = None
            elif fact[2] == "to" and fact[0] == carrier:
                found.append(fact[4])
        return [each for n, each in enumerate(found) if n == 0 or found[n - 1] != each]

    if "before" in question:
        trail = stays(question[3])
        assert trail[-1] == question[-2]
        return trail[-2]
    if question[2] == "the":
        return stays(question[3])[-1]
    return place(question[2], len(facts)) or "?"


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("length", [0, 300])
def test_babilong(kind: int, length: int) -> None:
    from mnemic.neural.tasks import filler, worlds

    task = make("babilong", {"kind": kind, "facts": 14, "length": length})
    answers = Counter()
    for words, asked, _ in said(task):
        ((at, answer),) = asked.items()
        assert at == max(n for n, word in enumerate(words) if word != "_")
        assert at + 1 >= length
        sentences = re.split(r"(?: \.)+ ", " ".join(words[: at + 1]))
        facts = [[*s.split(), "."] for s in sentences if s.split()[0] in worlds.PEOPLE]
        assert len(facts) == 14
        rest = [word for s in sentences[:-1] if s.split()[0] not in worlds.PEOPLE for word in s.split()]
        assert set(rest) <= set(filler.WORDS)
        question = sentences[-1].split()[sentences[-1].split().index("where") :]
        assert solved(facts, question) == answer
        answers[answer] += 1
    assert len(answers) == len(worlds.PLACES)


def test_babilong_goes_from_short_to_long() -> None:
    task = make("babilong", {"length": 640})
    assert [task.at(done).length for done in (0, 0.3, 0.5, 1)] == [40, 160, 640, 640]


def test_babilong_reads_the_files_of_a_folder(tmp_path: Path) -> None:
    story = "1 Mary moved to the bathroom.\n2 John went to the hallway.\n3 Where is Mary? \tbathroom\t1\n"
    for split, name in (("train", "Mary"), ("test", "Daniel")):
        (tmp_path / f"qa1_single_{split}.txt").write_text(story.replace("Mary", name))
    task = make("babilong", {"folder": str(tmp_path), "length": 0})
    ((words, asked, _),) = said(task, 1)
    assert " ".join(words) == "mary moved to the bathroom . john went to the hallway . where is mary ?"
    assert list(asked.values()) == ["bathroom"]
    assert said(task.held_out(), 1)[0][0][0] == "daniel"
    with pytest.raises(NotFoundError, match="holds no qa7"):
        make("babilong", {"folder": str(tmp_path), "kind": 7}).sample(1, generator("train", 0))
    (tmp_path / "qa2_two_train.txt").write_text("1 Mary moved.\n2 Where is Mary?\tbathroom\n")
    with pytest.raises(InputError, match="obtain the file again"):
        make("babilong", {"folder": str(tmp_path), "kind": 2}).sample(1, generator("train", 0))


@pytest.mark.data
def test_babilong_on_the_babi_files(data: Path) -> None:
    """Of the original stories of the first task, the last fact about the person has the answer."""
    if not (data / "babi").is_dir():
        pytest.skip("MNEMIC_DATA holds no folder babi")
    task = make("babilong", {"folder": str(data / "babi"), "length": 200})
    assert task.chance == pytest.approx(1 / 6)
    for words, asked, _ in said(task.held_out()):
        ((at, answer),) = asked.items()
        who = words[at - 1]
        facts = [s.split() for s in " ".join(words[:at]).split(" . ") if s.split()[0] == who]
        assert facts[-1][-1] == answer


def test_selective_copying() -> None:
    for tokens, asked, _ in rows(make("copying")):
        bar = tokens.index(1)
        assert bar == 64
        assert [asked[at] for at in sorted(asked)] == [each for each in tokens[:bar] if each]
        assert sorted(asked) == list(range(bar, bar + 8))


def test_permuted_copying() -> None:
    task = make("copying", {"permuted": True})
    orders = set()
    for tokens, asked, _ in rows(task):
        shown = [each for each in tokens[: tokens.index(1)] if each]
        numbers, symbols = shown[::2], shown[1::2]
        assert [asked[at] for at in sorted(asked)] == [s for _, s in sorted(zip(numbers, symbols, strict=True))]
        orders.add(tuple(numbers))
    assert len(orders) > 30


def test_book() -> None:
    again = 0
    for words, asked, meta in said(make("book", {"cast": 4, "length": 200})):
        known: dict[tuple[str, str], str] = {}
        names, who = set(), words[0]
        for at in range(len(words) - 1):
            assert asked[at] == words[at + 1]
            if words[at] == ".":
                who = words[at + 1]
                names.add(who)
            elif words[at] in _traits():
                trait = known.setdefault((who, words[at]), asked[at])
                assert asked[at] == trait, "a trait changed"
                again += meta["word"][at] == 2
        first = sum(each == 1 for each in meta["word"])
        assert first == len(known) or (first == len(known) + 1 and words[-1] in _traits())
        assert len(names) <= 4
    assert again > 1000


def test_dialogues() -> None:
    seen = Counter()
    for words, asked, meta in said(make("dialogues", {"turns": 30})):
        told: dict[str, list[tuple[str, int]]] = defaultdict(list)
        questions = set()
        for turn in range(30):
            said_ = words[8 * turn : 8 * turn + 8]
            assert said_[0] == "u"
            if said_[1] == "my":
                told[said_[2]].append((said_[4], turn))
            elif said_[1] == "which":
                at = 8 * turn + 3
                questions.add(at)
                value, when = told[said_[2]][-1]
                assert asked[at] == value == said_[4]
                assert meta["turns"][at] == bucket(turn - when)
                changed = len({each for each, _ in told[said_[2]]}) > 1
                assert meta["changed"][at] == changed
                seen[changed] += 1
        assert questions == set(asked)
    assert min(seen.values()) > 50


def test_clevr() -> None:
    for words, asked, meta in said(make("clevr", {"questions": 12})):
        bar = words.index("|")
        things = {words[n]: (words[n + 1], int(words[n + 2][1:]), int(words[n + 3][1:])) for n in range(0, bar, 4)}
        assert len(things) == 6
        for at, answer in asked.items():
            colour, question = words[at - 1], words[at]
            shape, x, y = things[colour]
            far = {other: math.dist((x, y), place) for other, (_, *place) in things.items() if other != colour}
            assert meta["relational"][at] == (question in ("nearest?", "farthest?", "count?"))
            near = sorted(far, key=far.__getitem__)
            same = sum(each[0] == shape for each in things.values())
            right = {
                "shape?": shape,
                "left?": "yes" if x < 6 else "no",
                "up?": "yes" if y < 6 else "no",
                "nearest?": things[near[0]][0],
                "farthest?": things[near[-1]][0],
                "count?": f"n{same}",
            }[question]
            assert answer == right


def test_listops() -> None:
    def worked(text: list[str]) -> int:
        """By rewriting the innermost list until a digit is left."""
        joined = " ".join(text)
        while "[" in joined:
            inner = re.search(r"\[(\w+)((?: \d)+) \]", joined)
            assert inner
            values = sorted(map(int, inner[2].split()))
            value = {
                "max": values[-1], "min": values[0], "sm": sum(values) % 10, "med": statistics.median_low(values),
            }[inner[1]]  # fmt: skip
            joined = joined[: inner.start()] + str(value) + joined[inner.end() :]
        return int(joined)

    depths = set()
    for words, asked, meta in said(make("listops", {"depth": 4, "nested": 0.5})):
        ((at, answer),) = asked.items()
        assert words[at] == "="
        assert worked(words[:at]) == int(answer)
        depth = max(sum((w[0] == "[") - (w == "]") for w in words[: n + 1]) for n in range(at))
        assert meta["depth"][at] == depth
        depths.add(depth)
    assert depths == {1, 2, 3, 4}


# -- settings ------------------------------------------------------------------------------------------------------


def test_settings_are_read_from_texts() -> None:
    task = make("mqar", {"pairs": "5", "overwrite": "0.25"})
    assert (task.pairs, task.overwrite) == (5, 0.25)
    assert make("copying", {"permuted": "true"}).permuted is True
    assert make("babilong", {"folder": "x"}).folder == "x"
    assert make("mqar") == replace(make("mqar", {"pairs": 3}), pairs=8)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mqar", {"pairs": 0}),
        ("mqar", {"pairs": 17}),
        ("mqar", {"pairs": "many"}),
        ("mqar", {"noise": 1.0}),
        ("mqar", {"nonsense": 1}),
        ("passkey", {"length": 10}),
        ("babilong", {"kind": 4}),
        ("babilong", {"kind": 3, "facts": 5}),
        ("babilong", {"split": "valid"}),
        ("copying", {"items": 17}),
        ("copying", {"items": 8, "length": 7}),
        ("copying", {"permuted": "perhaps"}),
        ("book", {"cast": 17}),
        ("dialogues", {"tell": 0.9, "ask": 0.2}),
        ("dialogues", {"topics": 13}),
        ("clevr", {"questions": 0}),
        ("listops", {"items": 1}),
    ],
)
def test_settings_that_cannot_be_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        make(name, settings)


def test_every_task_has_a_name_and_defaults() -> None:
    for name, entry in TASKS.items():
        task = make(name)
        assert task.name == name
        assert entry.about
        assert all(field.default is not None or field.name == "folder" for field in fields(task))
    with pytest.raises(NotFoundError, match="use one of mqar, "):
        make("nonsense")


def test_rows_of_different_lengths_are_padded_at_the_end() -> None:
    batch = collate([{"tokens": [1, 2, 3], "targets": [-1, 4, -1]}, {"tokens": [5], "targets": [6]}], pad=9)
    assert batch.tokens.tolist() == [[1, 2, 3], [5, 9, 9]]
    assert batch.mask.tolist() == [[False, True, False], [True, False, False]]
    assert batch.targets[batch.mask].tolist() == [4, 6]
