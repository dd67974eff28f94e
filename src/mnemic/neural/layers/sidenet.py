"""LongMem's side network (Wang et al., NeurIPS 2023, arXiv 2306.07174): what learns to use a bank, beside a model that
stays as it is.

It has half as many layers as the backbone (``reduction`` 2) and is fed by what the backbone's layers add:

    s_0 = h_0        s_l = f_l(s_{l-1}) + h_{2l} - h_{2l-2}

with h_0 the embeddings and h_i what backbone layer i puts out. In one layer, ``fused``, attention is joint: to the
window, and to a bank of what ONE backbone layer, ``source``, made of the past (see
:class:`~mnemic.neural.layers.bank.KVBankMemory`). As the backbone is frozen, what is in the bank never goes stale.
Ours: keys and values of the bank are the backbone's hidden states of that layer themselves, at unit root mean square
and split into heads, or what ``keys`` and ``values`` (frozen maps, such as that layer's own projections) make of them;
the layers start from random weights that add nothing, so that the first output is the backbone's, and not from its
weights.

The output goes through the backbone's own head. Only the side network has gradients. :func:`beside`,
:func:`backbone_states` and :func:`backbone_logits` are for models of Hugging Face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mnemic.errors import InputError
from mnemic.neural.layer import seen_mask
from mnemic.neural.layers.attention import WindowAttention
from mnemic.neural.layers.bank import KVBankMemory
from mnemic.neural.layers.parts import FeedForward, Norm, inner, nested, split_heads
from mnemic.neural.precision import wide
from mnemic.neural.state import MemState

Map = Callable[[Tensor], Tensor]


class SideNet(nn.Module):
    """For a backbone of ``layers`` layers over ``d_model`` features. ``fused`` counts side layers from 0, ``source``
    backbone layers from 1 (0: embeddings); by default three quarters up, the paper's place. ``window``, ``chunk``,
    ``top`` and ``capacity`` as in the bank."""

    kind: ClassVar[str] = "sidenet"

    def __init__(
        self,
        d_model: int,
        layers: int,
        *,
        heads: int = 4,
        reduction: int = 2,
        fused: int | None = None,
        source: int | None = None,
        window: int = 64,
        chunk: int = 4,
        top: int = 16,
        capacity: int = 65_536,
        keys: Map | None = None,
        values: Map | None = None,
    ) -> None:
        super().__init__()
        if layers < 1 or reduction < 1 or layers % reduction:
            raise InputError(f"{layers} layers cannot be reduced by {reduction}: use a divisor")
        count = layers // reduction
        self.d_model, self.layers, self.reduction, self.heads = d_model, layers, reduction, heads
        self.fused = 3 * count // 4 if fused is None else fused
        self.source = 3 * layers // 4 if source is None else source
        if not 0 <= self.fused < count or not 0 <= self.source <= layers:
            raise InputError(f"fused is below {count}, the number of side layers, and source at most {layers}")
        self._maps = (keys, values)  # in a tuple: what is the backbone's is neither trained nor saved here
        self.bank = KVBankMemory(d_model, heads=heads, window=window, chunk=chunk, top=top, capacity=capacity)
        self.mixers = nn.ModuleList(
            self.bank if n == self.fused else WindowAttention(d_model, heads=heads, window=window) for n in range(count)
        )
        self.norms = nn.ModuleList(Norm(d_model) for _ in range(2 * count))
        self.feeds = nn.ModuleList(FeedForward(d_model) for _ in range(count))
        with torch.no_grad():  # nothing is added at first: the output is the backbone's
            for mixer, feed in zip(self.mixers, self.feeds, strict=True):
                assert isinstance(mixer, WindowAttention | KVBankMemory)
                assert isinstance(feed, FeedForward)
                mixer.to_out.weight.zero_()
                feed.down.weight.zero_()
                feed.down.bias.zero_()

    def init_state(
        self, batch: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> MemState:
        tensors: dict[str, Tensor] = {}
        for n, mixer in enumerate(self.mixers):
            assert isinstance(mixer, WindowAttention | KVBankMemory)
            begun = mixer.init_state(batch, device=device, dtype=dtype)
            tensors |= nested(str(n), begun)
            if n == self.fused:
                tensors |= {f"{n}.bank_k": begun["k"], f"{n}.bank_v": begun["v"]}
        return MemState(self.kind, self.bank.chunk, tensors)

    def forward(
        self, hidden: Sequence[Tensor], state: MemState | None = None, *, mask: Tensor | None = None
    ) -> tuple[Tensor, MemState]:
        """``hidden``: embeddings and the output of each backbone layer, ``layers`` + 1 times [B, T, d] -> the side
        network's output [B, T, d], for the backbone's last norm and head, and the state."""
        if len(hidden) != self.layers + 1:
            raise InputError(f"the side network reads {self.layers + 1} hidden states, not {len(hidden)}")
        frozen = [each.detach() for each in hidden]
        x = frozen[0]
        if state is None:
            state = self.init_state(x.shape[0], device=x.device, dtype=x.dtype)
        state.check(self.kind, self.bank.chunk, x.shape[0])
        there = seen_mask(x, mask)
        tensors: dict[str, Tensor] = {}
        for n, mixer in enumerate(self.mixers):
            asked = self.norms[2 * n](x)
            if n == self.fused:
                held = inner(str(n), self.bank.kind, state, self.bank.chunk)
                y, after = self.bank.mixed(asked, held, there, bank=self._bank_of(frozen[self.source]))
                tensors |= nested(str(n), after)
            else:
                assert isinstance(mixer, WindowAttention)
                y, near, _ = mixer(asked, inner(str(n), mixer.kind, state), mask=there)
                tensors |= nested(str(n), near)
            x = x + y
            x = x + self.feeds[n](self.norms[2 * n + 1](x))
            x = x + frozen[self.reduction * (n + 1)] - frozen[self.reduction * n]
        return x, state.after(there.shape[1], **tensors)

    def _bank_of(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, T, D] of the bank from hidden states [B, T, d] of the source layer."""
        keys, values = self._maps
        plain = wide(hidden)
        plain = plain * (plain.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
        with torch.no_grad():
            k, v = (plain if to is None else wide(to(hidden)) for to in (keys, values))
        return split_heads(k, self.heads), split_heads(v, self.heads)


def beside(model: Any, **settings: Any) -> SideNet:
    """A side network for a causal language model of Hugging Face, with its sizes. The model is frozen from now on: its
    parameters want no gradients."""
    model.requires_grad_(False)
    config = model.config
    heads = {"heads": int(config.num_attention_heads)}
    return SideNet(int(config.hidden_size), int(config.num_hidden_layers), **{**heads, **settings})


@torch.no_grad()
def backbone_states(model: Any, ids: Tensor, mask: Tensor | None = None) -> list[Tensor]:
    """What :class:`SideNet` reads of ``ids`` [B, T]: what enters the first layer and what each layer puts out, before
    the last norm. The model sees ``ids`` alone: what came before is the bank's to tell."""
    layers, _ = _body(model)
    found: list[Tensor] = []

    def entering(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.append(args[0] if args else kwargs["hidden_states"])

    def leaving(_module: nn.Module, _args: tuple[Any, ...], out: Any) -> None:
        found.append(out[0] if isinstance(out, tuple) else out)

    hooks = [layers[0].register_forward_pre_hook(entering, with_kwargs=True)]
    hooks += [layer.register_forward_hook(leaving) for layer in layers]
    try:
        model(input_ids=ids, attention_mask=mask, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def backbone_logits(model: Any, hidden: Tensor) -> Tensor:
    """Logits [B, T, vocab] of ``hidden`` [B, T, d] through the model's last norm and head, which do not change."""
    logits: Tensor = model.get_output_embeddings()(_body(model)[1](hidden))
    return logits


def _body(model: Any) -> tuple[Sequence[nn.Module], nn.Module]:
    """The layers of a model and its last norm."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    for layers, norm in (("layers", "norm"), ("h", "ln_f"), ("layers", "final_layer_norm")):
        if hasattr(decoder, layers) and hasattr(decoder, norm):
            return getattr(decoder, layers), getattr(decoder, norm)
    raise InputError(
        f"no layers and last norm were found in a {type(model).__name__}: give SideNet the hidden states yourself"
    )
