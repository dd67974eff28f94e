"""A text's keys and values as a file: read once, injected wherever the text is needed (MemOS, arXiv 2507.03724).

Keys are stored un-rotated, so that blobs can stand in any order: they are given contiguous positions when they are
injected. What a blob cannot know is what stands before it: its tokens were read without. ``recompute`` reads the first
share of every later blob again, with what is before it in view (as CacheBlend does, arXiv 2405.16444); 1.0 is a whole
prefill. A single blob at the beginning is exact.

Faults of public code that this avoids: pieces that all begin at position zero; stored caches that grow when they are
used; pickle; no check of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnemic.attention import tree
from mnemic.attention.cache import Row
from mnemic.attention.policy import FullAttention
from mnemic.attention.session import Session, attach
from mnemic.errors import ConflictError, InputError

_FORMAT = 1


@dataclass(frozen=True)
class KVBlob:
    """``ids`` [n] of a text with the keys and values of each layer [Hk, n, D], un-rotated.

    ``fingerprint`` is that of the model (its shape, rotation, number type and weights), ``tokenizer`` and ``template``
    those of how the text was made into tokens; empty where the caller did not say.
    """

    ids: tuple[int, ...]
    k: tuple[Tensor, ...]
    v: tuple[Tensor, ...]
    fingerprint: str
    tokenizer: str = ""
    template: str = ""
    made: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        return sum(k.nbytes + v.nbytes for k, v in zip(self.k, self.v, strict=True))

    @classmethod
    def read(cls, model: Any, ids: Sequence[int] | Tensor, tokenizer: Any = None, *, chunk: int = 512) -> KVBlob:
        """The blob of a text: one prefill of ``model`` over ``ids`` [n], nothing before them."""
        with attach(model, FullAttention()) as session:
            session.prefill(ids, chunk=chunk)
            if len(session.rows) != 1:
                raise InputError("a blob is one text: give one row of ids")
            row = session.rows[0]
            tapes = [layer.tape() for layer in row.layers]
            return cls(
                tuple(row.ids),
                tuple(tape.k.clone() for tape in tapes),
                tuple(tape.v.clone() for tape in tapes),
                session.fingerprint,
                *vocabulary(tokenizer),
                datetime.now(UTC).isoformat(timespec="seconds"),
            )

    def save(self, path: str | Path) -> None:
        """Write the blob as safetensors."""
        header = {"fingerprint": self.fingerprint, "tokenizer": self.tokenizer, "template": self.template}
        told = {"blob": _FORMAT, **header, "made": self.made, "ids": list(self.ids)}
        tree.save({**told, "k": list(self.k), "v": list(self.v)}, Path(path))

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> KVBlob:
        """The blob that :meth:`save` wrote. Raises :class:`StoreError` for what is none."""
        told = tree.load(Path(path), device)
        if not isinstance(told, dict) or told.get("blob") != _FORMAT:
            raise InputError(f"{path} holds no blob of this version: make it again")
        names = ("fingerprint", "tokenizer", "template", "made")
        return cls(tuple(told["ids"]), tuple(told["k"]), tuple(told["v"]), *(str(told[name]) for name in names))


def vocabulary(tokenizer: Any) -> tuple[str, str]:
    """Fingerprints of a tokenizer's vocabulary and of its chat template; empty without one."""
    if tokenizer is None:
        return "", ""
    pieces = sorted(tokenizer.get_vocab().items())
    template = str(getattr(tokenizer, "chat_template", None) or "")
    return _hash(repr(pieces)), _hash(template)


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def inject(session: Session, blobs: Sequence[KVBlob], *, recompute: float = 0.15, tokenizer: Any = None) -> None:
    """Have ``session`` know ``blobs``, in this order, after what it has read; they are copied, never changed.

    ``recompute`` is the share of every blob but a first one that is read again with what stands before it. Raises
    :class:`ConflictError` for blobs of another model, tokenizer or template, and for a policy that does not keep all
    tokens where they stand. What is to follow is read with ``prefill``.
    """
    if not 0 <= recompute <= 1:
        raise InputError(f"recompute is a share between 0 and 1, not {recompute}")
    if not session.policy.holds_all:
        raise ConflictError(
            f"the policy {session.policy.name!r} decides itself what it keeps: inject under full attention"
        )
    wanted = (session.fingerprint, *vocabulary(tokenizer))
    for number, blob in enumerate(blobs, 1):
        for what, mine, own in zip(
            ("model", "tokenizer", "template"), wanted, (blob.fingerprint, blob.tokenizer, blob.template), strict=True
        ):
            if own and mine and own != mine:
                raise ConflictError(f"blob {number} was made with another {what}: make it again with this one")
    if not session.rows:
        session.rows = [Row.new(session.anatomy)]
    for blob in blobs:
        again = ceil(recompute * len(blob)) if session.rows[0].seen else 0
        limit = session.policy.chunk_limit() or 512
        for start in range(0, again, limit):
            session.forward([blob.ids[start : min(again, start + limit)]] * len(session.rows))
        with torch.inference_mode():  # as all that a session holds was made
            for row in session.rows:
                _append(row, blob, again, session.model.device)


def _append(row: Row, blob: KVBlob, start: int, device: torch.device) -> None:
    """Put the tokens of ``blob`` from ``start`` on after what ``row`` has."""
    count = len(blob) - start
    pos = torch.arange(row.seen, row.seen + count, device=device)
    for layer, k, v in zip(row.layers, blob.k, blob.v, strict=True):
        layer.tape().append(k[:, start:].to(device), v[:, start:].to(device), pos)
    row.ids = [*row.ids, *blob.ids[start:]]
    row.last = None if count else row.last
