"""Training: it learns, goes on as if it had never stopped, and says why it ended."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from toy import Fading

from mnemic.errors import ConflictError, InputError, NotFoundError, TrainingError
from mnemic.neural.backbone import Backbone
from mnemic.neural.tasks import make
from mnemic.neural.tasks.base import Batch, Task
from mnemic.neural.train import Trainer, Training, training


@dataclass(frozen=True)
class First(Task):
    """Say the first token again at the end: a fading memory can."""

    name: ClassVar[str] = "first"

    length: int = 5

    @property
    def vocab(self) -> int:
        return 6

    @property
    def chance(self) -> float:
        return 1 / 6

    def row(self, rng: np.random.Generator) -> dict[str, list[int]]:
        tokens = rng.integers(6, size=self.length).tolist()
        return {"tokens": tokens, "targets": [-1] * (self.length - 1) + tokens[:1]}


SHORT = Training(steps=8, batch=4, log_every=2, save_every=3)


def trainer(settings: Training = SHORT, task: Task | None = None, **options: Any) -> Trainer:
    return Trainer(Backbone(6, 16, 1, Fading, conv=2), task or First(), settings, **options)


def weights(of: Trainer) -> dict[str, torch.Tensor]:
    return {name: each.clone() for name, each in of.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_training_learns() -> None:
    log = trainer(Training(steps=120, batch=16, lr=2e-2), First(length=4)).run()
    assert log["result"]["headline"] > 0.8
    assert log["result"]["chance"] == 1 / 6
    assert log["curve"][-1]["loss"] < 0.9 < log["curve"][0]["loss"]
    unread = Trainer(Backbone(6, 16, 1, Fading, reading=False), First(), Training(steps=120, batch=16, lr=2e-2)).run()
    assert unread["result"]["headline"] < 0.35


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = trainer(), trainer(), trainer(replace(SHORT, seed=1))
    for each in (first, again, other):
        each.run()
    assert same(weights(first), weights(again))
    assert not same(weights(first), weights(other))


def test_no_sequence_is_trained_on_and_tested_with() -> None:
    """Of three million possible ones, those that the task was asked for."""
    drawn: list[set[tuple[int, ...]]] = []

    @dataclass(frozen=True)
    class Kept(First):
        def sample(self, batch: int, rng: np.random.Generator) -> Batch:
            made = super().sample(batch, rng)
            drawn.append({tuple(row) for row in made.tokens.tolist()})
            return made

    trainer(replace(SHORT, steps=4, test_batches=3), Kept(length=12)).run()
    batches = [each for each in drawn if len(each) > 1]  # one more sequence is drawn for its length
    assert len(batches) == 4 + 3
    assert len(set.union(*batches)) == sum(map(len, batches))


@pytest.mark.parametrize("broken_at", [1, 3, 5])
@pytest.mark.parametrize("segment", [None, 2])
def test_a_resumed_run_is_an_unbroken_one(broken_at: int, segment: int | None, tmp_path: Path) -> None:
    settings = replace(SHORT, segment=segment, tbptt=2)
    whole = trainer(settings)
    told = whole.run()
    part = trainer(settings, out=tmp_path).run(until=broken_at)
    assert (part["stopped"], part["steps"], part["result"]) == ("broken off", broken_at, None)
    resumed = trainer(settings, out=tmp_path)
    log = resumed.run(resume=True)
    assert same(weights(resumed), weights(whole))
    assert log["result"] == told["result"]
    for ours, theirs in zip(log["curve"], told["curve"], strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_a_crash_leaves_the_checkpoint_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trainer()
    whole.run()
    broken = trainer(out=tmp_path)

    def crash(step: int, loss: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken.run(progress=crash)
    assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == 3
    resumed = trainer(out=tmp_path)
    resumed.run(resume=True)
    assert same(weights(resumed), weights(whole))


def test_the_folder_of_a_run_holds_no_pickle_and_at_the_end_a_model(tmp_path: Path) -> None:
    trainer(out=tmp_path).run(until=7)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "checkpoint-7.safetensors", "checkpoint.json", "run.json",
    ]  # fmt: skip
    done = trainer(out=tmp_path)
    done.run(resume=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.safetensors", "run.json"]
    again = Backbone.load(tmp_path / "model.safetensors", Fading)
    assert same(again.state_dict(), weights(done))


def test_the_log_says_what_was_run(tmp_path: Path) -> None:
    log = trainer(out=tmp_path, about={"machine": "a small one"}).run()
    assert json.loads((tmp_path / "run.json").read_text()) == json.loads(json.dumps(log))
    assert log["task"] == {"name": "first", "length": 5}
    assert log["training"]["lr"] == SHORT.lr
    assert log["about"] == {"machine": "a small one"}
    assert log["versions"]["torch"] == torch.__version__
    assert log["stopped"] == "steps"
    assert log["parameters"] == sum(each.numel() for each in trainer().model.parameters())
    assert [point["step"] for point in log["curve"]] == [1, 2, 4, 6, 8]


def test_a_run_is_not_begun_over_one_and_not_gone_on_with_as_another(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no checkpoint"):
        trainer(out=tmp_path).run(resume=True)
    trainer(out=tmp_path).run(until=3)
    with pytest.raises(ConflictError, match="broken off"):
        trainer(out=tmp_path).run()
    with pytest.raises(ConflictError, match=r"training lr 0.003, not 0.1"):
        trainer(replace(SHORT, lr=0.1), out=tmp_path).run(resume=True)
    with pytest.raises(ConflictError, match="task length 5, not 6"):
        trainer(task=First(length=6), out=tmp_path).run(resume=True)
    (tmp_path / "checkpoint-3.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match="cannot be read"):
        trainer(out=tmp_path).run(resume=True)


def test_a_loss_that_is_no_number_stops_with_a_sentence(tmp_path: Path) -> None:
    broken = trainer(out=tmp_path)
    before = weights(broken)
    with torch.no_grad():
        broken.model.norm.weight[0] = math.nan
    with pytest.raises(TrainingError, match=r"the loss is nan .* at step 0 .*lower lr"):
        broken.run()
    with torch.no_grad():
        broken.model.norm.weight[0] = before["norm.weight"][0]
    assert same(weights(broken), before), "the step was taken"
    assert json.loads((tmp_path / "run.json").read_text())["stopped"] == "the loss is no number"


def test_time_ends_a_training_with_the_rate_at_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves a second at every look: a step takes one, so ten steps end ten seconds."""
    ticks = iter(range(10_000))
    monkeypatch.setattr("mnemic.neural.train.time.perf_counter", lambda: float(next(ticks)))
    log = trainer(replace(SHORT, steps=1000, seconds=10, log_every=1)).run()
    assert (log["stopped"], log["steps"], log["seconds"]) == ("time", 10, 10)
    rates = [point["rate"] for point in log["curve"]]
    assert rates[1] == max(rates)
    assert rates[-1] < 0.1 * SHORT.lr


