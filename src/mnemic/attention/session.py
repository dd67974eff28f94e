"""Attaching a policy to a model: prefill in chunks, generate, fork, crop, save.

The model is asked for attention under the name ``mnemic``, which is registered with transformers once; nothing of it is
replaced, and leaving the context restores the attention it had. Two things make this robust against changes in
transformers. Tokens are given the position zero, at which rotary attention turns nothing, so that queries and keys
arrive un-rotated and exact. And the library's caches are not used: the attention function finds the session among
the arguments that models pass on to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

from mnemic.attention import tree
from mnemic.attention.anatomy import Anatomy, anatomy, fingerprint
from mnemic.attention.cache import Row
from mnemic.attention.compose import Modifier, composed
from mnemic.attention.policy import Hook, Policy
from mnemic.attention.sample import Sampling
from mnemic.attention.segment import BACKENDS, attend
from mnemic.errors import ConflictError, InputError

NAME = "mnemic"
CHECKPOINTS = 8
"""How many of the last forwards can be undone without reading the whole text again."""
_FORMAT = 2


@dataclass
class Forward:
    """One call of the model: which rows are in it, and how many tokens each brings (its last ones in the batch)."""

    rows: Sequence[Row]
    counts: Sequence[int]
    policy: Policy
    backend: str


def _attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, dropout: float = 0.0, memory: Forward | None = None, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention [B, L, H, D] of ``query`` [B, H, L, D]: row by row, each over its own segments."""
    if memory is None:
        raise ConflictError("a policy is attached to this model: use its session, or leave the context first")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    policy, index = memory.policy, int(module.layer_idx)  # type: ignore[arg-type]
    out = torch.zeros_like(query)
    for b, (row, count) in enumerate(zip(memory.rows, memory.counts, strict=True)):
        if not count:
            continue
        q, k, v = query[b, :, -count:], key[b, :, -count:], value[b, :, -count:]
        layer = row.layers[index]
        pos = torch.arange(row.seen, row.seen + count, device=q.device)
        segments = policy.segments(layer, row, q, k, v, pos)
        out[b, :, -count:], mass = attend(
            q, segments, row.anatomy.rope, scale, backend=memory.backend, mass="mass" in policy.needs
        )
        out[b, :, -count:] = policy.mix(layer, row, out[b, :, -count:], q, pos)
        policy.after_attention(layer, row, segments, mass, q, pos)
    return out.transpose(1, 2).contiguous(), None


def _mask(*_: Any, **__: Any) -> None:
    """No mask is made: what a query sees is the policy's business."""


def _register() -> None:
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, _mask)


@contextmanager
def attach(model: Any, policy: Policy | Modifier, *, backend: str = "reference") -> Iterator[Session]:
    """A session in which ``model`` reads through ``policy``. The model is as it was when the context is left.

    ``backend`` is how segments are attended: ``reference``, ``merged`` (less memory for many keys), or the fused
    kernels of :mod:`mnemic.attention.fused`, ``sdpa`` and, on CUDA, ``flex``; a policy that needs the attention that
    keys receive is computed by the reference. Raises :class:`InputError` for a model that does not fit and
    :class:`ConflictError` if something is attached to it.
    """
    if backend not in BACKENDS:
        raise InputError(f"there is no backend {backend!r}: use one of {', '.join(BACKENDS)}")
    found = anatomy(model)
    policy = composed(policy)
    policy.check(found)
    before = model.config._attn_implementation
    if before == NAME:
        raise ConflictError("a policy is attached to this model already: leave its context first")
    _register()
    training = model.training
    with ExitStack() as stack:
        model.set_attn_implementation(NAME)
        stack.callback(model.set_attn_implementation, before)
        model.eval()
        stack.callback(model.train, training)
        session = Session(model, found, policy, backend)
        for index, hook in policy.hooks(found).items():
            stack.callback(_hooked(found.blocks[index], hook).remove)
        stack.callback(session.close)
        yield session


