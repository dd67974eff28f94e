"""Beacons and their stand-in: what is read, what stays, what is learned. The invariants are in test_invariants.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from models import FAMILIES, make, plain, text, tiny
from policies import SMALL, beacons
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from mnemic.attention.anatomy import anatomy
from mnemic.attention.beacon_training import loss, train
from mnemic.attention.beacon_weights import BeaconWeights
from mnemic.attention.cache import Layer, Row
from mnemic.attention.compose import Compose
from mnemic.attention.policies.beacon import Beacon
from mnemic.attention.policies.beacon_standin import BeaconStandIn
from mnemic.attention.policies.resonance import Resonance
from mnemic.attention.policies.reweave import Reweave
from mnemic.attention.policy import FullAttention, Policy
from mnemic.attention.registry import make as by_name
from mnemic.attention.segment import Segment
from mnemic.attention.session import Forward, attach
from mnemic.errors import ConflictError, InputError, StoreError

STRIDE, COUNT = 16, 4


def told_apart(weights: BeaconWeights, seed: int = 1) -> BeaconWeights:
    """``weights`` that are no longer what training begins with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in weights.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return weights


# -- reading -------------------------------------------------------------------------------------------------------


class AtOnce(Policy):
    """The definition: windows and their beacons, all in one sequence [n], read in one call under a mask."""

    name = "at-once"
    paper = "the definition of beacon"

    def __init__(self, window: Tensor, beacon: Tensor, slot: Tensor) -> None:
        self.window, self.beacon, self.slot = window, beacon, slot

    def segments(self, layer: Layer, row: Row, q: Tensor, k: Tensor, v: Tensor, pos: Tensor) -> list[Segment]:
        asking, order = self.window[:, None], torch.arange(len(pos))
        same = (asking == self.window[None]) & (order[:, None] >= order[None])
        earlier = asking > self.window[self.beacon][None]
        stored = torch.arange(int(self.beacon.sum()))
        return [
            Segment(k, v, self.slot, self.slot, same[None, None]),
            Segment(k[:, self.beacon], v[:, self.beacon], self.slot, stored, earlier[None, None]),
        ]


def at_once(model: Any, weights: BeaconWeights, ids: list[int]) -> Tensor:
    """The logits [L, V] by the definition."""
    count = len(weights.embedding)
    words = model.get_input_embeddings()(torch.tensor(ids))
    embedded, window, beacon, slot = [], [], [], []
    for number, start in enumerate(range(0, len(ids), weights.stride)):
        piece = words[start : start + weights.stride]
        own = weights.embedding if len(piece) == weights.stride else weights.embedding[:0]
        embedded += [piece, own]
        window += [number] * (len(piece) + len(own))
        beacon += [False] * len(piece) + [True] * len(own)
        slot += range(number * count, number * count + len(piece) + len(own))
    is_beacon = torch.tensor(beacon)
    handles = [
        getattr(block.self_attn, name).register_forward_hook(
            lambda _, given, out, delta=delta: out + delta(given[0]) * is_beacon[:, None]
        )
        for block, deltas in zip(anatomy(model).blocks, weights.layers, strict=True)
        for name, delta in deltas.items()  # type: ignore[operator]
    ]
    policy = AtOnce(torch.tensor(window), is_beacon, torch.tensor(slot))
    with attach(model, policy) as session, torch.inference_mode():
        whole = torch.cat(embedded)[None]
        memory = Forward([Row.new(session.anatomy)], [whole.shape[1]], policy, "reference")
        zeros = torch.zeros(whole.shape[:2], dtype=torch.long)
        logits = model(inputs_embeds=whole, position_ids=zeros, use_cache=False, memory=memory).logits[0]
    for handle in handles:
        handle.remove()
    found: Tensor = logits[~is_beacon]
    return found


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_reading_window_by_window_is_reading_at_once_under_a_mask(family: str, rank: int | None) -> None:
    model, ids = tiny(family), text(3 * STRIDE + 5)
    weights = told_apart(BeaconWeights.untrained(model, stride=STRIDE, ratios=(4,), rank=rank))
    wanted = at_once(model, weights, ids)
    with attach(model, Beacon(weights)) as session:
        whole = session.forward([ids], every=True)[0]
        assert len(whole) == len(ids)
        assert float((whole - wanted).abs().max()) < 1e-4
    with attach(model, Beacon(weights), backend="merged") as session:
        assert float((session.prefill(ids, chunk=21)[0] - wanted[-1]).abs().max()) < 1e-4
    # Before anything is condensed it is the model itself; afterwards it is not, or the test would say nothing.
    assert float((wanted - plain(model, ids))[:STRIDE].abs().max()) < 1e-4
    assert float((wanted - plain(model, ids))[STRIDE:].abs().max()) > 0.05


