"""The trained part of a beacon memory: a few embeddings, and what is added to a frozen model's projections for them.

Saved as safetensors with the fingerprint of the model that it was trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from mnemic.attention import tree
from mnemic.attention.anatomy import Anatomy, anatomy, fingerprint
from mnemic.errors import InputError

_FORMAT = 1
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "qkv_proj")
"""What the projections of queries, keys and values are called in the families that are known."""


class Delta(nn.Module):
    """What is added to a projection [..., wide] -> [..., out]: nothing as long as it is untrained.

    Without a ``rank`` a whole matrix, which is the same as a copy of the projection that goes its own way (the paper);
    with one a product of two thin ones (LoRA, arXiv 2106.09685), a deviation that is smaller.
    """

    def __init__(self, wide: int, out: int, bias: bool, rank: int | None) -> None:
        super().__init__()
        self.down = nn.Linear(wide, rank, bias=False) if rank else nn.Identity()
        self.up = nn.Linear(rank or wide, out, bias=bias)
        for parameter in self.up.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.up(self.down(x.to(self.up.weight.dtype)))
        return added.to(x.dtype)


class BeaconWeights(nn.Module):
    """``embedding`` [stride / smallest ratio, hidden] of the beacons: a higher ratio reads fewer of them, the first
    ones. ``layers`` hold a :class:`Delta` for each projection. Made by :meth:`untrained` or :meth:`load`; float32.

    ``projections`` says of each its widths and whether it has a bias.
    """

    def __init__(
        self,
        *,
        stride: int,
        ratios: Sequence[int],
        hidden: int,
        layers: int,
        projections: Mapping[str, Sequence[int]],
        rank: int | None,
        fingerprint: str,
    ) -> None:
        super().__init__()
        if not ratios or min(ratios) < 1 or any(stride % ratio for ratio in ratios) or (rank is not None and rank < 1):
            raise InputError(
                f"a rank is at least 1, and the stride must be a multiple of each ratio: {stride}, {ratios}"
            )
        self.stride, self.ratios, self.rank, self.fingerprint = stride, tuple(ratios), rank, fingerprint
        self.projections = {name: list(sizes) for name, sizes in projections.items()}
        self.embedding = nn.Parameter(torch.zeros(stride // min(ratios), hidden))
        self.layers = nn.ModuleList(
            nn.ModuleDict({name: Delta(i, o, bool(bias), rank) for name, (i, o, bias) in self.projections.items()})
            for _ in range(layers)
        )

    @classmethod
    def untrained(
        cls, model: Any, *, stride: int = 2048, ratios: Sequence[int] = (4,), rank: int | None = None, seed: int = 0
    ) -> Self:
        """Where training begins: every beacon reads like the token that ends a text.

        ``ratios`` are those it shall be trained for; each must divide ``stride``.
        """
        found = anatomy(model)
        attention = found.blocks[0].self_attn
        linear = {name: getattr(attention, name) for name in PROJECTIONS if hasattr(attention, name)}
        made = cls(
            stride=stride,
            ratios=ratios,
            hidden=found.hidden,
            layers=found.layers,
            projections={n: (p.in_features, p.out_features, int(p.bias is not None)) for n, p in linear.items()},
            rank=rank,
            fingerprint=fingerprint(model),
        )
        end = model.config.eos_token_id
        end = end[0] if isinstance(end, list) else end
        if end is None:
            raise InputError("the model's configuration names no token that ends a text: set eos_token_id")
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            made.embedding.copy_(model.get_input_embeddings()(torch.tensor(end, device=model.device)).float())
            for name, parameter in made.named_parameters():
                if ".down." in name:
                    nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5, generator=generator)
        return made.to(model.device)

    @contextmanager
    def added(self, found: Anatomy) -> Iterator[None]:
        """Inside, everything that the model projects is projected as for a beacon."""
        with ExitStack() as stack:
            for block, own in zip(found.blocks, self.layers, strict=True):
                for name, delta in own.items():  # type: ignore[operator]
                    projection = getattr(block.self_attn, name)
                    stack.callback(projection.register_forward_hook(_adding(delta)).remove)
            yield

    @property
    def digest(self) -> str:
        """Tells trained weights apart."""
        hashed = blake2b(repr((self.stride, self.ratios, self.fingerprint)).encode(), digest_size=16)
        for name, value in sorted(self.state_dict().items()):
            hashed.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
        return hashed.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the weights as safetensors."""
        told = {"stride": self.stride, "ratios": list(self.ratios), "hidden": self.embedding.shape[1]}
        told |= {"layers": len(self.layers), "projections": self.projections, "rank": self.rank}
        told |= {"fingerprint": self.fingerprint}
        tree.save({"beacon": _FORMAT, "made": told, "weights": dict(self.state_dict())}, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The weights that :meth:`save` wrote. Raises :class:`StoreError` for a file that is none of ours, and
        :class:`InputError` for one that holds something else."""
        told = tree.load(Path(path))
        if not isinstance(told, dict) or told.get("beacon") != _FORMAT:
            raise InputError(f"{path} holds no beacons of this version: train them again")
        made = cls(**told["made"])
        made.load_state_dict(told["weights"])
        return made


def _adding(delta: nn.Module) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
    """A hook that adds ``delta`` of what a projection was given to what it gave."""

    def add(_: nn.Module, given: tuple[Any, ...], out: Tensor) -> Tensor:
        added: Tensor = delta(given[0])
        return out + added

    return add