def _hooked(layer: torch.nn.Module, change: Hook) -> Any:
    """Have ``change`` applied to what enters ``layer``, row by row."""

    def changed(hidden: Tensor, memory: Forward | None) -> Tensor:
        if memory is None:
            return hidden
        hidden = hidden.clone()
        for b, (row, count) in enumerate(zip(memory.rows, memory.counts, strict=True)):
            if count:
                hidden[b, -count:] = change(hidden[b, -count:], row)
        return hidden

    def enter(
        _: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        memory = kwargs.get("memory")
        if args:
            return (changed(args[0], memory), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": changed(kwargs["hidden_states"], memory)}

    return layer.register_forward_pre_hook(enter, with_kwargs=True)


class Session:
    """What the model has read under a policy: one :class:`Row` for each text of the batch. Made by :func:`attach`.

    ``learning`` keeps what gradients need (:mod:`mnemic.attention.beacon_training`).
    """

    def __init__(self, model: Any, found: Anatomy, policy: Policy, backend: str) -> None:
        self.model, self.anatomy, self.policy, self.backend = model, found, policy, backend
        self.rows: list[Row] = []
        self._past: list[list[Row]] = []
        self.learning = False
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the keys and values."""
        self.rows, self._past, self._open = [], [], False

    # -- reading ---------------------------------------------------------------------------------------------

    def prefill(
        self,
        ids: Tensor | Sequence[int],
        mask: Tensor | None = None,
        *,
        chunk: int = 512,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Read a text, ``chunk`` tokens at a time; the logits [B, V] after its last token.

        ``ids`` [B, L] (or [L]) may be padded on the left where ``mask`` [B, L] is 0. Called again, it goes on where the
        text stopped. ``progress`` is told how many tokens of how many are read.
        """
        texts = self._texts(ids, mask)
        if chunk < 1:
            raise InputError(f"a chunk has at least 1 token, not {chunk}")
        longest = max(map(len, texts))
        self._check()
        self.rows = self.rows or [Row.new(self.anatomy) for _ in texts]
        chunk = min(chunk, self.policy.chunk_limit() or chunk)
        for row in self.rows:
            self.policy.begin_prefill(row)
        for start in range(0, longest, chunk):
            # Rows end together, so that the last chunk brings the last token of each.
            stop = min(start + chunk, longest)
            self.forward([t[max(0, len(t) - longest + start) : max(0, len(t) - longest + stop)] for t in texts])
            if progress:
                progress(stop, longest)
        self._end_prefill()
        return self.logits

    def _end_prefill(self) -> None:
        for row in self.rows:
            self.policy.end_prefill(row)
            row.extra["prompt"] = row.seen

    @property
    def logits(self) -> Tensor:
        """The logits [B, V] after the last token of each row."""
        found = [row.last for row in self.rows]
        if not found or any(last is None for last in found):
            raise InputError("nothing was read yet: call prefill first")
        return torch.stack([last for last in found if last is not None])

    def forward(self, texts: Sequence[Sequence[int]], *, every: bool = False) -> list[Tensor]:
        """Read the next tokens of each row (some may bring none). With ``every`` the logits [L, V] of all of them,
        else those of the last one of each row [1, V]."""
        self._check()
        if not self.rows:
            self.rows = [Row.new(self.anatomy) for _ in texts]
        if len(texts) != len(self.rows):
            raise InputError(f"the session has {len(self.rows)} rows, not {len(texts)}")
        counts = [len(text) for text in texts]
        width = max(counts)
        if width > (self.policy.chunk_limit() or width):
            raise InputError(
                f"the policy {self.policy.name!r} reads {self.policy.chunk_limit()} tokens at a time, not {width}: use "
                "prefill, which cuts the text"
            )
        if not width:
            return [self._none() for _ in texts]
        self._remember()
        left: list[list[int]] = [list(text) for text in texts]
        parts: list[list[Tensor]] = [[] for _ in texts]
        while any(left):
            pieces = [text[: self.policy.room(row)] for text, row in zip(left, self.rows, strict=True)]
            left = [text[len(piece) :] for text, piece in zip(left, pieces, strict=True)]
            for found, logits in zip(parts, self._step(pieces, every), strict=True):
                found += [logits] if len(logits) else []
            self._inserted()
        return [torch.cat(found if every else found[-1:]) if found else self._none() for found in parts]

    def _step(self, texts: Sequence[Sequence[int]], every: bool) -> list[Tensor]:
        """One call of the model: the next tokens of each row, as many as its policy has room for."""
        device = self.model.device
        counts = [len(text) for text in texts]
        padded = torch.tensor([[0] * (max(counts) - len(t)) + list(t) for t in texts], device=device)
        for row, count in zip(self.rows, counts, strict=True):
            if count:
                self.policy.before_forward(row, count)
        whole = every or "logits" in self.policy.needs
        with torch.inference_mode(not self.learning):
            found = self.model(
                input_ids=padded,
                position_ids=torch.zeros_like(padded),
                use_cache=False,
                logits_to_keep=0 if whole else 1,
                memory=Forward(self.rows, counts, self.policy, self.backend),
            ).logits
        out = []
        for b, (row, text) in enumerate(zip(self.rows, texts, strict=True)):
            if not text:
                out.append(self._none())
                continue
            logits = found[b, -len(text) if whole else -1 :].to(torch.float32)
            row.ids = [*row.ids, *text]
            self.policy.after_forward(row, torch.tensor(list(text), device=device), logits)
            row.last = logits[-1]
            out.append(logits if every else logits[-1:])
        return out

    def _inserted(self) -> None:
        """Read the tokens that the policy itself puts after those of a row."""
        given = [(row, own) for row in self.rows if (own := self.policy.own(row)) is not None]
        if not given:
            return
        embedded = torch.stack([own for _, own in given])
        counts = [len(own) for _, own in given]
        with torch.inference_mode(not self.learning), self.policy.reading(self.anatomy):
            self.model.get_decoder()(
                inputs_embeds=embedded,
                position_ids=torch.zeros(embedded.shape[:2], dtype=torch.long, device=embedded.device),
                use_cache=False,
                memory=Forward([row for row, _ in given], counts, self.policy, self.backend),
            )

    def _none(self) -> Tensor:
        return torch.zeros(0, self.model.config.vocab_size)

    def generate(
        self,
        max_new_tokens: int = 64,
        *,
        sampling: Sampling | None = None,
        stop: Iterable[int] | None = None,
        stream: Callable[[list[int | None]], None] | None = None,
    ) -> list[list[int]]:
        """Write on: the new tokens of each row, without the one that stopped it. What was written has been read too.

        ``sampling`` is greedy unless said; ``stop`` are the ids that end a row (default: the model's own). ``stream``
        is given the next token of each row as it comes, None for rows that ended.
        """
        ends = set(self._ends() if stop is None else stop)
        choose = sampling or Sampling()
        written: list[list[int]] = [[] for _ in self.rows]
        alive = [True] * len(self.rows)
        last = self.logits
        generator = choose.generator(self.model.device)
        for _ in range(max_new_tokens):
            tokens = choose.next(last, generator)
            alive = [living and token not in ends for living, token in zip(alive, tokens, strict=True)]
            shown = [token if living else None for token, living in zip(tokens, alive, strict=True)]
            for row, token in zip(written, shown, strict=True):
                row += [token] if token is not None else []
            if stream:
                stream(shown)
            if not any(alive):
                break
            self.forward([[token] if token is not None else [] for token in shown])
            last = self.logits
        return written

    def _ends(self) -> list[int]:
        ends = getattr(self.model.generation_config, "eos_token_id", None)
        return [] if ends is None else list(ends) if isinstance(ends, list) else [int(ends)]

    # -- copies ----------------------------------------------------------------------------------------------

    def fork(self) -> Session:
        """Another session that has read the same and goes its own way. Tokens are shared, not copied."""
        self._check()
        other = Session(self.model, self.anatomy, self.policy, self.backend)
        other.rows = [row.fork() for row in self.rows]
        return other

    def crop(self, count: int) -> None:
        """Unread the last ``count`` tokens of every row: as if they had never been fed.

        The last few forwards are undone from checkpoints; further back the text is read again from its beginning.
        """
        self._check()
        if not 0 <= count <= min((row.seen for row in self.rows), default=0):
            raise InputError(f"cannot take {count} tokens back: the shortest row has {min(r.seen for r in self.rows)}")
        if not count:
            return
        wanted = [row.ids[: row.seen - count] for row in self.rows]
        prompts = [min(int(row.extra.get("prompt", len(t))), len(t)) for row, t in zip(self.rows, wanted, strict=True)]
        while self._past and any(len(t) < row.seen for t, row in zip(wanted, self._past[-1], strict=True)):
            self._past.pop()
        self.rows = self._past.pop() if self._past else [Row.new(self.anatomy) for _ in wanted]
        if any(row.seen < end for row, end in zip(self.rows, prompts, strict=True)):
            self._read([text[row.seen : end] for text, row, end in zip(wanted, self.rows, prompts, strict=True)])
            self._end_prefill()
        self._read([text[row.seen :] for text, row in zip(wanted, self.rows, strict=True)])

    def _read(self, texts: Sequence[Sequence[int]], chunk: int = 512) -> None:
        chunk = min(chunk, self.policy.chunk_limit() or chunk)
        for start in range(0, max(map(len, texts)), chunk):
            self.forward([text[start : start + chunk] for text in texts])

    def _remember(self) -> None:
        self._past = [*self._past[-CHECKPOINTS + 1 :], [row.fork() for row in self.rows]]

    def save(self, path: str | Path) -> None:
        """Write what was read to a file that :meth:`load` takes: safetensors, no pickle."""
        self._check()
        told = {
            "format": _FORMAT,
            "model": self.fingerprint,
            "policy": self.policy.name,
            "settings": self.policy.settings(),
            "rows": [row.state() for row in self.rows],
        }
        tree.save(told, Path(path))

    def load(self, path: str | Path) -> None:
        """Take over what :meth:`save` wrote. Raises :class:`ConflictError` for another model, policy or settings."""
        self._check()
        told = tree.load(Path(path), str(self.model.device))
        wanted = {"format": _FORMAT, "model": self.fingerprint, "policy": self.policy.name}
        wanted["settings"] = self.policy.settings()
        for name, value in wanted.items():
            if told.get(name) != value:
                raise ConflictError(
                    f"{path} was saved with another {name} ({told.get(name)}, not {value}): attach what it was saved "
                    "with, or read the text again"
                )
        self.rows = [Row.restored(self.anatomy, state) for state in told["rows"]]
        self._past = []

    @property
    def fingerprint(self) -> str:
        """:func:`mnemic.attention.anatomy.fingerprint` of the model."""
        return fingerprint(self.model)

    # -- what it costs ---------------------------------------------------------------------------------------

    @property
    def resident(self) -> int:
        """The most tokens that any layer of any row holds for attention."""
        return max((layer.resident for row in self.rows for layer in row.layers), default=0)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is held, room to grow included; what forks share is counted in each."""
        return sum(layer.nbytes for row in self.rows for layer in row.layers)

    # -- parts -----------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if not self._open:
            raise ConflictError("this session is closed: attach the policy again")
        if self.model.config._attn_implementation != NAME:
            raise ConflictError("the policy is no longer attached to the model: attach it again")

    def _texts(self, ids: Tensor | Sequence[int], mask: Tensor | None) -> list[list[int]]:
        given = torch.as_tensor(ids)
        given = given[None] if given.dim() == 1 else given
        if given.dim() != 2 or given.is_floating_point() or not given.numel():
            raise InputError("ids are whole numbers [B, L], at least one token")
        if int(given.min()) < 0 or int(given.max()) >= self.model.config.vocab_size:
            raise InputError(f"a token id is outside the vocabulary of {self.model.config.vocab_size}")
        kept = (
            torch.ones_like(given, dtype=torch.bool)
            if mask is None
            else torch.as_tensor(mask).bool().reshape(given.shape)
        )
        if bool((kept[:, :-1] & ~kept[:, 1:]).any()):
            raise InputError("padding must be on the left: set tokenizer.padding_side = 'left'")
        return [[int(id) for id in row[keep]] for row, keep in zip(given.cpu(), kept.cpu(), strict=True)]
