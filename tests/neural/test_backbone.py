"""The model around a layer: one function of the past, its files, and the control that reads nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy import Fading

from mnemic.errors import ConflictError, InputError, NotFoundError
from mnemic.neural.backbone import Backbone
from mnemic.neural.registry import LAYERS

TOKENS = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(0))


def model(**settings: object) -> Backbone:
    made = {"vocab": 11, "d_model": 16, "n_layers": 2, "layer": Fading, "conv": 3} | settings
    return Backbone(**made).double()  # type: ignore[arg-type]


def test_logits_have_the_shape_of_tokens_and_a_state_stands_for_every_memory() -> None:
    logits, states = model()(TOKENS)
    assert logits.shape == (2, 9, 11)
    assert [state.kind for state in states] == ["conv", "fading"] * 2
    assert [state.seen for state in states] == [9] * 4
    _, states = model(conv=None)(TOKENS)
    assert [state.kind for state in states] == ["fading"] * 2


@pytest.mark.parametrize("cut", [1, 4, 8])
def test_a_split_gives_what_the_whole_gives(cut: int) -> None:
    made = model()
    whole, after = made(TOKENS)
    first, states = made(TOKENS[:, :cut])
    second, states = made(TOKENS[:, cut:], states)
    torch.testing.assert_close(torch.cat((first, second), 1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(states[1]["mean"], after[1]["mean"], rtol=0, atol=1e-12)


def test_token_by_token_gives_what_the_whole_gives() -> None:
    made = model()
    whole, _ = made(TOKENS)
    states = made.init_states(2)
    for t in range(TOKENS.shape[1]):
        logits, states = made.step(TOKENS[:, t], states)
        torch.testing.assert_close(logits, whole[:, t], rtol=0, atol=1e-12)


def test_the_past_alone_decides() -> None:
    made, other = model(), TOKENS.clone()
    other[:, 5:] = (other[:, 5:] + 1) % 11
    torch.testing.assert_close(made(other)[0][:, :5], made(TOKENS)[0][:, :5], rtol=0, atol=0)


def test_masked_tokens_are_as_if_they_were_not_remembered() -> None:
    made, mask = model(conv=None), torch.ones(2, 9, dtype=torch.bool)
    mask[:, 3:6] = False
    kept = torch.cat((TOKENS[:, :3], TOKENS[:, 6:]), 1)
    torch.testing.assert_close(made(TOKENS, mask=mask)[0][:, 6:], made(kept)[0][:, 3:], rtol=0, atol=1e-12)
    assert not torch.equal(made(TOKENS)[0][:, 6:], made(kept)[0][:, 3:])


def test_the_control_has_the_parameters_and_forgets() -> None:
    """Without convolution and memory, a token's logits depend on itself alone."""
    reads, control = model(conv=None), model(conv=None, reading=False)
    assert control.parameters_count == reads.parameters_count
    other = TOKENS.clone()
    other[:, 0] = (other[:, 0] + 1) % 11
    assert torch.equal(control(other)[0][:, 1:], control(TOKENS)[0][:, 1:])
    assert not torch.equal(reads(other)[0][:, 1:], reads(TOKENS)[0][:, 1:])


def test_first_weights_come_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = model(seed=5)
    after_first = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after_first), "making a model drew from the global generator"
    torch.manual_seed(2)
    again = model(seed=5)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(model(seed=6).embed.weight, first.embed.weight)


def test_an_untied_head_has_weights_of_its_own() -> None:
    assert model(tied=False).parameters_count == model().parameters_count + 11 * 16


def test_states_of_memories_stay_and_those_of_full_attention_grow() -> None:
    fixed, growing = model(), model(layer="full", conv=None)
    # Two layers: the mean [16] of each, and the two tokens [16] before that the convolution reads.
    assert fixed.state_bytes(50) == fixed.state_bytes(5000) == 2 * (16 * 8 + 2 * 16 * 8)
    assert growing.state_bytes(50) == 50 * growing.state_bytes(1)


@pytest.mark.parametrize("name", LAYERS)
def test_a_model_of_every_layer_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    made = Backbone(11, 16, 1, name)
    made.save(tmp_path / "model.safetensors")
    again = Backbone.load(tmp_path / "model.safetensors")
    assert torch.equal(again(TOKENS)[0], made(TOKENS)[0])


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    made = Backbone(11, 16, 2, "window", {"window": 5, "heads": 2}, conv=3, tied=False, seed=3)
    made.save(tmp_path / "model.safetensors")
    again = Backbone.load(tmp_path / "model.safetensors")
    assert again.config == made.config
    assert torch.equal(again(TOKENS)[0], made(TOKENS)[0])


def test_a_model_of_a_function_needs_it_again(tmp_path: Path) -> None:
    made = Backbone(11, 16, 2, Fading)
    made.save(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="give it as layer="):
        Backbone.load(tmp_path / "model.safetensors")
    again = Backbone.load(tmp_path / "model.safetensors", Fading)
    assert torch.equal(again(TOKENS)[0], made(TOKENS)[0])
    from mnemic.neural.layers.attention import FullAttention

    with pytest.raises(ConflictError, match="do not fit"):
        Backbone.load(tmp_path / "model.safetensors", FullAttention)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for wrong in ({"d_model": 0}, {"conv": 0}, {"settings": {"keep": 0.5}}):
        with pytest.raises(InputError):
            model(**wrong)
    with pytest.raises(NotFoundError, match="no layer 'nonsense'"):
        model(layer="nonsense")
    with pytest.raises(InputError, match="do not fit"):
        model()(TOKENS, model().init_states(2)[:1])
    with pytest.raises(InputError, match=r"\[batch, time\]"):
        model()(TOKENS[0])
    (tmp_path / "x").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="cannot be read"):
        Backbone.load(tmp_path / "x")