@pytest.mark.parametrize("name", ["beacon", "beacon-standin"])
def test_what_is_held_is_the_open_window_and_a_few_for_each_before(name: str) -> None:
    with attach(tiny(), SMALL[name]) as session:
        for number, id in enumerate(text(70), 1):
            session.forward([[id]])
            assert session.resident == number // STRIDE * COUNT + number % STRIDE


def test_beacons_stand_for_the_places_that_they_share_out() -> None:
    with attach(tiny(), SMALL["beacon"]) as session:
        session.prefill(text(2 * STRIDE))
        assert session.rows[0].layers[0].tape("memory").pos.tolist() == [3, 7, 11, 15, 19, 23, 27, 31]


def test_half_precision_stays_near() -> None:
    """Logits of these models span some 10; bfloat16 keeps 8 bits."""
    whole, half = tiny(), make("llama").to(torch.bfloat16)
    found = []
    for model in (whole, half):
        with attach(model, Beacon(told_apart(BeaconWeights.untrained(model, stride=STRIDE)))) as session:
            found.append(session.prefill(text(2 * STRIDE + 3)))
    assert float((found[0] - found[1]).abs().max()) < 0.3


def test_a_higher_ratio_reads_the_first_of_the_beacons() -> None:
    weights = beacons(ratios=(2, 8))
    for ratio, count in ((None, 8), (2, 8), (8, 2)):
        with attach(tiny(), Beacon(weights, ratio)) as session:
            session.prefill(text(STRIDE))
            assert session.resident == count


def test_no_hook_is_left_between_two_calls_nor_after_an_error() -> None:
    model, policy = tiny(), Beacon(beacons())
    projection = model.model.layers[0].self_attn.q_proj
    with attach(model, policy) as session:
        session.prefill(text(STRIDE + 3))
        assert not projection._forward_hooks
        with policy.reading(session.anatomy):
            assert len(projection._forward_hooks) == 1
        with pytest.raises(RuntimeError), policy.reading(session.anatomy):
            raise RuntimeError
        assert not projection._forward_hooks


# -- the stand-in --------------------------------------------------------------------------------------------------


def test_the_stand_in_keeps_what_was_attended_to_most() -> None:
    ids = text(STRIDE)
    model = make("llama")
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        weights = model(torch.tensor([ids]), output_attentions=True).attentions
    with attach(tiny(), BeaconStandIn(STRIDE, 4)) as session:
        session.prefill(ids, chunk=5)
        for layer, w in zip(session.rows[0].layers, weights, strict=True):
            best = w[0].sum((0, 1)).topk(COUNT).indices.sort().values
            assert layer.tape("memory").pos.tolist() == best.tolist()
            assert "score" not in layer.extra


def test_the_stand_in_can_keep_the_last_of_every_few_or_nothing() -> None:
    with attach(tiny(), BeaconStandIn(STRIDE, 4, "even")) as session:
        session.prefill(text(STRIDE + 2))
        assert session.rows[0].layers[1].tape("memory").pos.tolist() == [3, 7, 11, 15]
    with attach(tiny(), BeaconStandIn(STRIDE, rule="nothing")) as session:
        logits = session.prefill(text(STRIDE + 2))
    assert torch.allclose(logits[0], plain(tiny(), text(STRIDE + 2)[STRIDE:])[-1], atol=1e-4)


# -- weights and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [None, 3])
def test_weights_are_the_same_from_a_file(tmp_path: Path, rank: int | None) -> None:
    weights = beacons(rank=rank)
    weights.save(tmp_path / "w")
    policy = by_name("beacon", {"weights": str(tmp_path / "w")})
    assert policy.settings() == Beacon(weights).settings()
    found = []
    for each in (policy, Beacon(weights)):
        with attach(tiny(), each) as session:
            found.append(session.prefill(text(40)))
    assert torch.equal(*found)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    weights = beacons()
    other = make("llama")
    with torch.no_grad():
        other.model.layers[1].self_attn.k_proj.weight.add_(0.01)
    with pytest.raises(ConflictError, match="another model"), attach(other, Beacon(weights)):
        pass
    with pytest.raises(InputError, match="beacon-standin"), attach(tiny(), Beacon()):
        pass
    wide = BeaconWeights.untrained(tiny(), stride=252)
    with pytest.raises(InputError, match="252 and 63"), attach(tiny(), Beacon(wide)):
        pass
    with pytest.raises(InputError, match="the ratios 4, not 2"):
        Beacon(weights, 2)
    for bad in ({"stride": 10}, {"stride": 16, "rank": 0}, {"stride": 16, "ratios": ()}):
        with pytest.raises(InputError, match="multiple"):
            BeaconWeights.untrained(tiny(), **bad)  # type: ignore[arg-type]
    for modifier in (Resonance(), Reweave()):
        with pytest.raises(InputError, match="cannot be combined with beacon"):
            Compose(Beacon(weights), modifier)
    for stride, ratio, rule in ((10, 4, "mass"), (8, 0, "mass"), (8, 4, "best")):
        with pytest.raises(InputError):
            BeaconStandIn(stride, ratio, rule)
    (tmp_path / "a").write_bytes(b"no weights")
    with pytest.raises(StoreError):
        BeaconWeights.load(tmp_path / "a")
    with attach(tiny(), FullAttention()) as session:
        session.prefill(text(3))
        session.save(tmp_path / "b")
    with pytest.raises(InputError, match="no beacons"):
        BeaconWeights.load(tmp_path / "b")


