"""``mnemic attend``: the question by itself, settings that suit the small model, answers on a real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner

from mnemic import models
from mnemic.attention import pretrained
from mnemic.cli.app import app
from mnemic.cli.attend import prompt
from mnemic.errors import InputError, ModelError

WORDS = ["<unk>", "</s>", "<user>", "<model>", "the", "cat", "sat", "on", "a", "mat", "who", "?", "Question", ":"]
CHAT = "<user> {{ messages[0]['content'] | trim }} <model>"
runner = CliRunner()


def tokenizer(template: str | None = None) -> PreTrainedTokenizerFast:
    held = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    held.pre_tokenizer = Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=held, unk_token="<unk>", eos_token="</s>")
    made.add_special_tokens({"additional_special_tokens": ["<user>", "<model>"]})
    made.chat_template = template
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights, as users have them on disk."""
    where = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    sizes = {"vocab_size": len(WORDS), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1)).save_pretrained(where)
    tokenizer(CHAT).save_pretrained(where)
    return where


def told(*arguments: str, text: str = "the cat sat on a mat " * 60) -> dict[str, Any]:
    result = runner.invoke(app, ["attend", "-", "--json", *arguments], input=text)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("template", [CHAT, None])
def test_the_question_is_read_by_itself_and_nothing_is_lost(template: str | None) -> None:
    made = tokenizer(template)
    text, asked = prompt(made, "the cat sat on a mat", "who sat?")
    whole = made.decode([*text, *asked])
    assert "the cat sat on a mat" in made.decode(text)
    assert "who" not in made.decode(text)
    assert "who sat ?" in made.decode(asked)
    assert whole.startswith("<user>") == whole.endswith("<model>") == (template is not None)


def test_a_text_that_contains_the_question_is_cut_before_the_last_one() -> None:
    made = tokenizer(CHAT)
    text, asked = prompt(made, "Question about the text above: who sat?\n\nthe cat", "who sat?")
    assert made.decode(asked).count("who") == 1
    assert "the cat" in made.decode(text)


def test_it_tells_what_was_read_and_with_which_settings(folder: Path) -> None:
    small = ["--set", "window=64", "--set", "block=16", "--set", "blocks=2", "--set", "sinks=4"]
    found = told("--question", "who sat?", "--model", str(folder), "--tokens", "3", "--policy", "infllm", *small)
    assert found["settings"] | {"window": 64, "block": 16, "blocks": 2, "sinks": 4} == found["settings"]
    assert found["tokens"] > 360
    assert (
        told("--question", "who?", "--model", str(folder), "--policy", "full", text="")["tokens"] < 30
    )  # an empty text has a question all the same


def test_settings_that_suit_the_small_model_give_way_to_what_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pretrained.SETTINGS, str(folder), pretrained.SETTINGS[pretrained.SMALL])
    found = told("--question", "who?", "--model", str(folder), "--tokens", "1", "--set", "blocks=2")
    assert (found["settings"]["window"], found["settings"]["blocks"]) == (512, 2)


def test_an_unknown_setting_is_named(folder: Path) -> None:
    result = runner.invoke(app, ["attend", "-", "-q", "who?", "--model", str(folder), "--set", "depth=3"], input="a")
    assert isinstance(result.exception, InputError)
    assert "depth" in str(result.exception)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_small_model_tells_what_stands_far_outside_its_window() -> None:
    try:
        models.pull(pretrained.SMALL, progress=False)
    except ModelError as error:
        pytest.skip(f"the small model cannot be fetched: {error}")
    torch.set_num_threads(1)
    rain = "Rain fell on the roofs of the town all morning. People waited under the arches until it stopped. "
    train = "A train left the station on time and crossed the bridge over the river. Nobody looked up. "
    fact = "The telephone number of the harbour office is 5530194. "
    text = (rain + train) * 8 + fact + (train + rain) * 40
    asked = ("--question", "What is the telephone number of the harbour office?", "--tokens", "24")
    assert "5530194" in told(*asked, text=text)["answer"]
    assert "5530194" not in told(*asked, "--policy", "streaming", "--set", "window=768", text=text)["answer"]
