"""A network that learns while it reads: Titans, ATLAS, test-time training, linear memories as settings of one layer.

Every head of every sequence has a small network of its own, whose weights are the state. A token's key and value are
a pair to be learned by a step of gradient descent, its query is answered by the network (``rule.py``, ``fast.py``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnemic.errors import InputError
from mnemic.neural.delta import delta_block
from mnemic.neural.fast import FastNet, GatedMLPFast, LinearFast, MLPFast, Product, product_with
from mnemic.neural.features import Identity, Poly2
from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.layers.parts import Linear, Norm, head_width, join_heads, pieces, split_heads
from mnemic.neural.precision import exactly, wide
from mnemic.neural.rule import InnerRule, Memory
from mnemic.neural.scan import Gates
from mnemic.neural.state import MemState

NETS = ("linear", "mlp", "gated")
FEATURES: dict[str, type[Identity] | type[Poly2]] = {"identity": Identity, "poly2": Poly2}
READS = ("intra", "chunk_start")


class NeuralMemory(MemoryLayer):
    """Fast network x inner rule x feature map. The defaults are the memory of Titans (arXiv 2501.00663, section 3).

    ``net`` linear, mlp (``depth`` matrices, ``hidden`` wide, 2 ``d_head`` by default) or gated; ``residual`` adds its
    input to its output. ``features`` identity or poly2. ``loss``, ``momentum``, ``forget``, ``window``,
    ``newton_schulz``, ``cadence`` (tokens; a divisor of ``chunk``, the chunk by default), ``rate``, ``max_rate`` and
    ``limit`` are :class:`InnerRule`'s. ``learned_start`` false begins at zero (a matrix can).

    ``chunk`` tokens take their gradients at the weights of its start. It is a matter of speed alone, and states are
    bound to none, where gradients do not depend on the weights (a matrix with the loss ``dot``) and with ``exact``: the
    delta rule itself, for a matrix with ``l2`` and no momentum (see ``delta.py``). ``read`` intra answers token t from
    the weights after token t, chunk_start from those at the start of its chunk. With ``newton_schulz`` the weights
    change at the ends of blocks of ``cadence`` tokens, and intra answers from those at the start of a block.

    q, k and v pass a causal convolution over ``conv`` tokens for each channel and a SiLU (0: neither), q and k are then
    made unit vectors. Answers are normed, gated by the token and projected.

    State: ``w0``, ``w1``, ... [B, H, in, out], momenta ``s0``, ..., anchors ``a0``, ... of the same shapes, ``tail``
    [B, conv - 1, channels], ``k``, ``v``, ``gamma`` of the last ``window - 1`` tokens, ``open`` [B, H, 2].
    """

    kind: ClassVar[str] = "neural"

    def __init__(
        self,
        d_model: int,
        *,
        heads: int = 4,
        d_head: int | None = None,
        net: str = "mlp",
        depth: int = 2,
        hidden: int | None = None,
        residual: bool = False,
        features: str = "identity",
        loss: str = "l2",
        momentum: bool = True,
        forget: bool = True,
        window: int = 1,
        newton_schulz: int = 0,
        cadence: int | None = None,
        rate: float | None = None,
        max_rate: float = 0.5,
        limit: float | None = 1.0,
        learned_start: bool = True,
        exact: bool = False,
        chunk: int = 64,
        read: str = "intra",
        conv: int = 4,
    ) -> None:
        super().__init__()
        width = d_head or head_width(d_model, heads)
        if net not in NETS or features not in FEATURES or read not in READS:
            raise InputError(f"net is one of {NETS}, features of {tuple(FEATURES)}, read of {READS}")
        self.cadence = (cadence or chunk) if newton_schulz else chunk
        if chunk < 1 or chunk % self.cadence or conv < 0:
            raise InputError("chunk is at least 1 and a multiple of cadence, conv at least 0")
        if exact and (net != "linear" or loss != "l2" or residual or momentum or newton_schulz or window > 1):
            raise InputError("exact is for the delta rule: net='linear', loss='l2', no momentum, windows or residual")
        self.d_model, self.heads, self.width, self.conv = d_model, heads, width, conv
        self.chunk, self.exact, self.reads = chunk, exact, read
        said = {
            net: True, loss: True, features: features != "identity", "residual": residual, "momentum": momentum,
            "forget": forget, f"windows of {window}": window > 1, "orthogonal": newton_schulz > 0, "exact": exact,
        }  # fmt: skip
        self.variant = ", ".join(word for word, true in said.items() if true)
        self.constant = net == "linear" and loss == "dot" and not newton_schulz  # gradients know nothing of weights
        self.exact_chunking = exact or (self.constant and read == "intra")
        self.features: Identity | Poly2 = FEATURES[features](width)
        self.net = _net(net, heads, self.features.width, width, hidden or 2 * width, depth, residual, learned_start)
        self.rule = InnerRule(
            d_model,
            heads,
            loss=loss,
            momentum=momentum,
            forget=forget,
            window=window,
            newton_schulz=newton_schulz,
            rate=rate,
            max_rate=max_rate,
            limit=limit,
        )
        self.to_qkv = Linear(d_model, 3 * heads * width, bias=False)
        self.taps = nn.Parameter(_taps(conv, 3 * heads * width)) if conv else None
        self.norm = Norm(width)
        self.to_gate = Linear(d_model, heads * width)
        self.to_out = Linear(heads * width, d_model, bias=False)

    @property
    def anchored(self) -> bool:
        """Whether the state keeps the weights at the start of the open chunk beside those of the moment."""
        return not self.exact_chunking and self.chunk > 1

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        like = wide(like)
        weights = self.net.start(batch, like.device, like.dtype)
        memory = Memory(
            weights,
            [torch.zeros_like(each) for each in weights] if self.rule.mom is not None else [],
            weights if self.anchored else [],
        )
        if past := self.rule.window - 1:
            shapes = (past, self.features.width), (past, self.width), (past,)
            k, v, gamma = (like.new_zeros(batch, self.heads, *shape) for shape in shapes)
            memory = replace(memory, past=(k, v, gamma))
        if self.rule.newton_schulz:
            memory = replace(memory, open=like.new_zeros(batch, self.heads, 2))
        tensors = _pack(memory)
        if self.conv > 1:
            tensors["tail"] = like.new_zeros(batch, self.conv - 1, 3 * self.heads * self.width)
        return tensors

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        if not write:
            y = self.recall(x, state) if read else torch.zeros_like(x)
            return y, state, Aux(written=torch.zeros_like(there))
        with exactly(x):
            q, k, v, tail = self._project(torch.where(there[..., None], x, 0), state)
            gates = self.rule.gates(wide(x), there)
            memory, answers, surprises = _unpack(state), [], []
            for piece, ends in pieces(state.seen, x.shape[1], self.cadence):
                chosen = q[:, :, piece], k[:, :, piece], v[:, :, piece], gates.part(piece)
                answer, memory, surprise = self._piece(memory, *chosen, read=read)
                answers += [] if answer is None else [answer]
                surprises.append(surprise)
                if ends:
                    memory = self.rule.close(memory)
                    if not self.exact_chunking and (state.seen + piece.stop) % self.chunk == 0:
                        memory = replace(memory, weights=self.rule.limited(memory.weights))
                        memory = replace(memory, anchor=memory.weights if self.anchored else [])
        y = self._answer(x, torch.cat(answers, 2)) if read else torch.zeros_like(x)
        after = state.after(x.shape[1], **_pack(memory), **tail)
        told = {"rate": gates.rate, "momentum": gates.log_mom, "keep": gates.log_keep, "gamma": gates.gamma}
        logs = ("momentum", "keep")
        shown = {n: (g.exp() if n in logs else g).transpose(1, 2) for n, g in told.items() if g is not None}
        told_surprise = None if self.constant else torch.cat(surprises, 1)
        return y, after, Aux(surprise=told_surprise, written=there, gates=shown)

    def recall(self, x: Tensor, state: MemState, *, at_chunk_start: bool = False) -> Tensor:
        """What ``x`` [B, T, d] finds in the weights with all that was written, or in those at the start of the open
        chunk."""
        memory = _unpack(state)
        with exactly(x):
            q, _, _, _ = self._project(x, state)
            weights = (memory.anchor or memory.weights) if at_chunk_start else self.rule.written(memory)
            return self._answer(x, self.net.run(product_with(weights), q))

    def _piece(
        self, memory: Memory, q: Tensor, k: Tensor, v: Tensor, gates: Gates, *, read: bool
    ) -> tuple[Tensor | None, Memory, Tensor]:
        """Answers [B, H, n, out], if ``read``, the memory after, and the surprise [B, n] of n tokens of one chunk and
        cadence."""
        if self.exact:
            y, last, errors = delta_block(memory.weights[0], q, k, v, gates)
            return y if read else None, replace(memory, weights=[last]), 0.5 * errors.square().sum(-1).mean(1)
        stretch, after, surprise = self.rule.write(self.net, memory, k, v, gates)
        if not read:
            return None, after, surprise
        product: Product
        if self.reads == "chunk_start":
            product = product_with(memory.anchor or memory.weights)
        elif self.rule.newton_schulz:
            product = product_with(memory.weights)
        else:
            product = stretch.product
        return self.net.run(product, q), after, surprise

    def _project(self, x: Tensor, state: MemState) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Queries and keys [B, H, T, in], values [B, H, T, out], and the convolution's next inputs from before."""
        flat, tail = wide(self.to_qkv(x)), {}
        if self.taps is not None:
            if self.conv > 1:
                flat = torch.cat((state["tail"], flat), 1)
                tail["tail"] = flat[:, flat.shape[1] - self.conv + 1 :]
            taps, length = self.taps.to(flat.dtype), x.shape[1]
            flat = functional.silu(sum(flat[:, i : i + length] * tap for i, tap in enumerate(taps)))
        q, k, v = (split_heads(part, self.heads) for part in flat.chunk(3, -1))
        q, k = (self.features(functional.normalize(each, dim=-1, eps=1e-6)) for each in (q, k))
        return q, k, v, tail

    def _answer(self, x: Tensor, y: Tensor) -> Tensor:
        """Answers [B, H, T, out] -> [B, T, d]."""
        gate = self.to_gate(x).sigmoid()
        out: Tensor = self.to_out(join_heads(self.norm(y)).to(x.dtype) * gate)
        return out