def test_a_memory_written_with_other_beacons_is_refused(tmp_path: Path) -> None:
    with attach(tiny(), Beacon(beacons())) as session:
        session.prefill(text(40))
        session.save(tmp_path / "a")
    with attach(tiny(), Beacon(told_apart(beacons(), 2))) as session, pytest.raises(ConflictError, match="settings"):
        session.load(tmp_path / "a")


# -- training ------------------------------------------------------------------------------------------------------


def test_only_the_beacons_learn_and_what_they_learn_from_is_what_is_read() -> None:
    model = make("llama")
    model.model.layers[0].mlp.requires_grad_(False)
    before = {name: (p.clone(), p.requires_grad) for name, p in model.named_parameters()}
    weights, ids = beacons(), torch.tensor([text(44), text(44, seed=1)])
    policy = Beacon(weights)
    learning = loss(model, policy, ids, learning=True)
    assert torch.equal(learning.detach(), loss(model, policy, ids))
    digest = weights.digest
    train(model, weights, [ids])
    gradients = {name: p.grad for name, p in weights.named_parameters()}
    for name, gradient in gradients.items():
        # What the beacons ask in the last layer has nowhere to go: only their keys and values there are read.
        asks_last = name.startswith("layers.2.q_proj")
        assert (gradient is None or not bool(gradient.any())) is asks_last, name
    assert weights.digest != digest
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name][0])
        assert p.requires_grad == before[name][1]
        assert p.grad is None


def test_gradients_are_those_of_finite_differences() -> None:
    """Along the gradient the loss changes by its norm; it passes through earlier windows."""
    model = make("llama")
    weights = told_apart(BeaconWeights.untrained(model, stride=4, ratios=(2,), rank=2))
    policy, ids = Beacon(weights), torch.tensor([text(19)])
    loss(model, policy, ids, learning=True).backward()  # type: ignore[no-untyped-call]
    gradients = [(p, p.grad) for p in weights.parameters() if p.grad is not None]
    norm = float(torch.stack([g.square().sum() for _, g in gradients]).sum().sqrt())
    values = []
    for step in (1e-3, -2e-3):
        with torch.no_grad():
            for parameter, gradient in gradients:
                parameter.add_(gradient, alpha=step / norm)
        values.append(float(loss(model, policy, ids)))
    assert norm > 0.1
    assert (values[0] - values[1]) / 2e-3 == pytest.approx(norm, rel=0.02)


def test_a_text_without_a_past_teaches_nothing() -> None:
    with pytest.raises(InputError, match="more than a window"):
        loss(tiny(), BeaconStandIn(16), torch.tensor([text(17)]))


def asked(count: int, generator: torch.Generator) -> Tensor:
    """Texts [count, 16]: a window of noise with three facts in it, and one that asks for each of them: kind, fact."""
    ids = torch.randint(18, 32, (count, 16), generator=generator)
    facts = torch.stack([torch.randint(6 + 4 * j, 10 + 4 * j, (count,), generator=generator) for j in range(3)], 1)
    ids.scatter_(1, torch.rand(count, 8, generator=generator).argsort(1)[:, :3], facts)
    order = torch.rand(count, 3, generator=generator).argsort(1)
    ids[:, 9:15:2], ids[:, 10:16:2] = 3 + order, facts.gather(1, order)
    return ids


@pytest.mark.slow
def test_trained_beacons_tell_what_the_window_said() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 32, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, max_position_embeddings=64))
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(120):
        ids = asked(32, generator)
        told = torch.nn.functional.cross_entropy(model(ids).logits[:, 8:-1].flatten(0, 1), ids[:, 9:].flatten())
        optimiser.zero_grad()
        told.backward()
        optimiser.step()
    model.eval()
    weights = BeaconWeights.untrained(model, stride=8, ratios=(2,))
    held = asked(64, generator)
    untrained = float(loss(model, Beacon(weights), held))
    train(model, weights, [asked(8, generator) for _ in range(80)], rate=1e-2)
    trained = float(loss(model, Beacon(weights), held))
    without = float(loss(model, BeaconStandIn(8, rule="nothing"), held))
    others = float(loss(model, Beacon(weights), torch.cat((held.roll(1, 0)[:, :8], held[:, 8:]), 1)))
    print(f"untrained {untrained:.3f}, trained {trained:.3f}, without {without:.3f}, of another text {others:.3f}")
    assert trained < min(without, untrained) - 1
    assert trained < others - 0.3  # it is what was said that helps, not a memory as such
