"""Language models that can be taught, for :mod:`mnemic.bench.orhan`: a tiny one over characters, and any causal model
of Hugging Face. Importing this module needs torch (extra ``[torch]``)."""

from __future__ import annotations

import copy
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from mnemic.bench.orhan import AWAY
from mnemic.bench.stimuli import sentences
from mnemic.errors import InputError

_BLANK = -100  # what torch's cross entropy leaves out
_TOGETHER = 64  # items whose losses are computed at once
BEGIN = 0
"""The byte that stands before every text of :class:`Characters`."""


class Taught(ABC):
    """What every model in torch shares: study by AdamW, losses by item. Subclasses give logits and tokens.

    ``rate`` is constant (deviation: the original's training script lets it fall); ``batch`` items an update; texts are
    cut after ``block`` tokens.
    """

    def __init__(self, network: nn.Module, *, name: str, rate: float, batch: int, block: int, seed: int) -> None:
        if rate <= 0 or batch < 1 or block < 2:
            raise InputError("a model learns with a rate above 0, batches of 1 or more and blocks of 2 tokens or more")
        self.network, self.name = network, name
        self.rate, self.batch, self.block, self.seed = rate, batch, block, seed
        self._order = random.Random(seed)
        self._optimiser: torch.optim.Optimizer | None = None

    @property
    def about(self) -> Mapping[str, Any]:
        size = sum(each.numel() for each in self.network.parameters())
        return {"parameters": size, "rate": self.rate, "block": self.block, "torch": torch.__version__}

    @abstractmethod
    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """[B, T, V] logits of the token after each of ``ids`` [B, T]; ``mask`` [B, T] is 0 where a row has ended."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The token ids of a text."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""

    @abstractmethod
    def complete(self, prefix: Sequence[int], tokens: int) -> list[int]:
        """``tokens`` ids that go on after ``prefix``, greedily."""

    def started(self, ids: Sequence[int]) -> list[int]:
        """``ids`` with what the model expects before a text."""
        return list(ids)

    def fresh(self) -> Self:
        if self._optimiser is not None:
            raise InputError(f"{self.name} has studied already: copy the model before it studies")
        return copy.deepcopy(self)

    def study(self, items: Sequence[str], exposures: int = 1) -> None:
        self.network.train()
        if self._optimiser is None:
            self._optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.rate, weight_decay=0.0)
        for _ in range(exposures):
            shuffled = self._order.sample(list(items), len(items))
            for start in range(0, len(shuffled), self.batch):
                losses, counts = self._summed(shuffled[start : start + self.batch])
                self._optimiser.zero_grad(set_to_none=True)
                (losses.sum() / counts.sum()).backward()  # type: ignore[no-untyped-call]
                self._optimiser.step()

    @torch.no_grad()
    def losses(self, items: Sequence[str]) -> list[float]:
        self.network.eval()
        found: list[float] = []
        for start in range(0, len(items), _TOGETHER):
            losses, counts = self._summed(items[start : start + _TOGETHER])
            found += (losses / counts).tolist()
        return found

    def _summed(self, items: Sequence[str]) -> tuple[Tensor, Tensor]:
        """[B] the summed losses of the items, and over how many tokens."""
        rows = [self.started(self.encode(item))[: self.block] for item in items]
        for row, item in zip(rows, items, strict=True):
            if len(row) < 2:
                raise InputError(f"the item {item!r} has fewer than two tokens to predict from: leave it out")
        device = next(self.network.parameters()).device
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        logits = self.logits(ids[:, :-1], mask[:, :-1])
        targets = ids[:, 1:].masked_fill(mask[:, 1:] == 0, _BLANK)
        losses = nn.functional.cross_entropy(logits.transpose(1, 2).float(), targets, reduction="none")
        return losses.sum(1), mask[:, 1:].sum(1)


class Recurrent(nn.Module):
    """Characters in, logits of the next out: embedding, a GRU (Cho et al. 2014), a linear map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, width)
        self.cell = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, 256)

    def forward(self, ids: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[B, T] ids to [B, T, 256] logits, and the state after the last."""
        hidden, state = self.cell(self.embed(ids), state)
        return self.out(hidden), state


class Characters(Taught):
    """A recurrent model of UTF-8 bytes, small enough for a processor: about 0.2 million weights at ``width`` 128.

    It first reads ``background`` generated sentences ``passes`` times, as a model would be pre-trained; none of them is
    studied or a foil later, except by chance. ``rate`` is for what it studies then.
    """

    def __init__(
        self, seed: int = 0, *, width: int = 128, rate: float = 2e-3, batch: int = 4, background: int = 800,
        passes: int = 4,
    ) -> None:  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Recurrent(width)
        super().__init__(network, name="characters", rate=rate, batch=batch, block=512, seed=seed)
        self._read = {"width": width, "background": background, "passes": passes}
        if background:
            self.rate, self.batch = 3e-3, 16
            self.study(sentences(background, seed + 2 * AWAY), passes)
            self.rate, self.batch, self._optimiser = rate, batch, None

    @property
    def about(self) -> Mapping[str, Any]:
        return {**super().about, **self._read}

    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.network(ids)[0]
        return logits

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode(errors="replace")

    def started(self, ids: Sequence[int]) -> list[int]:
        return [BEGIN, *ids]

    @torch.no_grad()
    def complete(self, prefix: Sequence[int], tokens: int) -> list[int]:
        self.network.eval()
        logits, state = self.network(torch.tensor([self.started(prefix)]))
        found: list[int] = []
        for _ in range(tokens):
            following = logits[:, -1:].argmax(-1)
            found.append(int(following))
            logits, state = self.network(following, state)
        return found


class HuggingFace(Taught):
    """A causal model of Hugging Face and its tokenizer. Only copies are taught; ``rate`` and ``batch`` are the
    original's. Texts stand alone, without marks of beginning or end; none ends a completion early."""

    def __init__(
        self, model: Any, tokenizer: Any, *, name: str, rate: float = 1e-5, batch: int = 16, block: int = 128,
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(model, name=name, rate=rate, batch=batch, block=block, seed=seed)
        self.tokenizer = tokenizer

    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.network(input_ids=ids, attention_mask=mask).logits
        return logits

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"][: self.block]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    @torch.no_grad()
    def complete(self, prefix: Sequence[int], tokens: int) -> list[int]:
        if not prefix:
            raise InputError(f"{self.name} cannot complete an empty text: give it one token or more")
        if not tokens:
            return []
        self.network.eval()
        device = next(self.network.parameters()).device
        ids = torch.tensor([list(prefix)], device=device)
        settings = {"do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "pad_token_id": 0}
        model: Any = self.network
        made = model.generate(
            ids, attention_mask=torch.ones_like(ids), min_new_tokens=tokens, max_new_tokens=tokens, **settings
        )
        found: list[int] = made[0, len(prefix) :].tolist()
        return found


def pretrained(name: str, *, seed: int = 0, **settings: Any) -> HuggingFace:
    """A causal model in full precision, by what :func:`mnemic.attention.pretrained.load` takes; raises as that does."""
    from mnemic.attention import pretrained as checkpoints

    model, tokenizer = checkpoints.load(name)
    return HuggingFace(model, tokenizer, name=name.rstrip("/").rpartition("/")[2], seed=seed, **settings)