def _net(
    net: str, heads: int, width_in: int, width_out: int, hidden: int, depth: int, residual: bool, learned: bool
) -> FastNet:
    if net == "linear":
        return LinearFast(heads, width_in, width_out, residual=residual, learned=learned)
    if net == "gated":
        return GatedMLPFast(heads, width_in, hidden, width_out, residual=residual, learned=learned)
    return MLPFast(heads, width_in, hidden, width_out, depth=depth, residual=residual, learned=learned)


def _taps(conv: int, channels: int) -> Tensor:
    """Weights [conv, channels] of a convolution that begins near passing the token itself."""
    taps = torch.randn(conv, channels) * 0.1
    taps[-1] += 1
    return taps


_LISTS = {"w": "weights", "s": "momentum", "a": "anchor"}


def _pack(memory: Memory) -> dict[str, Tensor]:
    tensors = {
        f"{letter}{index}": each for letter, name in _LISTS.items() for index, each in enumerate(getattr(memory, name))
    }
    if memory.past is not None:
        tensors |= dict(zip(("k", "v", "gamma"), memory.past, strict=True))
    if memory.open is not None:
        tensors["open"] = memory.open
    return tensors


def _unpack(state: MemState) -> Memory:
    held = state.tensors
    weights, momentum, anchor = (
        [held[f"{letter}{i}"] for i in range(len(held)) if f"{letter}{i}" in held] for letter in _LISTS
    )
    past = (held["k"], held["v"], held["gamma"]) if "gamma" in held else None
    return Memory(weights, momentum, anchor, past=past, open=held.get("open"))
