"""Speculative decoding (Leviathan et al. 2023, arXiv 2211.17192) and RAPID's drafter for long texts (arXiv 2502.20330).

A drafter writes ``ahead`` tokens, the target judges them all in one forward: token x, drawn from q, is accepted with
probability min(1, p(x) / q(x)); at the first refusal a token is drawn from what p has over q, and if all are accepted
one more is drawn from p. What comes out is distributed as if the target had written it alone.

RAPID lets a drafter that has read only retrieved passages draft for a target that has read the whole text. Then the
drafter may know better: ``eta`` moves the target's logits towards it by a gradient step of distillation,

    z' = z - eta (p - q),   where q(x) >= alpha max q

and p' = softmax(z') judges. That shifts the output on purpose; ``eta`` 0 is exact speculative decoding. The drafter may
be the same model (self-speculation) or a larger one (upward speculation).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.sample import Sampling
from mnemic.attention.session import Session
from mnemic.errors import InputError


@dataclass(frozen=True)
class Transfer:
    """RAPID's knowledge transfer: 10 to 20 for a drafter of the target's size, 40 to 50 for a larger one."""

    eta: float = 0.0
    alpha: float = 0.1

    def moved(self, logits: Tensor, q: Tensor) -> Tensor:
        """The target's ``logits`` [..., V], moved towards the drafter's distribution ``q`` [..., V]."""
        if not self.eta:
            return logits
        gradient = logits.softmax(-1) - q
        plausible = q >= self.alpha * q.amax(-1, keepdim=True)
        return logits - self.eta * gradient * plausible


def judge(
    drafted: Sequence[int],
    q: Tensor,
    logits: Tensor,
    sampling: Sampling,
    transfer: Transfer,
    generator: torch.Generator,
) -> list[int]:
    """What is written for ``drafted`` tokens [g]: those accepted, and one more.

    ``q`` [g, V] are the distributions that they were drawn from, ``logits`` [g + 1, V] the target's at the same places
    and after the last.
    """
    written: list[int] = []
    for i, token in enumerate(drafted):
        p = sampling.probabilities(logits[i])
        moved = sampling.probabilities(transfer.moved(logits[i], q[i]))
        chance = float(moved[token] / q[i, token].clamp_min(1e-20))
        if float(torch.rand((), generator=generator)) < chance:
            written.append(token)
            continue
        # What the target has over the drafter; with transfer also what it lost to it.
        left = torch.maximum(p - q[i], p - moved).clamp_min(0)
        if float(left.sum()) <= 0:
            left = moved
        return [*written, int(torch.multinomial(left, 1, generator=generator))]
    last = sampling.probabilities(logits[len(drafted)])
    return [*written, int(torch.multinomial(last, 1, generator=generator))]


class SpeculativeDecoder:
    """Writes with ``target``, drafting with ``drafter``: two sessions of one row each that have read their prompts.

    Both must speak the same vocabulary. ``ahead`` grows by two after a draft that was accepted whole and shrinks by one
    otherwise, up to ``most``. ``accepted`` and ``drafted`` count tokens, ``forwards`` the target's calls.
    """

    def __init__(
        self,
        target: Session,
        drafter: Session,
        *,
        ahead: int = 10,
        most: int = 20,
        sampling: Sampling | None = None,
        transfer: Transfer | None = None,
    ) -> None:
        if len(target.rows) != 1 or len(drafter.rows) != 1:
            raise InputError("speculative decoding is for one text: prefill both sessions with one row each")
        if target.model.config.vocab_size != drafter.model.config.vocab_size:
            raise InputError("target and drafter have different vocabularies: use models of one family")
        if not 1 <= ahead <= most:
            raise InputError("ahead is at least 1 token and at most most")
        self.target, self.drafter = target, drafter
        self.ahead, self.most = ahead, most
        self.sampling, self.transfer = sampling or Sampling(), transfer or Transfer()
        self.generator = self.sampling.generator(torch.device("cpu"))
        self.accepted = self.drafted = self.forwards = 0

    def step(self) -> list[int]:
        """Draft, judge, and bring both sessions to what was written: at least one token."""
        before = self.target.logits
        drafted, q = self._draft()
        found = torch.cat((before, self.target.forward([drafted], every=True)[0])).cpu()
        self.forwards += 1
        written = judge(drafted, q, found, self.sampling, self.transfer, self.generator)
        kept = len(written) - 1
        self.accepted, self.drafted = self.accepted + kept, self.drafted + len(drafted)
        self.ahead = min(self.most, self.ahead + 2) if kept == len(drafted) else max(1, self.ahead - 1)
        self.target.crop(len(drafted) - kept)
        self.drafter.crop(len(drafted) - kept)
        for session in (self.target, self.drafter):
            session.forward([written[-1:]])
        return written

    def _draft(self) -> tuple[list[int], Tensor]:
        drafted: list[int] = []
        distributions = []
        for _ in range(self.ahead):
            q = self.sampling.probabilities(self.drafter.logits[0]).cpu()
            drafted.append(int(torch.multinomial(q, 1, generator=self.generator)))
            distributions.append(q)
            self.drafter.forward([drafted[-1:]])
        return drafted, torch.stack(distributions)

    def generate(
        self, max_new_tokens: int = 64, *, stop: Sequence[int] = (), stream: Callable[[list[int]], None] | None = None
    ) -> list[int]:
        """Write up to ``max_new_tokens``, ending before one of ``stop``."""
        written: list[int] = []
        while len(written) < max_new_tokens:
            step = self.step()
            end = next((i for i, token in enumerate(step) if token in stop), len(step))
            written += step[:end]
            if stream:
                stream(step[:end])
            if end < len(step):
                break
        return written[:max_new_tokens]


def passages(text: Sequence[int], query: Sequence[int], *, size: int = 512, budget: int = 4096) -> list[int]:
    """The tokens of the passages of ``text`` that share most with ``query``, in the order of the text: a drafter's
    prompt where no retriever is at hand. BM25 over token ids; passages of ``size``, ``budget`` tokens of them."""
    pieces = [list(text[i : i + size]) for i in range(0, len(text), size)]
    counts = [Counter(piece) for piece in pieces]
    df = Counter(token for count in counts for token in count)
    mean = sum(map(len, pieces)) / max(1, len(pieces))

    def score(i: int) -> float:
        total = 0.0
        for token in set(query):
            tf = counts[i][token]
            idf = math.log(1 + (len(pieces) - df[token] + 0.5) / (df[token] + 0.5))
            total += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(pieces[i]) / mean))
        return total

    ranked = sorted(range(len(pieces)), key=lambda i: (-score(i), i))[: max(1, budget // size)]
    return [token for i in sorted(ranked) for token in pieces[i]]
