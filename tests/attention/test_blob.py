"""Blobs: a text read once is known anywhere; and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from models import make, plain, text, tiny

from mnemic.attention import tree
from mnemic.attention.blob import KVBlob, inject
from mnemic.attention.policies.hierarchical_topk import HierarchicalTopK
from mnemic.attention.policies.lambda_window import LambdaWindow
from mnemic.attention.policy import FullAttention
from mnemic.attention.session import attach
from mnemic.errors import ConflictError, InputError, StoreError

A, B, QUESTION = text(40, seed=1), text(30, seed=2), text(9, seed=3)


def answered(blobs: list[KVBlob], recompute: float) -> torch.Tensor:
    with attach(tiny(), FullAttention()) as session:
        inject(session, blobs, recompute=recompute)
        return session.prefill(QUESTION)[0]


def test_one_blob_is_the_text_itself(tmp_path: Path) -> None:
    KVBlob.read(tiny(), A).save(tmp_path / "a.cube")
    blob = KVBlob.load(tmp_path / "a.cube")
    assert blob.ids == tuple(A)
    assert torch.allclose(answered([blob], 0.0), plain(tiny(), A + QUESTION)[-1], atol=1e-4)


@pytest.mark.parametrize("order", [(A, B), (B, A)])
def test_blobs_read_again_are_a_whole_prefill_in_any_order(order: tuple[list[int], list[int]]) -> None:
    blobs = [KVBlob.read(tiny(), ids) for ids in order]
    wanted = plain(tiny(), [*order[0], *order[1], *QUESTION])[-1]
    assert torch.allclose(answered(blobs, 1.0), wanted, atol=1e-4)


def test_the_more_is_read_again_the_nearer_to_a_whole_prefill() -> None:
    blobs = [KVBlob.read(tiny(), ids) for ids in (A, B)]
    wanted = plain(tiny(), A + B + QUESTION)[-1]
    errors = [float((answered(blobs, share) - wanted).norm()) for share in (0.0, 0.5, 1.0)]
    assert errors[0] > errors[2]
    assert errors[1] > errors[2]
    assert errors[2] < 1e-3


def test_blobs_stand_after_each_other_and_not_on_each_other() -> None:
    """With overlapping positions the order of two blobs would hardly matter."""
    blobs = [KVBlob.read(tiny(), ids) for ids in (A, B)]
    with attach(tiny(), FullAttention()) as session:
        inject(session, blobs, recompute=0.0)
        assert session.rows[0].layers[0].tape().pos.tolist() == list(range(70))
    assert float((answered(blobs, 0.0) - answered(blobs[::-1], 0.0)).abs().max()) > 0.01


def test_using_a_blob_does_not_change_it() -> None:
    blob = KVBlob.read(tiny(), A)
    before = [tensor.clone() for tensor in (*blob.k, *blob.v)]
    for _ in range(2):
        with attach(tiny(), FullAttention()) as session:
            inject(session, [blob, blob])
            session.prefill(QUESTION)
            session.generate(5, stop=[])
    assert len(blob) == 40
    assert all(torch.equal(a, b) for a, b in zip(before, (*blob.k, *blob.v), strict=True))


def test_a_blob_may_follow_what_was_read() -> None:
    with attach(tiny(), HierarchicalTopK(keys=128, window=16, dense=1)) as session:
        session.prefill(A)
        inject(session, [KVBlob.read(make("llama"), B)], recompute=1.0)
        assert torch.allclose(session.prefill(QUESTION)[0], plain(make("llama"), A + B + QUESTION)[-1], atol=1e-4)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    blob = KVBlob.read(make("llama"), A)
    other = make("llama")
    with torch.no_grad():
        other.model.layers[0].self_attn.v_proj.weight.mul_(1.01)
    with attach(other, FullAttention()) as session, pytest.raises(ConflictError, match="another model"):
        inject(session, [blob])
    half = make("llama").to(torch.bfloat16)
    with attach(half, FullAttention()) as session, pytest.raises(ConflictError, match="another model"):
        inject(session, [blob])
    with attach(tiny(), LambdaWindow(24, 4)) as session, pytest.raises(ConflictError, match="decides itself"):
        inject(session, [blob])
    with attach(tiny(), FullAttention()) as session, pytest.raises(InputError, match="share"):
        inject(session, [blob], recompute=2)
    (tmp_path / "x").write_bytes(b"no blob")
    with pytest.raises(StoreError, match="cannot be read"):
        KVBlob.load(tmp_path / "x")
    tree.save({"something": "else"}, tmp_path / "y")
    with pytest.raises(InputError, match="no blob"):
        KVBlob.load(tmp_path / "y")


def test_another_tokenizer_or_template_is_refused() -> None:
    class Words:
        chat_template = "a"

        def get_vocab(self) -> dict[str, int]:
            return {"x": 1}

    first, second = Words(), Words()
    second.chat_template = "b"
    blob = KVBlob.read(tiny(), A, first)
    with attach(tiny(), FullAttention()) as session:
        inject(session, [blob], tokenizer=first)
        with pytest.raises(ConflictError, match="another template"):
            inject(session, [blob], tokenizer=second)
