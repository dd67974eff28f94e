"""What every policy must keep, on tiny random models: see each test's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from models import FAMILIES, VOCAB, make, plain, text, tiny
from policies import CHUNK_FREE, INFINITE, SMALL, UNBOUNDED

from mnemic.attention.policy import FullAttention, Policy
from mnemic.attention.segment import BACKENDS
from mnemic.attention.session import Session, attach
from mnemic.errors import ConflictError, InputError

LENGTH = 120


@contextmanager
def reading(policy: Policy, model: Any = None, **options: Any) -> Iterator[Session]:
    with attach(model or tiny(), policy, **options) as session:
        yield session


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-4) -> bool:
    return float((a - b).abs().max()) <= tolerance


every = pytest.mark.parametrize("policy", [pytest.param(p, id=n) for n, p in SMALL.items()])
bounded = pytest.mark.parametrize("policy", [pytest.param(p, id=n) for n, p in SMALL.items() if n not in UNBOUNDED])
chunk_free = pytest.mark.parametrize("policy", [pytest.param(p, id=n) for n, p in SMALL.items() if n in CHUNK_FREE])
unbounded = pytest.mark.parametrize("policy", [pytest.param(p, id=n) for n, p in INFINITE.items()])


@unbounded
@pytest.mark.parametrize("family", FAMILIES)
def test_with_room_for_everything_the_logits_are_the_models_own(policy: Policy, family: str) -> None:
    model, ids = tiny(family), text(LENGTH)
    with reading(policy, model) as session:
        session.prefill(ids[:-20], chunk=33)
        rest = [session.forward([[id]], every=True)[0][-1] for id in ids[-20:]]
    assert close(torch.stack(rest), plain(model, ids)[-20:])


def test_what_each_policy_promises_is_written_down_here() -> None:
    assert {name for name, policy in SMALL.items() if policy.limit() is None} == UNBOUNDED
    assert {name for name, policy in SMALL.items() if policy.chunk_free()} == CHUNK_FREE


@bounded
def test_the_budget_is_never_exceeded(policy: Policy) -> None:
    limit = policy.limit()
    assert limit is not None
    with reading(policy) as session:
        for start in range(0, LENGTH, 7):
            session.forward([text(LENGTH)[start : start + 7]])
            assert session.resident <= limit
        session.generate(5, stop=[])
        assert session.resident <= limit
        assert session.rows[0].seen == LENGTH + 5


@every
def test_a_batch_of_two_is_two_singles(policy: Policy) -> None:
    long, short = text(LENGTH), text(LENGTH - 31, seed=1)
    ids = torch.tensor([long, [0] * 31 + short])
    mask = torch.tensor([[1] * LENGTH, [0] * 31 + [1] * len(short)])
    with reading(policy) as session:
        session.prefill(ids, mask, chunk=16)
        session.forward([long[:9], short[:9]])
        both = session.logits
        written = session.generate(6, stop=[])
    for row, alone in enumerate((long, short)):
        with reading(policy) as session:
            for piece in pieces(alone, 16):
                session.forward([piece])
            session._end_prefill()
            session.forward([alone[:9]])
            assert close(session.logits[0], both[row], 1e-5)
            assert session.generate(6, stop=[])[0] == written[row]


def pieces(ids: list[int], chunk: int) -> list[list[int]]:
    """A text cut so that its chunks end together with those of the longer text of its batch."""
    ends = range(chunk, LENGTH + chunk, chunk)
    lead = LENGTH - len(ids)
    cut = [ids[max(0, end - chunk - lead) : max(0, min(end, LENGTH) - lead)] for end in ends]
    return [piece for piece in cut if piece]


@chunk_free
def test_chunks_do_not_matter_where_the_policy_says_so(policy: Policy) -> None:
    found = []
    for chunk in (1, 17, LENGTH):
        with reading(policy) as session:
            found.append(session.prefill(text(LENGTH), chunk=chunk))
    assert close(found[0], found[2])
    assert close(found[1], found[2])


@every
def test_forks_do_not_see_each_other(policy: Policy) -> None:
    ids = text(LENGTH)
    with reading(policy) as session:
        session.prefill(ids[:80], chunk=20)
        undisturbed = session.fork()
        fork = session.fork()
        fork.prefill(text(50, seed=3), chunk=11)
        fork.generate(4, stop=[])
        session.prefill(ids[80:])
        undisturbed.prefill(ids[80:])
        assert torch.equal(session.logits, undisturbed.logits)
        assert session.generate(4, stop=[]) == undisturbed.generate(4, stop=[])


@every
@pytest.mark.parametrize("count", [3, 9, 47])
def test_what_was_cropped_was_never_read(policy: Policy, count: int) -> None:
    ids = text(80)
    with reading(policy) as session, reading_again(policy) as control:
        session.prefill(ids, chunk=80)
        control.prefill(ids, chunk=80)
        for start in range(0, count, 3):
            session.forward([text(60, seed=5)[start : start + min(3, count - start)]])
        session.crop(count)
        assert session.rows[0].ids == ids
        for each in (session, control):
            each.forward([text(8, seed=7)])
        assert close(session.logits, control.logits, 1e-6)


@contextmanager
def reading_again(policy: Policy) -> Iterator[Session]:
    with attach(make("llama"), policy) as session:
        yield session


@every
def test_a_saved_session_goes_on_bit_for_bit(policy: Policy, tmp_path: Path) -> None:
    with reading(policy) as session:
        session.prefill(text(LENGTH), chunk=25)
        session.save(tmp_path / "text.cube")
        before = session.fork()
        before.forward([text(9, seed=2)])
        session.rows = []
        session.load(tmp_path / "text.cube")
        session.forward([text(9, seed=2)])
        assert torch.equal(session.logits, before.logits)
        assert session.generate(5, stop=[]) == before.generate(5, stop=[])


@every
def test_the_model_is_as_it_was_afterwards(policy: Policy) -> None:
    model = make("llama")
    before, state = plain(model, text(40)), sorted(vars(model.model.layers[0].self_attn))
    with reading(policy, model) as session:
        session.prefill(text(40))
    assert torch.equal(plain(model, text(40)), before)
    assert model.config._attn_implementation == "sdpa"
    assert sorted(vars(model.model.layers[0].self_attn)) == state
    assert not any(layer._forward_pre_hooks for layer in model.model.layers)


@unbounded
def test_half_precision_stays_near(policy: Policy) -> None:
    """Logits of these models span some 10; bfloat16 keeps 8 bits, so that 0.15 is what rounding alone comes to."""
    model, ids = make("llama").to(torch.bfloat16), text(60)
    wanted = plain(model, ids)[-1]
    with reading(policy, model) as session:
        assert close(session.prefill(ids)[0], wanted, 0.15)


@unbounded
def test_every_backend_gives_the_same(policy: Policy) -> None:
    found = []
    for backend in BACKENDS[:3]:
        with reading(policy, backend=backend) as session:
            found.append(session.prefill(text(LENGTH), chunk=50))
    assert all(close(found[0], other, 1e-5) for other in found[1:])


@every
def test_texts_shorter_than_anything_the_policy_counts_in_are_read(policy: Policy) -> None:
    wanted = plain(tiny(), [5])[-1]
    with reading(policy) as session:
        assert close(session.prefill([5])[0], wanted)
        assert len(session.generate(3, stop=[])[0]) == 3


# -- the session ---------------------------------------------------------------------------------------------------


def test_models_that_do_not_fit_are_refused_with_a_sentence() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    with pytest.raises(InputError, match="gpt2 model"):
        next(iter_attach(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=20))))
    with pytest.raises(InputError, match="sliding-window"):
        next(iter_attach(make("mistral", sliding_window=16)))
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    with pytest.raises(InputError, match="dynamic"):
        next(iter_attach(make("llama", rope_parameters=rope)))


def iter_attach(model: Any) -> Iterator[Session]:
    with attach(model, FullAttention()) as session:
        yield session


@pytest.mark.parametrize("rope", ["linear", "llama3", "yarn"])
def test_scaled_rotations_are_the_models_own(rope: str) -> None:
    own = {"rope_type": rope, "factor": 2.0, "rope_theta": 10000.0, "original_max_position_embeddings": 64}
    extra = {"low_freq_factor": 1.0, "high_freq_factor": 4.0} if rope == "llama3" else {}
    model = make("llama", rope_parameters={**own, **extra})
    wanted = plain(model, text(100))[-1]
    with reading(FullAttention(), model) as session:
        assert close(session.prefill(text(100), chunk=30)[0], wanted)


def test_only_part_of_a_head_may_be_rotary() -> None:
    model = make("phi3", rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5})
    wanted = plain(model, text(50))[-1]
    with reading(FullAttention(), model) as session:
        assert close(session.prefill(text(50))[0], wanted)
        assert session.anatomy.rope.dim < session.anatomy.head_dim


def test_generation_is_the_models_own_under_full_attention() -> None:
    model, ids = tiny(), text(30)
    wanted = model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0)
    with reading(FullAttention()) as session:
        session.prefill(ids)
        streamed: list[list[int | None]] = []
        assert session.generate(12, stop=[], stream=streamed.append) == [wanted[0, 30:].tolist()]
        assert [step[0] for step in streamed] == wanted[0, 30:].tolist()


def test_a_row_that_ended_is_not_read_on() -> None:
    with reading(FullAttention()) as session:
        session.prefill(torch.tensor([text(20), text(20, seed=1)]))
        first = session.fork().generate(1, stop=[])[0][0]
        written = session.generate(4, stop=[first])
        assert written[0] == []
        assert len(written[1]) > 0
        assert session.rows[0].seen == 20


def test_sampling_follows_its_seed_and_its_distribution() -> None:
    from mnemic.attention.sample import Sampling

    with reading(FullAttention()) as session:
        session.prefill(text(20))
        a, b, c = (session.fork().generate(8, sampling=Sampling(2.0, seed=s), stop=[]) for s in (1, 1, 2))
    assert a == b != c
    logits = torch.tensor([[1.0, 0.0, -1.0, -9.0]])
    assert torch.allclose(Sampling(1.0).probabilities(logits), logits.softmax(-1))
    assert Sampling(1.0, top_k=2).probabilities(logits)[0, 2] == 0
    assert Sampling(1.0, top_p=0.5).probabilities(logits)[0, 1] == 0
    assert Sampling().probabilities(logits).tolist() == [[1, 0, 0, 0]]
    for bad in ({"temperature": -1}, {"top_k": -1}, {"top_p": 0}):
        with pytest.raises(InputError):
            Sampling(**bad)  # type: ignore[arg-type]


def test_what_was_saved_for_something_else_is_refused(tmp_path: Path) -> None:
    from mnemic.attention.policies.lambda_window import LambdaWindow
    from mnemic.errors import StoreError

    with reading(FullAttention()) as session:
        session.prefill(text(10))
        session.save(tmp_path / "a")
    with reading(LambdaWindow(20, 2)) as session, pytest.raises(ConflictError, match="another policy"):
        session.load(tmp_path / "a")
    other = make("llama")
    with torch.no_grad():
        other.model.layers[1].self_attn.k_proj.weight.add_(0.01)
    with reading(FullAttention(), other) as session, pytest.raises(ConflictError, match="another model"):
        session.load(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"\x80\x04pickle or whatever")
    with reading(FullAttention()) as session, pytest.raises(StoreError, match="cannot be read"):
        session.load(tmp_path / "b")


def test_misuse_is_told() -> None:
    model = make("llama")
    with attach(model, FullAttention()) as session:
        with pytest.raises(ConflictError, match="already"):
            next(iter_attach(model))
        with pytest.raises(ConflictError, match="use its session"):
            model(torch.tensor([[1, 2]]))
        with pytest.raises(InputError, match="nothing was read"):
            session.generate(1)
        for bad, told in (([VOCAB], "vocabulary"), ([], "whole numbers"), ([[0.5]], "whole numbers")):
            with pytest.raises(InputError, match=told):
                session.prefill(bad)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="left"):
            session.prefill(torch.tensor([[1, 2]]), torch.tensor([[1, 0]]))
        session.prefill([1, 2, 3])
        with pytest.raises(InputError, match="take 4 tokens back"):
            session.crop(4)
        with pytest.raises(InputError, match="1 rows"):
            session.forward([[1], [2]])
    with pytest.raises(ConflictError, match="closed"):
        session.forward([[1]])
    with pytest.raises(InputError, match="backend"):
        next(iter_backend(model))


def iter_backend(model: Any) -> Iterator[Session]:
    with attach(model, FullAttention(), backend="magic") as session:
        yield session


def test_an_error_inside_the_context_leaves_the_model_as_it_was() -> None:
    model = make("llama")
    with pytest.raises(RuntimeError), attach(model, FullAttention()):
        raise RuntimeError
    assert model.config._attn_implementation == "sdpa"