def test_the_rate_rises_and_falls() -> None:
    settings = Training(steps=100, lr=1.0, warmup=0.2, floor=0.1)
    assert settings.rate(0) == 0.01
    assert settings.rate(0.1) == pytest.approx(0.5)
    assert settings.rate(0.2) == pytest.approx(1)
    assert settings.rate(0.6) == pytest.approx(0.55)
    assert settings.rate(1) == pytest.approx(0.1)
    assert Training(warmup=0).rate(0) == Training().lr


def test_matrices_alone_decay() -> None:
    """Nothing is learnt from a batch without answers, so that only decay moves a weight."""

    class Silent(First):
        def sample(self, batch: int, rng: np.random.Generator) -> Batch:
            drawn = super().sample(batch, rng)
            return Batch(drawn.tokens, drawn.targets, torch.zeros_like(drawn.mask))

    made = trainer(replace(SHORT, decay=0.5), Silent())
    for each in made.model.parameters():
        each.grad = torch.zeros_like(each)
    groups = made._optimiser.param_groups
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert all(each.dim() > 1 for each in groups[0]["params"])
    assert all(each.dim() <= 1 for each in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(made.model.parameters()))


def test_a_curriculum_is_followed() -> None:
    lengths = []

    @dataclass(frozen=True)
    class Growing(First):
        def at(self, done: float) -> Task:
            lengths.append(2 if done < 0.5 else 5)
            return replace(self, length=lengths[-1])

    trainer(task=Growing()).run()
    assert lengths == [2] * 4 + [5] * 4


def test_settings_by_name() -> None:
    assert training({"steps": 3, "lr": 0.5}) == Training(steps=3, lr=0.5)
    with pytest.raises(InputError, match="no setting 'speed'"):
        training({"speed": 1})
    for wrong in ({"steps": 0}, {"lr": 0.0}, {"warmup": 1.0}, {"seconds": 0.0}, {"clip": 0.0}, {"save_every": 0}):
        with pytest.raises(InputError):
            Training(**wrong)


@pytest.mark.slow
def test_a_memory_learns_recall_and_its_control_does_not() -> None:
    """Four pairs, asked after more filler than the convolution reaches."""
    task = make("mqar", {"pairs": 4, "gap": 8, "keys": 8, "values": 8, "fillers": 2})
    settings = Training(steps=200, batch=32, lr=5e-3)
    scores = {}
    for reading in (True, False):
        model = Backbone(task.vocab, 32, 1, "gated-deltanet", {"heads": 2}, conv=2, reading=reading)
        scores[reading] = Trainer(model, task, settings).run()["result"]["headline"]
    assert scores[True] > 0.75
    assert scores[False] < 0.4
