"""Segment attention: the plain definition, its equals, and what each field of a segment does."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.attention.cache import Tape
from mnemic.attention.rope import Rope
from mnemic.attention.segment import BACKENDS, Segment, attend, causal, merged, reference

H, HK, D = 6, 2, 8
ROPE = Rope(1.0 / 100 ** (torch.arange(0, D, 2) / D))
SCALE = D**-0.5


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def segments(seed: int, sizes: list[int], length: int, hidden: float) -> list[Segment]:
    """Segments at positions of their own, a share ``hidden`` of their keys out of sight."""
    made = []
    for i, n in enumerate(sizes):
        sight = torch.rand(HK, 1, length, n, generator=torch.Generator().manual_seed(seed + 7 * i)) >= hidden
        made.append(
            Segment(
                draw(seed + i, HK, n, D), draw(seed + 50 + i, HK, n, D),
                q_pos=5 * i if i % 2 else torch.arange(length) + i, k_pos=0 if i % 2 else torch.arange(n),
                visible=sight, bias=draw(seed + 90 + i, HK, 1, 1, n) if i == 1 else None,
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize("backend", BACKENDS[1:])
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4), length=st.integers(1, 5),
    hidden=st.sampled_from([0.0, 0.4, 0.95, 1.0]),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_every_backend_is_the_joint_softmax(
    backend: str, seed: int, sizes: list[int], length: int, hidden: float
) -> None:
    q = draw(seed, H, length, D)
    made = segments(seed, sizes, length, hidden)
    slow, _ = attend(q, made, ROPE, SCALE)
    fast, _ = attend(q, made, ROPE, SCALE, backend=backend)
    assert torch.allclose(slow, fast, atol=1e-5)
    assert torch.isfinite(fast).all()


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_every_backend_knows_pruned_channels_keys_that_stay_as_they_are_and_no_mask(backend: str) -> None:
    channels = torch.tensor([[0, 2, 4, 6], [1, 3, 5, 7]])
    q, at = draw(0, H, 3, D), torch.arange(6, 9)
    made = [
        Segment(draw(1, HK, 4, 4), draw(2, HK, 4, 4), at, torch.arange(4), channels=channels, value_channels=channels),
        Segment(draw(3, HK, 2, D), draw(4, HK, 2, D), at.clone(), None),
        Segment(draw(5, HK, 3, D), draw(6, HK, 3, D), 9, 0),
    ]
    assert torch.allclose(attend(q, made, ROPE, SCALE)[0], attend(q, made, ROPE, SCALE, backend=backend)[0], atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_backends_agree_on_a_device(backend: str) -> None:
    device = torch.device("cuda")
    q = torch.randn(8, 200, 64, device=device)
    rope = Rope(1.0 / 10_000 ** (torch.arange(0, 64, 2, device=device) / 64))
    at = torch.arange(300, 500, device=device)
    k, v = torch.randn(2, 4, 500, 64, device=device)
    where = torch.arange(500, device=device)
    made = [Segment(k, v, at, where, causal(at, where, 128)), Segment(k[:, :90], v[:, :90], 512, 0)]
    slow, fast = (attend(q, made, rope, 0.125, backend=each)[0] for each in ("reference", backend))
    assert torch.allclose(slow, fast, atol=5e-3)


def test_one_segment_is_attention_as_it_is_written() -> None:
    q, k, v = draw(0, H, 3, D), draw(1, HK, 5, D), draw(2, HK, 5, D)
    at, where = torch.tensor([2, 3, 4]), torch.arange(5)
    out, _ = attend(q, [Segment(k, v, at, where, causal(at, where))], ROPE, SCALE)
    for h in range(H):
        for i in range(3):
            turned = [ROPE.apply(k[h // 3, j : j + 1], j)[0] for j in range(5)]
            mine = ROPE.apply(q[h, i : i + 1], int(at[i]))[0]
            weights = [math.exp(float(mine @ turned[j]) * SCALE) for j in range(int(at[i]) + 1)]
            wanted = sum(w * v[h // 3, j] for j, w in enumerate(weights)) / sum(weights)
            assert torch.allclose(out[h, i], wanted, atol=1e-5)


def test_splitting_keys_into_segments_changes_nothing() -> None:
    q, k, v = draw(0, H, 4, D), draw(1, HK, 9, D), draw(2, HK, 9, D)
    at = torch.arange(9)
    whole = Segment(k, v, torch.arange(9, 13), at)
    parts = [Segment(k[:, s], v[:, s], torch.arange(9, 13), at[s]) for s in (slice(0, 4), slice(4, 9))]
    for backend in BACKENDS[:3]:
        assert torch.allclose(
            attend(q, [whole], ROPE, SCALE)[0], attend(q, parts, ROPE, SCALE, backend=backend)[0], atol=1e-6
        )


def test_mass_sums_to_one_for_every_query_that_sees_something() -> None:
    q = draw(3, H, 4, D)
    made = segments(3, [5, 0, 7], 4, 0.3)
    _, mass = attend(q, made, ROPE, SCALE, mass=True)
    assert mass is not None
    assert [tuple(m.shape) for m in mass] == [(H, 5), (H, 0), (H, 7)]
    assert torch.allclose(sum(m.sum(1) for m in mass), torch.full((H,), 4.0), atol=1e-5)


def test_what_sees_nothing_gets_nothing() -> None:
    q, k = draw(0, H, 2, D), draw(1, HK, 3, D)
    blind = Segment(k, k, 0, 0, torch.zeros(1, 1, 2, 3, dtype=torch.bool))
    for backend in BACKENDS[:3]:
        assert attend(q, [blind], ROPE, SCALE, backend=backend)[0].abs().max() == 0
    assert attend(q, [], ROPE, SCALE)[0].abs().max() == 0


def test_gradients_pass_by_what_sees_nothing() -> None:
    q, k, v = (draw(i, n, 3, D).requires_grad_() for i, n in enumerate((H, HK, HK)))
    sight = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    made = [Segment(k, v, 4, torch.arange(3), sight[None, None], bias=draw(9, HK, 1, 1, 3)), Segment(k, v, 7, 0, sight)]
    sighted = [replace(segment, visible=sight[::2]) for segment in made]
    wanted = torch.autograd.grad(reference(q[:, ::2], sighted, ROPE, SCALE)[0].sum(), (k, v))
    for attention in (lambda: reference(q, made, ROPE, SCALE)[0], lambda: merged(q, made, ROPE, SCALE)):
        found = torch.autograd.grad(attention().sum(), (q, k, v))
        assert found[0][:, 1].abs().max() == 0
        assert found[0].abs().max() > 0
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found[1:], wanted, strict=True))


def test_a_bias_weighs_keys_and_an_infinite_one_is_blindness() -> None:
    q, k, v = draw(0, H, 2, D), draw(1, HK, 3, D), draw(2, HK, 3, D)
    heavy = torch.tensor([0.0, 50.0, 0.0])
    out, _ = reference(q, [Segment(k, v, 0, 0, bias=heavy)], ROPE, SCALE)
    assert torch.allclose(out, v[:, 1].repeat_interleave(3, 0)[:, None].expand(-1, 2, -1), atol=1e-4)


def test_channels_are_the_dot_product_over_those_channels() -> None:
    q, k, v = draw(0, H, 2, D), draw(1, HK, 3, D), draw(2, HK, 3, D)
    at, where = torch.tensor([3, 4]), torch.arange(3)
    kept = torch.tensor([[0, 1, 4, 5], [2, 3, 6, 7]])
    turned = ROPE.apply(k, where)
    short = turned.gather(-1, kept[:, None].expand(-1, 3, -1))
    zeroed = torch.zeros_like(turned).scatter(-1, kept[:, None].expand(-1, 3, -1), short)
    for attention in (lambda s: reference(q, s, ROPE, SCALE)[0], lambda s: merged(q, s, ROPE, SCALE)):
        a = attention([Segment(short, v, at, None, channels=kept)])
        b = attention([Segment(zeroed, v, at, None)])
        assert torch.allclose(a, b, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_rotations_add_and_undo_each_other(a: int, b: int) -> None:
    x = draw(5, 2, 3, D)
    assert torch.allclose(ROPE.unapply(ROPE.apply(x, a), a), x, atol=1e-4)
    dots = [ROPE.apply(x, p)[0] @ ROPE.apply(x, p + 17)[1].T for p in (a, b)]
    assert torch.allclose(*dots, atol=2e-2)  # only the distance counts; angles of long texts are rounded


def test_a_tape_keeps_what_forks_wrote_apart() -> None:
    tape = Tape()
    tape.append(draw(0, HK, 3, D), draw(1, HK, 3, D), torch.arange(3))
    other = tape.fork()
    tape.append(draw(2, HK, 2, D), draw(3, HK, 2, D), torch.tensor([3, 4]))
    other.append(draw(4, HK, 1, D), draw(5, HK, 1, D), torch.tensor([9]))
    assert tape.pos.tolist() == [0, 1, 2, 3, 4]
    assert other.pos.tolist() == [0, 1, 2, 9]
    assert torch.equal(other.k[:, :3], tape.k[:, :3])
    tape.drop_front(2)
    tape.keep(torch.tensor([0, 2]))
    assert tape.pos.tolist() == [2, 4]
    assert other.pos.tolist() == [0, 1, 2, 9]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["append", "front", "keep", "fork"]), st.integers(1, 400)), max_size=12))
def test_a_tape_behaves_as_a_list(steps: list[tuple[str, int]]) -> None:
    tape, model, count = Tape(), [], 0
    forks: list[tuple[Tape, list[int]]] = []
    for step, n in steps:
        if step == "append":
            pos = torch.arange(count, count + n)
            filled = pos.float()[None, :, None].expand(1, n, 2)
            tape.append(filled, filled, pos)
            model, count = model + pos.tolist(), count + n
        elif step == "front" and model:
            tape.drop_front(min(n, len(model)))
            model = model[min(n, len(model)) :]
        elif step == "keep" and model:
            index = torch.arange(0, len(model), 1 + n % 3)
            tape.keep(index)
            model = [model[i] for i in index.tolist()]
        elif step == "fork":
            forks.append((tape.fork(), list(model)))
    for held, told in [(tape, model), *forks]:
        assert len(held) == len(told)
        if told:
            assert held.pos.tolist() == told
            assert held.k[0, :, 0].tolist() == told
