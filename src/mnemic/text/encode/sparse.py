"""SPLADE in numpy: a two-layer BERT masked-language model whose logits, max-pooled over the text, weight its words.

Sources: SPLADE max pooling, Formal et al. 2021, "SPLADE v2", section 3 (eq. 6); BERT, Devlin et al. 2019.
:func:`splade_reference` states the mathematics one text at a time; :class:`Splade` computes the same, fast.

What makes it fast: texts of a batch are packed end to end, so no position is padding; only attention and pooling look
at where a text ends. log(1 + relu(x)) rises with x, and the output bias is the same for every token, so the maximum
over tokens is taken on bare products, a block of the vocabulary at a time, and the rest once on the few words kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from mnemic import models
from mnemic.errors import InputError, ModelError
from mnemic.text.encode.base import Floats, SparseVector

CHUNK_CHARS = 1000
"""Longer texts are cut at white space into pieces of at most this many characters; the vector is their maximum."""

THRESHOLD = 0.01
"""Weights at or below this are dropped. Of the 80 or so words that a chat turn activates, one or two fall below it."""

BATCH_TOKENS = 768
BATCH_PIECES = 48
VOCABULARY_BLOCK = 1024
REVISION = 1
"""Raised whenever the same weights would yield other vectors, so that a space knows what it was built with."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """One transformer layer. Matrices are [in, out], so that ``x @ matrix`` applies them."""

    qkv: Floats
    qkv_bias: Floats
    mix: Floats
    mix_bias: Floats
    mix_norm: tuple[Floats, Floats]
    up: Floats
    up_bias: Floats
    down: Floats
    down_bias: Floats
    down_norm: tuple[Floats, Floats]


_EMPTY = SparseVector(np.empty(0, np.int32), np.empty(0, np.float32))


class Splade:
    """Sparse vectors over the WordPiece vocabulary; ``term`` gives the word of a dimension.

    Safe to call from several threads: weights are read-only and every call has its own buffers. Single-threaded unless
    the BLAS library behind numpy uses more (``OMP_NUM_THREADS``). ``path`` is a folder with ``config.json``,
    ``model.safetensors`` and ``tokenizer.json`` of a BERT masked-language model; by default the pulled ``splade-tiny``.
    Raises ModelError when weights are missing, damaged or of another architecture.
    """

    name = "splade-tiny"

    def __init__(self, path: str | Path | None = None, *, threshold: float = THRESHOLD) -> None:
        if not (math.isfinite(threshold) and threshold >= 0):
            raise InputError(f"threshold must be a number not below zero, not {threshold!r}")
        folder = models.require(self.name) if path is None else Path(path)
        config, weights = _load(folder)
        release = models.get(self.name).version
        if path is not None:
            self.name = f"splade:{folder}"
            release = models.checksum(folder / "model.safetensors")[:12]
        self.version = f"{release}-r{REVISION}" + ("" if threshold == THRESHOLD else f"-t{threshold:g}")
        self.threshold = threshold
        self.heads = int(config["num_attention_heads"])
        self.epsilon = np.float32(config["layer_norm_eps"])
        self._tokenizer = _tokenizer(folder, int(config["max_position_embeddings"]))
        try:
            # [width, dim], the layout in which the product with a few tokens (a query) is fastest.
            self._words = np.ascontiguousarray(weights["bert.embeddings.word_embeddings.weight"].T)
            # One sentence only, so the type embedding is a constant that can be added to the positions beforehand.
            self._positions = (
                weights["bert.embeddings.position_embeddings.weight"]
                + weights["bert.embeddings.token_type_embeddings.weight"][0]
            )
            self._norm = _norm_of(weights, "bert.embeddings.LayerNorm")
            self._layers = [_layer(weights, i, self.heads) for i in range(int(config["num_hidden_layers"]))]
            self._head = np.ascontiguousarray(weights["cls.predictions.transform.dense.weight"].T)
            self._head_bias = weights["cls.predictions.transform.dense.bias"]
            self._head_norm = _norm_of(weights, "cls.predictions.transform.LayerNorm")
            self._bias = weights["cls.predictions.bias"]
        except KeyError as error:
            raise ModelError(f"{folder} is not a BERT masked-language model: it has no tensor {error}") from error
        self.dim = int(self._words.shape[1])

    def term(self, index: int) -> str:
        """The word, or word piece (``##``), that dimension ``index`` stands for."""
        word = self._tokenizer.id_to_token(index)
        if word is None:
            raise InputError(f"there is no dimension {index}; there are {self.dim}")
        return word

    def encode(self, texts: Sequence[str]) -> list[SparseVector]:
        """One vector per text, in order. A text without any word yields an empty vector. Raises InputError."""
        if isinstance(texts, str):
            raise InputError("encode takes a list of texts, not one string; write encode([text])")
        vectors = [_EMPTY] * len(texts)
        owner, best = -1, np.empty(0, np.float32)
        for batch in _batches(self._pieces(texts)):
            for (text, _), row in zip(batch, self._pooled([ids for _, ids in batch]), strict=True):
                if text == owner:
                    np.maximum(best, row, out=best)
                    continue
                if owner >= 0:
                    vectors[owner] = self._sparse(best)
                owner, best = text, row
        if owner >= 0:
            vectors[owner] = self._sparse(best)
        return vectors

    def _pieces(self, texts: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
        """Each piece of each text as (index of the text, token ids). Pieces without a word are left out."""
        for owner, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"encode takes texts; item {owner} is {type(text).__name__}")
            for chunk in _chunks(text):
                encoding = _encode(self._tokenizer, chunk)
                # What the tokenizer cut off at the model's limit (dense scripts) is kept as further pieces.
                for part in (encoding, *encoding.overflowing):
                    if len(part.ids) > 2:
                        yield owner, part.ids

    def _pooled(self, pieces: Sequence[Sequence[int]]) -> Floats:
        """Highest logit of each word over the tokens of each piece, bias included: float32 [len(pieces), dim]."""
        ends = np.cumsum([len(piece) for piece in pieces]).tolist()
        spans = list(zip([0, *ends[:-1]], ends, strict=True))
        ids = np.concatenate([np.asarray(piece, dtype=np.intp) for piece in pieces])
        hidden = np.ascontiguousarray(self._words[:, ids].T)
        for start, stop in spans:
            hidden[start:stop] += self._positions[: stop - start]
        _normalise(hidden, self._norm, self.epsilon)
        for layer in self._layers:
            self._transform(layer, hidden, spans)
        hidden = hidden @ self._head
        hidden += self._head_bias
        _gelu(hidden)
        _normalise(hidden, self._head_norm, self.epsilon)

        pooled = np.empty((len(pieces), self.dim), dtype=np.float32)
        logits = np.empty(len(ids) * VOCABULARY_BLOCK, dtype=np.float32)
        for low in range(0, self.dim, VOCABULARY_BLOCK):
            high = min(low + VOCABULARY_BLOCK, self.dim)
            block = logits[: len(ids) * (high - low)].reshape(len(ids), high - low)
            np.matmul(hidden, self._words[:, low:high], out=block)
            for row, (start, stop) in enumerate(spans):
                np.maximum.reduce(block[start:stop], axis=0, out=pooled[row, low:high])
        pooled += self._bias
        return pooled

    def _transform(self, layer: _Layer, hidden: Floats, spans: Sequence[tuple[int, int]]) -> None:
        """One transformer layer, in place on ``hidden`` [tokens, width]."""
        qkv = hidden @ layer.qkv
        qkv += layer.qkv_bias
        width = hidden.shape[1]
        context = np.empty_like(hidden)
        for start, stop in spans:
            heads = qkv[start:stop].reshape(stop - start, 3, self.heads, width // self.heads)
            query, key, value = heads.transpose(1, 2, 0, 3)
            scores = query @ key.transpose(0, 2, 1)
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            context[start:stop] = (scores @ value).transpose(1, 0, 2).reshape(stop - start, width)
        hidden += context @ layer.mix
        hidden += layer.mix_bias
        _normalise(hidden, layer.mix_norm, self.epsilon)
        inner = hidden @ layer.up
        inner += layer.up_bias
        _gelu(inner)
        hidden += inner @ layer.down
        hidden += layer.down_bias
        _normalise(hidden, layer.down_norm, self.epsilon)

    def _sparse(self, pooled: Floats) -> SparseVector:
        """Keeps words whose weight log(1 + logit) is above the threshold."""
        terms = np.flatnonzero(pooled > math.expm1(self.threshold))
        return SparseVector(terms.astype(np.int32), np.log1p(pooled[terms]))


def splade_reference(folder: Path, text: str) -> Floats:
    """The mathematics of SPLADE for one text of at most one piece: float32 [dim], nothing dropped, nothing shared."""
    config, weights = _load(folder)
    tokenizer = _tokenizer(folder, int(config["max_position_embeddings"]))
    ids = np.asarray(_encode(tokenizer, text).ids)

    def linear(x: Floats, name: str) -> Floats:
        result: Floats = x @ weights[name + ".weight"].T + weights[name + ".bias"]
        return result

    def norm(x: Floats, name: str) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(config["layer_norm_eps"]))
        scaled: Floats = centred / spread * weights[name + ".gamma"] + weights[name + ".beta"]
        return scaled

    def gelu(x: Floats) -> Floats:
        erf = np.frompyfunc(math.erf, 1, 1)(x / math.sqrt(2)).astype(np.float32)
        result: Floats = (0.5 * x * (1 + erf)).astype(np.float32)
        return result

    words = weights["bert.embeddings.word_embeddings.weight"]
    x = words[ids]
    x = x + weights["bert.embeddings.position_embeddings.weight"][: len(ids)]
    x = x + weights["bert.embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "bert.embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        layer = f"bert.encoder.layer.{i}"
        query, key, value = (linear(x, f"{layer}.attention.self.{part}") for part in ("query", "key", "value"))
        mixed = []
        for q, k, v in zip(
            *(np.split(part, config["num_attention_heads"], axis=1) for part in (query, key, value)), strict=True
        ):
            scores = q @ k.T / math.sqrt(q.shape[1])
            odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
            mixed.append(odds / odds.sum(axis=-1, keepdims=True) @ v)
        attended = linear(np.concatenate(mixed, axis=1), f"{layer}.attention.output.dense")
        x = norm(x + attended, f"{layer}.attention.output.LayerNorm")
        inner = gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    x = norm(gelu(linear(x, "cls.predictions.transform.dense")), "cls.predictions.transform.LayerNorm")
    logits = x @ words.T + weights["cls.predictions.bias"]
    pooled: Floats = np.log1p(np.maximum(logits, 0)).max(axis=0)
    return pooled


# ---- parts ---------------------------------------------------------------------------------------------------------


def _normalise(x: Floats, norm: tuple[Floats, Floats], epsilon: np.float32) -> None:
    """Layer normalisation of the rows of ``x``, in place; ``norm`` is (scale, shift)."""
    x -= x.mean(axis=1, keepdims=True)
    x /= np.sqrt(np.einsum("ij,ij->i", x, x)[:, None] / np.float32(x.shape[1]) + epsilon)
    x *= norm[0]
    x += norm[1]


_ERF = tuple(np.float32(c) for c in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592))
_ERF_SCALE = np.float32(0.3275911 / math.sqrt(2))
_GELU_BLOCK = 1 << 15


def _gelu(x: Floats) -> None:
    """Exact (erf) GELU of a contiguous array, in place; error below 5e-7 absolute, by Abramowitz and Stegun 7.1.26.

    With tail = erfc(|x| / sqrt 2) / 2, gelu is relu(x) - |x| * tail: no cancellation on either side of zero.
    """
    flat = x.reshape(-1)
    for start in range(0, flat.size, _GELU_BLOCK):
        part = flat[start : start + _GELU_BLOCK]  # a block that stays in the processor's cache over all passes
        size = np.abs(part)
        t = size * _ERF_SCALE
        t += 1
        np.reciprocal(t, out=t)
        tail = t * _ERF[0]
        for coefficient in _ERF[1:]:
            tail += coefficient
            tail *= t
        np.multiply(size, size, out=t)
        t *= np.float32(-0.5)
        np.exp(t, out=t)
        tail *= t
        tail *= size
        tail *= np.float32(0.5)
        np.maximum(part, 0, out=part)
        part -= tail


def _chunks(text: str) -> Iterator[str]:
    """Pieces of at most CHUNK_CHARS characters, cut at the last white space where there is one; short texts whole."""
    start = 0
    while len(text) - start > CHUNK_CHARS:
        stop = start + CHUNK_CHARS
        while stop > start and not text[stop].isspace():
            stop -= 1
        stop = stop if stop > start else start + CHUNK_CHARS
        yield text[start:stop]
        start = stop
    yield text[start:]


def _batches(pieces: Iterable[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
    """Neighbouring pieces, together at most BATCH_TOKENS tokens and BATCH_PIECES pieces (one if it alone is longer)."""
    batch: list[tuple[int, list[int]]] = []
    total = 0
    for piece in pieces:
        length = len(piece[1])
        if batch and (total + length > BATCH_TOKENS or len(batch) == BATCH_PIECES):
            yield batch
            batch, total = [], 0
        batch.append(piece)
        total += length
    if batch:
        yield batch


def _encode(tokenizer: Tokenizer, text: str) -> Any:
    try:
        return tokenizer.encode(text)
    except (TypeError, UnicodeEncodeError) as error:
        raise InputError(f"a text to encode must be a string of valid Unicode: {error}") from error


def _tokenizer(folder: Path, limit: int) -> Tokenizer:
    path = folder / "tokenizer.json"
    try:
        # The library raises bare Exception for every fault of the file, so the file is read here first.
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error}; run: mnemic models pull {Splade.name}") from error
    except Exception as error:
        raise ModelError(f"{path} is not a tokenizer this version understands: {error}") from error
    tokenizer.enable_truncation(limit)
    tokenizer.no_padding()
    return tokenizer


def _load(folder: Path) -> tuple[dict[str, Any], Mapping[str, Floats]]:
    """Configuration and float32 tensors of a BERT masked-language model in ``folder``."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        with safe_open(str(folder / "model.safetensors"), framework="np") as archive:
            weights = {name: archive.get_tensor(name).astype(np.float32, copy=False) for name in archive.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"cannot read the weights in {folder}: {error}; run: mnemic models pull {Splade.name}"
        ) from error
    expected = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise ModelError(f"{folder} is not supported: {key} is {config[key]!r}, expected {value!r}")
    missing = {"num_attention_heads", "num_hidden_layers", "max_position_embeddings", "layer_norm_eps"} - set(config)
    if missing:
        raise ModelError(f"{folder / 'config.json'} does not say {', '.join(sorted(missing))}; it is not a BERT model")
    return config, weights


def _norm_of(weights: Mapping[str, Floats], name: str) -> tuple[Floats, Floats]:
    return weights[name + ".gamma"], weights[name + ".beta"]


def _layer(weights: Mapping[str, Floats], index: int, heads: int) -> _Layer:
    """Layer ``index``, matrices transposed once; the 1/sqrt(head width) of attention is folded into the queries."""
    prefix = f"bert.encoder.layer.{index}."

    def matrix(name: str) -> Floats:
        return np.ascontiguousarray(weights[prefix + name + ".weight"].T)

    def bias(name: str) -> Floats:
        return weights[prefix + name + ".bias"]

    names = [f"attention.self.{part}" for part in ("query", "key", "value")]
    qkv = np.concatenate([matrix(name) for name in names], axis=1)
    qkv_bias = np.concatenate([bias(name) for name in names])
    width = len(qkv_bias) // 3
    scale = np.float32(1 / math.sqrt(width // heads))
    qkv[:, :width] *= scale
    qkv_bias[:width] *= scale
    return _Layer(
        qkv=qkv,
        qkv_bias=qkv_bias,
        mix=matrix("attention.output.dense"),
        mix_bias=bias("attention.output.dense"),
        mix_norm=_norm_of(weights, prefix + "attention.output.LayerNorm"),
        up=matrix("intermediate.dense"),
        up_bias=bias("intermediate.dense"),
        down=matrix("output.dense"),
        down_bias=bias("output.dense"),
        down_norm=_norm_of(weights, prefix + "output.LayerNorm"),
    )
