"""Training a model on a task: one loop, one log, and checkpoints from which a run goes on as if unbroken.

Data are drawn from (seed, step), so that a step sees the same batch whatever came before it. A folder of a run holds
``run.json`` (settings, curve, result), ``checkpoint.json`` with the safetensors file that it names (weights and the
optimiser's state) while it goes on, and ``model.safetensors`` when it is done.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import mnemic
from mnemic.errors import ConflictError, InputError, NotFoundError, TrainingError
from mnemic.neural.backbone import Backbone
from mnemic.neural.runner import SegmentRunner
from mnemic.neural.tasks.base import Task, generator

Progress = Callable[[int, float], None]
_READ = 256  # tokens at a time in tests, where texts may be long and attention to all of them large


@dataclass(frozen=True)
class Training:
    """``steps`` of ``batch`` sequences. ``seconds`` is the most time that training may take, evaluation excepted: the
    schedule then follows whichever of steps and time is further, so that the learning rate always comes down (and how
    many steps are done depends on the machine).

    The learning rate rises to ``lr`` over the share ``warmup`` and falls as a cosine to ``floor`` times it. ``decay``
    is AdamW's weight decay, of matrices alone; ``clip`` the largest norm of the gradient. ``segment`` tokens are read
    at a time and gradients go back over ``tbptt`` of them; None reads whole sequences. Each test has ``test_batches``.
    """

    steps: int = 1500
    seconds: float | None = None
    batch: int = 32
    lr: float = 3e-3
    warmup: float = 0.1
    floor: float = 0.05
    decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    segment: int | None = None
    tbptt: int = 4
    log_every: int = 25
    save_every: int = 100
    test_batches: int = 4

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "tbptt", "log_every", "save_every", "test_batches"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.lr <= 0 or self.clip <= 0 or (self.seconds is not None and self.seconds <= 0):
            raise InputError("lr, clip and the time must be above 0")
        if not 0 <= self.warmup < 1:
            raise InputError("warmup is a share of the training: from 0 to below 1")

    def rate(self, done: float) -> float:
        """The learning rate when the share ``done`` of the training is over."""
        if done < self.warmup:
            return self.lr * max(done / self.warmup, 1 / self.steps)
        wave = (1 + math.cos(math.pi * min(1.0, (done - self.warmup) / (1 - self.warmup)))) / 2
        return self.lr * (self.floor + (1 - self.floor) * wave)


class Trainer:
    """Trains ``model`` on ``task``; ``out`` is the folder of the run, None keeps nothing.

    ``about`` goes into the log as it is: who measures describes the machine there.
    """

    def __init__(
        self,
        model: Backbone,
        task: Task,
        settings: Training | None = None,
        *,
        out: str | Path | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self.task, self.settings = model, task, settings or Training()
        self.out = Path(out) if out is not None else None
        self.step, self.elapsed = 0, 0.0
        self.curve: list[dict[str, float]] = []
        self._about = dict(about or {})
        self._runner = SegmentRunner(model, self.settings.segment, self.settings.tbptt)
        weights = [each for each in model.parameters() if each.requires_grad]
        matrices, rest = [w for w in weights if w.dim() > 1], [w for w in weights if w.dim() <= 1]
        names = {id(each): name for name, each in model.named_parameters()}
        self._weights = {names[id(each)]: each for each in matrices + rest}
        self._optimiser = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": self.settings.decay}, {"params": rest, "weight_decay": 0.0}],
            lr=self.settings.lr, betas=(0.9, 0.98),
        )  # fmt: skip

    @property
    def done(self) -> float:
        """The share of the training that is over."""
        share = self.step / self.settings.steps
        if self.settings.seconds is not None:
            share = max(share, self.elapsed / self.settings.seconds)
        return min(1.0, share)

    def run(
        self, *, resume: bool = False, progress: Progress | None = None, until: int | None = None
    ) -> dict[str, Any]:
        """Train to the end and evaluate; the log. ``resume`` goes on from the checkpoint in ``out``.

        ``progress`` is told (step, loss). ``until`` breaks off after that step, with a checkpoint and no evaluation.
        Raises :class:`TrainingError` at a loss that is no number, :class:`ConflictError` where the checkpoint is of
        another run and :class:`NotFoundError` where there is none.
        """
        if resume:
            self._restore()
        elif self.out is not None and (self.out / "checkpoint.json").exists():
            raise ConflictError(f"{self.out} holds a run that was broken off: resume it, or name another folder")
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
        self.model.train()
        while self.done < 1 and self.step != until:
            began = time.perf_counter()
            try:
                loss = self._advance()
            except TrainingError:
                if self.out is not None:
                    _write(self.out / "run.json", self.log("the loss is no number"))
                raise
            self.elapsed += time.perf_counter() - began
            if progress is not None:
                progress(self.step, loss)
            if self.out is not None and self.step % self.settings.save_every == 0:
                self._checkpoint()
        if self.done < 1:
            if self.out is not None:
                self._checkpoint()
            return self.log("broken off")
        began = time.perf_counter()
        result = self.task.evaluate(
            self.model,
            seed=self.settings.seed,
            batch=self.settings.batch,
            batches=self.settings.test_batches,
            segment=self.settings.segment or _READ,
        )
        told = self.log("steps" if self.step >= self.settings.steps else "time", result, time.perf_counter() - began)
        if self.out is not None:
            self.model.save(self.out / "model.safetensors")
            _write(self.out / "run.json", told)
            self._forget_checkpoints()
        return told

    def log(self, stopped: str, result: Mapping[str, Any] | None = None, judged: float = 0.0) -> dict[str, Any]:
        """What is known of the run, as JSON can hold it; ``stopped`` says why it ended."""
        return {
            "task": {"name": self.task.name, **asdict(self.task)},
            "model": self.model.config,
            "training": asdict(self.settings),
            "parameters": self.model.parameters_count,
            "state_bytes": self._state_bytes,
            "stopped": stopped,
            "steps": self.step,
            "seconds": round(self.elapsed, 3),
            "step_ms": round(1000 * self.elapsed / self.step, 3) if self.step else None,
            "evaluation_seconds": round(judged, 3),
            "result": dict(result) if result is not None else None,
            "curve": self.curve,
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "mnemic": mnemic.__version__},
            "threads": torch.get_num_threads(),
            "device": str(self.model.device),
            "about": self._about,
        }

    @cached_property
    def _state_bytes(self) -> int:
        return self.model.state_bytes(self.task.sample(1, generator("test", self.settings.seed)).tokens.shape[1])

    def _advance(self) -> float:
        batch = self.task.at(self.done).sample(self.settings.batch, generator("train", self.settings.seed, self.step))
        rate = self.settings.rate(self.done)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._runner.backward(batch)
        norm = float(torch.nn.utils.clip_grad_norm_(self._weights.values(), self.settings.clip))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise TrainingError(
                f"the loss is {loss} and the gradient's norm {norm} at step {self.step} (learning rate {rate:.2g}): "
                "lower lr or clip; the weights are those before this step"
            )
        self._optimiser.step()
        self.step += 1
        if self.step % self.settings.log_every == 0 or self.step == 1:
            self.curve.append(
                {"step": self.step, "loss": loss, "rate": rate, "norm": norm, "seconds": round(self.elapsed, 3)}
            )
        return loss

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _key(self) -> dict[str, Any]:
        """What must be the same for a run to go on; how often it logs and saves, and its time, may change."""
        free = ("seconds", "log_every", "save_every")
        training = {key: value for key, value in asdict(self.settings).items() if key not in free}
        task = {"name": self.task.name, **asdict(self.task)}
        key: dict[str, Any] = json.loads(json.dumps({"task": task, "model": self.model.config, "training": training}))
        return key

    def _checkpoint(self) -> None:
        """The tensors first, under a name of their own, then the JSON that names them: a crash leaves the older one."""
        assert self.out is not None
        tensors = {f"model.{name}": each for name, each in self.model.state_dict().items()}
        for name, weight in self._weights.items():
            for part, each in self._optimiser.state[weight].items():
                tensors[f"optimiser.{name}.{part}"] = each
        file = f"checkpoint-{self.step}.safetensors"
        save_file(
            {name: each.detach().clone(memory_format=torch.contiguous_format) for name, each in tensors.items()},
            str(self.out / file),
        )
        told = {"file": file, "step": self.step, "elapsed": self.elapsed, "curve": self.curve, "run": self._key()}
        _write(self.out / "checkpoint.json", told)
        _write(self.out / "run.json", self.log("broken off"))
        for old in self.out.glob("checkpoint-*.safetensors"):
            if old.name != file:
                old.unlink()

    def _forget_checkpoints(self) -> None:
        assert self.out is not None
        (self.out / "checkpoint.json").unlink(missing_ok=True)
        for old in self.out.glob("checkpoint-*.safetensors"):
            old.unlink()

    def _restore(self) -> None:
        if self.out is None or not (self.out / "checkpoint.json").exists():
            raise NotFoundError(f"there is no checkpoint in {self.out}: start the run without resume")
        try:
            told = json.loads((self.out / "checkpoint.json").read_text("utf-8"))
            with safe_open(str(self.out / told["file"]), framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no dict
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise InputError(f"the checkpoint in {self.out} cannot be read ({error}): start the run anew") from error
        key = self._key()
        for part in key:
            theirs = told["run"].get(part, {})
            for name in {**key[part], **theirs}:
                if key[part].get(name) != theirs.get(name):
                    raise ConflictError(
                        f"the run in {self.out} has {part} {name} {theirs.get(name)!r}, not {key[part].get(name)!r}: "
                        "resume it with its own settings, or name another folder"
                    )
        self.model.load_state_dict(
            {name.removeprefix("model."): each for name, each in tensors.items() if name.startswith("model.")}
        )
        for name, weight in self._weights.items():
            start = f"optimiser.{name}."
            state: dict[str, Tensor] = {
                part.removeprefix(start): each.to(weight.device if part != f"{start}step" else "cpu")
                for part, each in tensors.items()
                if part.startswith(start)
            }
            if state:
                self._optimiser.state[weight] = state
        self.step, self.elapsed, self.curve = told["step"], told["elapsed"], told["curve"]


def training(settings: Mapping[str, Any]) -> Training:
    """Settings of a training by name; raises :class:`InputError` for one that there is not."""
    known = [field.name for field in fields(Training)]
    for each in settings:
        if each not in known:
            raise InputError(f"a training has no setting {each!r}: its settings are {', '.join(known)}")
    return Training(**settings)


def _write(path: Path, told: Mapping[str, Any]) -> None:
    """JSON that is there whole or not at all."""
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    scratch.replace(path)
