"""Notes of a few tokens of the past in pools of fixed size, read when what is carried along is not enough.

Two architectures are settings of one layer. Neither has public code, and both descriptions leave much open: what is our
own is called so.

* MemMamba (arXiv 2510.03279): beside a selective state space each layer scores its tokens; those above a threshold are
  squeezed into notes in the layer's pool, where the oldest or the least important one makes room. When a score of the
  previous STATE asks for it, a token reads its layer's pool, and every few layers those of the layers below; each of
  the two readings has its own map back into the stream. Ours: the state is scored by what was last read out of it;
  notes are taken in chunks, the best ``top`` of each, weighed by their score so that the scorer learns; a reading is
  weighed by its trigger's score, so that the trigger learns.
* Contextual Memory Reweaving (arXiv 2502.02046) gives no equations; after its description, states of several layers are
  kept when they are relevant, reconstructed by one attention over the pools of ALL layers (with an embedding of the
  layer), and woven into each layer behind a gate that starts at zero.

A memory layer is one layer of a model and these read across layers, so this one holds a small stack of its own: inner
layer l adds carrier(norm(h)) + readings to h, and the output is the sum of what all inner layers added.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mnemic.errors import InputError
from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.layers.attention import WindowAttention
from mnemic.neural.layers.parts import Linear, Norm, inner, nested, pieces, weights_of
from mnemic.neural.layers.ssm import SelectiveSSM
from mnemic.neural.precision import exactly, wide
from mnemic.neural.state import MemState


class StatePoolMemory(MemoryLayer):
    """``layers`` inner layers over a ``carrier`` (``ssm`` or ``window``), each with a pool of ``pool`` notes of
    ``width`` numbers, to which every chunk of ``chunk`` tokens adds its ``top`` best with a score above ``threshold``.

    ``replace`` says who makes room: ``fifo`` the oldest, ``priority`` the one whose score, which fades by e in ``fade``
    tokens, is least (which also ranks the tokens of a chunk). ``across``: ``lower`` reads the own pool and, in every
    ``every``-th inner layer, those below, both only where the score of the state is above ``trigger``; ``all`` reads
    all pools at once, behind a gate. ``straight_through`` takes a note as it is and lets the scorer's gradient pass as
    if it were weighed; ``detach`` keeps gradients within a chunk.

    State: the carriers' (``0.…``, ``1.…``), ``last`` [B, L, d], and notes, scores and places of the pools
    [B, L, pool, …] and of the open chunk [B, L, top, …]; a score of 0 marks an empty place.
    """

    kind: ClassVar[str] = "pool"
    exact_chunking = False

    def __init__(
        self,
        d_model: int,
        *,
        layers: int = 2,
        carrier: str = "ssm",
        across: str = "lower",
        replace: str = "fifo",
        chunk: int = 64,
        pool: int = 50,
        width: int = 64,
        top: int = 8,
        threshold: float = 0.5,
        trigger: float = 0.5,
        every: int = 1,
        fade: float = 512.0,
        heads: int = 4,
        window: int = 64,
        straight_through: bool = False,
        detach: bool = False,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("carrier", carrier, ("ssm", "window")),
            ("across", across, ("lower", "all")),
            ("replace", replace, ("fifo", "priority")),
        ):
            if value not in known:
                raise InputError(f"{name} is one of {', '.join(known)}, not {value!r}")
        if min(layers, chunk, pool, width, top, every) < 1 or fade <= 0:
            raise InputError("layers, chunk, pool, width, top and every are at least 1, fade is above 0")
        self.d_model, self.chunk, self.layers = d_model, chunk, layers
        self.across, self.replace, self.every, self.fade = across, replace, every, fade
        self.pool, self.width, self.top = pool, width, min(top, chunk)
        self.threshold, self.trigger = threshold, trigger
        self.straight_through, self.detached = straight_through, detach
        self.inner = nn.ModuleList(
            _Inner(
                SelectiveSSM(d_model, heads=heads, chunk=chunk)
                if carrier == "ssm"
                else WindowAttention(d_model, heads=heads, window=window),
                width,
                first=index == 0,
                own=across == "lower",
                lower=across == "lower" and index > 0 and index % every == 0,
                woven=across == "all",
            )
            for index in range(layers)
        )
        self.place = nn.Parameter(torch.randn(layers, width) * 0.02) if across == "all" else None

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        like = wide(like)
        tensors = {"last": like.new_zeros(batch, self.layers, self.d_model)}
        for index, each in enumerate(self._stack()):
            tensors |= nested(str(index), each.carrier.init_state(batch, device=like.device, dtype=like.dtype))
        for prefix, count in (("", self.pool), ("open_", self.top)):
            tensors[f"{prefix}notes"] = like.new_zeros(batch, self.layers, count, self.width)
            tensors[f"{prefix}scores"] = like.new_zeros(batch, self.layers, count)
            tensors[f"{prefix}at"] = torch.full((batch, self.layers, count), -1, device=like.device)
        return tensors

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        now = state
        told: list[tuple[Tensor, Tensor, Tensor]] = []  # outputs, scores, triggers
        with exactly(x):
            for piece, closes in pieces(state.seen, x.shape[1], self.chunk):
                *each, now = self._piece(wide(x[:, piece]), now, there[:, piece], write)
                told.append((each[0], each[1], each[2]))
                now = self._close(now) if closes and write else now
        y, importance, asked = (torch.cat(each, 1) for each in zip(*told, strict=True))
        written = there & (importance > self.threshold).any(-1) & write
        gates = {"importance": importance} | ({"trigger": asked} if asked.shape[-1] else {})
        aux = Aux(written=written, gates=gates)
        return y.to(x.dtype) if read else torch.zeros_like(x), now if write else state, aux

    def _stack(self) -> list[_Inner]:
        return [each for each in self.inner if isinstance(each, _Inner)]

    def _piece(self, x: Tensor, state: MemState, keep: Tensor, write: bool) -> tuple[Tensor, Tensor, Tensor, MemState]:
        """Tokens of one chunk -> what the inner layers add to them, their scores [B, T, L], those of the states before
        them, and the state."""
        there = state["scores"] > 0
        notes = state["notes"] if self.place is None else state["notes"] + self.place.to(x.dtype)[:, None]
        now = torch.arange(state.seen, state.seen + x.shape[1], device=x.device).expand(x.shape[:2])
        added, tensors = torch.zeros_like(x), dict[str, Tensor]()
        fresh: list[tuple[Tensor, Tensor]] = []
        lasts, asks = [], []
        for index, each in enumerate(self._stack()):
            h = x + added
            carried = inner(str(index), each.carrier.kind, state, each.carrier.state_chunk)
            z, carried, _ = each.carrier(each.norm(h).to(each.note.weight.dtype), carried, mask=keep, write=write)
            z = z.to(x.dtype) * keep[..., None]
            tensors |= nested(str(index), carried)
            before = torch.cat((state["last"][:, index, None], z[:, :-1]), 1)
            lasts.append(z[:, -1])
            added = added + z
            if each.ask is not None and each.own is not None:
                asked = torch.sigmoid(each.ask(before))
                asks.append(asked)
                weight = torch.where(asked > self.trigger, asked, torch.zeros_like(asked))
                added = added + weight * each.own(h, notes[:, index], there[:, index])
                if each.lower is not None:
                    below = notes[:, :index].flatten(1, 2), there[:, :index].flatten(1)
                    added = added + weight * each.lower(h, *below)
            if each.woven is not None and each.gate is not None:
                added = added + each.gate.to(x.dtype) * each.woven(h, notes.flatten(1, 2), there.flatten(1))
            score = torch.sigmoid(each.score(h))
            weighed = 1 + score - score.detach() if self.straight_through else score
            fresh.append((each.note(h) * weighed, score[..., 0]))
        scores = torch.stack([score for _, score in fresh], -1)
        if write:
            worth = scores.detach() * ((scores > self.threshold) & keep[..., None])
            merged = self._best(
                [state["open_notes"], torch.stack([note for note, _ in fresh], 1)],
                [state["open_scores"], worth.transpose(1, 2)],
                [state["open_at"], now[:, None].expand(-1, self.layers, -1)],
                self.top,
                fifo=False,
            )
            names = ("open_notes", "open_scores", "open_at")
            tensors |= dict(zip(names, merged, strict=True)) | {"last": torch.stack(lasts, 1)}
            state = state.after(x.shape[1], **tensors)
        return added, scores, torch.cat(asks, -1) if asks else scores[..., :0], state

    def _close(self, state: MemState) -> MemState:
        """The chunk's best notes enter the pools."""
        notes = state["open_notes"].detach() if self.detached else state["open_notes"]
        names = ("notes", "scores", "at")
        kept = self._best(
            [state["notes"], notes],
            [state["scores"], state["open_scores"]],
            [state["at"], state["open_at"]],
            self.pool,
            fifo=self.replace == "fifo",
        )
        blank = (torch.zeros_like(notes), torch.zeros_like(state["open_scores"]), torch.full_like(state["open_at"], -1))
        opened = {f"open_{name}": each for name, each in zip(names, blank, strict=True)}
        return state.after(0, **dict(zip(names, kept, strict=True)), **opened)

    def _best(
        self, notes: list[Tensor], scores: list[Tensor], at: list[Tensor], count: int, *, fifo: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The ``count`` last or worthiest of some notes [B, L, n, width] with their scores and places [B, L, n]."""
        note, score, place = torch.cat(notes, 2), torch.cat(scores, 2), torch.cat(at, 2)
        # score exp(-(now - place) / fade) ranks as this does, whatever now is
        key = place.to(torch.float64) if fifo else score.to(torch.float64).log() + place / self.fade
        key = key.masked_fill(score == 0, -torch.inf)
        best = key.topk(count, -1).indices
        score = score.gather(2, best)
        note = note.gather(2, best[..., None].expand(-1, -1, -1, self.width)) * (score > 0)[..., None]
        return note, score, place.gather(2, best).masked_fill(score == 0, -1)


class _Inner(nn.Module):
    def __init__(self, carrier: MemoryLayer, width: int, *, first: bool, own: bool, lower: bool, woven: bool) -> None:
        super().__init__()
        d = carrier.d_model
        self.carrier = carrier
        self.norm = nn.Identity() if first else Norm(d)  # the model around has normalised what comes first
        self.note = Linear(d, width, bias=False)
        last = Linear(max(1, d // 4), 1)
        nn.init.ones_(last.bias)  # at first most tokens are worth a note
        self.score = nn.Sequential(Linear(d, last.in_features), nn.ReLU(), last)
        self.ask = Linear(d, 1) if own else None
        self.own = _Reader(d, width) if own else None
        self.lower = _Reader(d, width) if lower else None
        self.woven = _Reader(d, width) if woven else None
        self.gate = nn.Parameter(torch.zeros(())) if woven else None


class _Reader(nn.Module):
    """Attention of tokens over notes, and its map back into the stream."""

    def __init__(self, d_model: int, width: int) -> None:
        super().__init__()
        self.q = Linear(d_model, width, bias=False)
        self.k = Linear(width, width, bias=False)
        self.v = Linear(width, width, bias=False)
        self.fuse = Linear(width, d_model, bias=False)

    def forward(self, h: Tensor, notes: Tensor, there: Tensor) -> Tensor:
        """``h`` [B, T, d] over ``notes`` [B, n, width] that are ``there`` [B, n]; zeros where none is."""
        scores = self.q(h) @ self.k(notes).transpose(1, 2) * notes.shape[-1] ** -0.5
        found: Tensor = self.fuse(weights_of(scores, there[:, None]) @ self.v(notes))
        return found
