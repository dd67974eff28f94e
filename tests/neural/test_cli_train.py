"""The commands that train."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mnemic.cli.app import run
from mnemic.cli.train import pairs, seconds, value
from mnemic.errors import InputError
from mnemic.neural.registry import LAYERS
from mnemic.neural.tasks import TASKS

TINY = ["--width", "16", "--layers", "1", "--steps", "2", "--train-set", "batch=2", "--set", "heads=2"]
SHORT = ["--task-set", "pairs=2", "--task-set", "gap=4"]


def test_a_training_is_told_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "mqar", "--layer", "window", *TINY, *SHORT, "--out", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("mqar with window: accuracy ")
    assert "chance 6.2" in told
    assert "distance 4" in told
    assert {each.name for each in (tmp_path / "run").iterdir()} == {"run.json", "model.safetensors"}
    log = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (log["task"]["pairs"], log["model"]["settings"], log["training"]["batch"]) == (
        2,
        {"window": 4, "heads": 2},
        2,
    )
    assert "processor" in log["about"]["machine"]


def test_a_training_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "book", "--layer", "full", *TINY, "--task-set", "longest=256", "--seed", "4", "--json"]) == 0
    log = json.loads(capsys.readouterr().out)
    assert log["training"]["seed"] == log["model"]["seed"] == 4
    assert log["result"]["metric"] == "nats"


def test_a_training_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mnemic.neural.compare import Shape
    from mnemic.neural.tasks import make
    from mnemic.neural.train import Trainer, Training

    task = make("mqar", {"pairs": 2, "gap": 4})
    model = Shape(d_model=16, n_layers=1, settings={"full": {"heads": 2}}).build("full", task.vocab)
    Trainer(model, task, Training(steps=2, batch=2), out=tmp_path).run(until=1)
    words = ["train", "mqar", "--layer", "full", *TINY, *SHORT, "--out", str(tmp_path)]
    assert run(words) == 1
    assert "resume it" in capsys.readouterr().err
    assert run([*words, "--resume"]) == 0
    assert json.loads((tmp_path / "run.json").read_text())["steps"] == 2


def test_a_comparison_is_told_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    words = ["train", "compare", "mqar", "--layer", "full", "--controls", "none", "--seeds", "2", *TINY, *SHORT]
    assert run([*words, "--budget", "1m", "--out", str(tmp_path)]) == 0
    told = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert told[0] == "mqar: accuracy"
    assert [line.split()[0] for line in told[2:4]] == ["full", "none"]
    names = {each.name for each in tmp_path.iterdir()}
    assert names == {
        "full-0", "full-1", "none-0", "none-1", "compare.json", "compare.md", "scores.svg", "curves.svg",
    }  # fmt: skip
    assert run([*words, "--budget", "1m", "--out", str(tmp_path), "--no-plot", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 4


def test_settings_go_to_the_layer_that_they_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "compare", "mqar", "--layer", "full", "--layer", "window", "--controls", "", "--seeds", "1"]
    more = ["--set", "window.window=3", "--out", str(tmp_path), "--no-plot", "--json"]
    assert run([*words, *TINY, *SHORT, *more]) == 0
    models = {each["name"]: each["model"] for each in json.loads(capsys.readouterr().out)["runs"]}
    assert models["full"]["settings"] == {"heads": 2}
    assert models["window"]["settings"] == {"window": 3, "heads": 2}


def test_the_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "list"]) == 0
    told = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line}
    assert {*TASKS, *LAYERS} <= told
    assert run(["train", "list", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["tasks"]] == list(TASKS)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nonsense", "--layer", "window"], 1, "no task 'nonsense': use one of mqar"),
        (["mqar", "--layer", "nonsense"], 1, "no layer 'nonsense'"),
        (["mqar"], 2, "--layer"),
        (["mqar", "--layer", "window", "--budget", "soon"], 2, "90s, 10m or 1h"),
        (["mqar", "--layer", "window", "--set", "heads"], 2, "--set takes NAME=VALUE"),
        (["mqar", "--layer", "window", "--set", "speed=1"], 2, "no setting 'speed'"),
        (["mqar", "--layer", "window", "--task-set", "speed=1"], 2, "no setting 'speed'"),
        (["mqar", "--layer", "window", "--train-set", "speed=1"], 2, "no setting 'speed'"),
        (["mqar", "--layer", "window", "--resume"], 1, "no checkpoint"),
        (["mqar", "--layer", "window", "--device", "nowhere"], 2, "nowhere cannot be used"),
        (["compare", "mqar", "--layer", "window"], 2, "--out"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", *words]) == code
    assert said in " ".join(capsys.readouterr().err.split())


def test_texts_are_read() -> None:
    assert [seconds(each) for each in ("90", "90s", "10m", "1.5h")] == [90, 90, 600, 5400]
    for wrong in ("", "0s", "-1m", "10 days"):
        with pytest.raises(InputError):
            seconds(wrong)
    read = [value(each) for each in ("1", "0.5", "true", "None", "poly2", "1e-3", "[1]")]
    assert read == [1, 0.5, True, None, "poly2", 0.001, [1]]
    assert pairs(["a=1", "b = x=y"], "--set") == {"a": "1", "b": "x=y"}


def test_without_torch_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from mnemic.cli.app import run\n"
        "sys.exit(run(['train', 'mqar', '--layer', 'window']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'mnemic[torch]'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from mnemic.cli.app import run\n"
        "sys.exit(run(['train', 'compare', '-h']))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
