"""SPLADE: the fast path against the plain one, on small random weights made here and on the real ones."""

from __future__ import annotations

import itertools
import json
import math
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from mnemic import models as weights
from mnemic.errors import InputError, ModelError
from mnemic.text import encode
from mnemic.text.encode import sparse
from mnemic.text.encode.base import Floats, SparseEncoder, SparseVector
from mnemic.text.encode.sparse import Splade, splade_reference

LIMIT = 24
WORDS = [f"{a}{b}" for a in "bdfgk" for b in ("a", "e", "i", "o", "u", "an", "or")]
TURNS = [
    "Caroline: I adopted a dog named Luna last Friday!",
    "Melanie: Congrats.",
    "What did Caroline say about her trip to Sweden?",
    "ok",
    "Yesterday I took the kids to the museum, and they were stoked for the dinosaur exhibit; we stayed until closing.",
    "naïve café 東京 12:30 don't",
]


def write_model(folder: Path, seed: int = 0) -> Path:
    """A three-layer BERT of random weights over a vocabulary of 35 made-up words."""
    rng = np.random.default_rng(seed)
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    width, inner, layers = 16, 40, 3
    shapes = {
        "bert.embeddings.word_embeddings.weight": (len(vocabulary), width),
        "bert.embeddings.position_embeddings.weight": (LIMIT, width),
        "bert.embeddings.token_type_embeddings.weight": (2, width),
        "cls.predictions.bias": (len(vocabulary),),
    }
    norms = ["bert.embeddings.LayerNorm", "cls.predictions.transform.LayerNorm"]
    linear = {"cls.predictions.transform.dense": (width, width)}
    for i in range(layers):
        layer = f"bert.encoder.layer.{i}"
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        linear |= {f"{layer}.attention.self.{part}": (width, width) for part in ("query", "key", "value")}
        linear |= {f"{layer}.attention.output.dense": (width, width)}
        linear |= {f"{layer}.intermediate.dense": (inner, width), f"{layer}.output.dense": (width, inner)}
    shapes |= {f"{name}.{part}": (width,) for name in norms for part in ("gamma", "beta")}
    shapes |= {f"{name}.weight": shape for name, shape in linear.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in linear.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: rng.normal(0, 0.6, shape).astype(np.float32) for name, shape in shapes.items()},
        folder / "model.safetensors",
    )
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "num_attention_heads": 2,
        "num_hidden_layers": layers,
        "max_position_embeddings": LIMIT,
        "layer_norm_eps": 1e-12,
    }
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # As real files do: truncation and padding set by whoever saved it, which the encoder must not inherit.
    tokenizer.enable_truncation(7)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def random_splade(folder: Path) -> Splade:
    return Splade(folder)


@pytest.fixture(scope="module")
def real() -> Splade:
    try:
        weights.pull("splade-tiny", progress=False)
    except ModelError as error:
        pytest.skip(f"the weights of splade-tiny cannot be pulled here: {error}")
    return Splade()


def dense(vector: SparseVector, dim: int) -> Floats:
    row = np.zeros(dim, np.float32)
    row[vector.terms] = vector.weights
    return row


def check_shape(vector: SparseVector, encoder: Splade) -> None:
    assert vector.terms.dtype == np.int32
    assert vector.weights.dtype == np.float32
    assert vector.terms.shape == vector.weights.shape
    assert (np.diff(vector.terms) > 0).all()
    assert (vector.weights > encoder.threshold - 1e-6).all()
    assert ((vector.terms >= 0) & (vector.terms < encoder.dim)).all()


def assert_same(vector: SparseVector, expected: Floats, encoder: Splade, tolerance: float = 2e-4) -> None:
    """Equal to ``tolerance`` wherever either is above the threshold (a weight at the threshold may fall either way)."""
    check_shape(vector, encoder)
    got = dense(vector, encoder.dim)
    floor = encoder.threshold + tolerance
    counts = (got > floor) | (expected > floor)
    np.testing.assert_allclose(got[counts], expected[counts], atol=tolerance, rtol=0)


# ---- on random weights ---------------------------------------------------------------------------------------------

word_lists = st.lists(st.sampled_from([*WORDS, "unknownish", "!", "é"]), max_size=LIMIT - 2)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(word_lists.map(" ".join), max_size=9), tokens=st.sampled_from([1, 7, 40, 768]))
def test_fast_path_equals_reference(folder: Path, random_splade: Splade, texts: list[str], tokens: int) -> None:
    before, sparse.BATCH_TOKENS = sparse.BATCH_TOKENS, tokens
    try:
        vectors = random_splade.encode(texts)
    finally:
        sparse.BATCH_TOKENS = before
    assert len(vectors) == len(texts)
    for text, vector in zip(texts, vectors, strict=True):
        expected = splade_reference(folder, text) if text else np.zeros(random_splade.dim, np.float32)
        assert_same(vector, expected, random_splade, 2e-5)


def test_the_comparison_can_fail(folder: Path, random_splade: Splade) -> None:
    vector = random_splade.encode(["ba do gi"])[0]
    assert len(vector.terms) > 3
    with pytest.raises(AssertionError):
        assert_same(vector, splade_reference(folder, "ba do ge"), random_splade)
    with pytest.raises(AssertionError):
        assert_same(
            SparseVector(vector.terms[1:], vector.weights[1:]), splade_reference(folder, "ba do gi"), random_splade
        )


@pytest.mark.parametrize("pieces", [1, 2, 48, 49])
@pytest.mark.parametrize("block", [1, 16, 1024])
def test_blocks_and_batches_do_not_show(
    folder: Path, random_splade: Splade, monkeypatch: pytest.MonkeyPatch, pieces: int, block: int
) -> None:
    texts = [" ".join(WORDS[i % 30 : i % 30 + 1 + i % 5]) for i in range(50)]
    expected = [random_splade.encode([text])[0] for text in texts]
    monkeypatch.setattr(sparse, "BATCH_PIECES", pieces)
    monkeypatch.setattr(sparse, "VOCABULARY_BLOCK", block)
    for vector, alone in zip(random_splade.encode(texts), expected, strict=True):
        assert_same(vector, dense(alone, random_splade.dim), random_splade, 1e-5)


def test_a_long_text_is_the_maximum_over_its_chunks(folder: Path, random_splade: Splade) -> None:
    text = " ".join(" ".join(WORDS[(i * j) % 35] for j in range(100)).ljust(499) for i in range(1, 6))
    pieces = list(sparse._chunks(text))
    assert "".join(pieces) == text
    assert [len(piece) for piece in pieces] == [999, 1000, 500]
    limit = LIMIT - 2
    parts: list[str] = []
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for piece in pieces:
        tokens = tokenizer.encode(piece, add_special_tokens=False).tokens
        parts += [" ".join(tokens[start : start + limit]) for start in range(0, len(tokens), limit)]
    expected = np.max([splade_reference(folder, part) for part in parts], axis=0)
    short, long, last = random_splade.encode(["ba", text, "do"])
    assert_same(long, expected, random_splade)
    assert_same(short, splade_reference(folder, "ba"), random_splade)
    assert_same(last, splade_reference(folder, "do"), random_splade)


def test_what_exceeds_the_models_limit_is_not_lost(folder: Path, random_splade: Splade) -> None:
    words = [WORDS[i % len(WORDS)] for i in range(LIMIT - 2 + 5)]
    parts = [" ".join(words[: LIMIT - 2]), " ".join(words[LIMIT - 2 :])]
    expected = np.maximum(*(splade_reference(folder, part) for part in parts))
    assert_same(random_splade.encode([" ".join(words)])[0], expected, random_splade)


@given(text=st.text(alphabet="ab \n\t", max_size=400))
def test_chunks_rebuild_the_text(text: str) -> None:
    before, sparse.CHUNK_CHARS = sparse.CHUNK_CHARS, 20
    try:
        chunks = list(sparse._chunks(text))
    finally:
        sparse.CHUNK_CHARS = before
    assert "".join(chunks) == text
    assert all(len(chunk) <= 20 for chunk in chunks)
    for left, right in itertools.pairwise(chunks):
        assert right[0].isspace() or not any(c.isspace() for c in left[1:]), (
            "cut inside a word that could be kept whole"
        )


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u200b\u0000"])
def test_a_text_without_a_word_is_an_empty_vector(random_splade: Splade, text: str) -> None:
    first, blank, last = random_splade.encode(["ba", text, "ba"])
    assert len(blank.terms) == len(blank.weights) == 0
    assert len(first.terms)
    np.testing.assert_array_equal(first.terms, last.terms)


def test_no_texts(random_splade: Splade) -> None:
    assert random_splade.encode([]) == []


@pytest.mark.parametrize("texts", ["one string", ["ok", None], ["ok", b"bytes"], ["lone \ud800 surrogate"]])
def test_what_is_not_text_is_refused(random_splade: Splade, texts: list[str]) -> None:
    with pytest.raises(InputError):
        random_splade.encode(texts)


def test_threshold_drops_only_what_is_below(folder: Path, random_splade: Splade) -> None:
    high = Splade(folder, threshold=0.5)
    assert high.version != random_splade.version, "a space must be able to tell them apart"
    full, cut = random_splade.encode(["ba de"])[0], high.encode(["ba de"])[0]
    kept = full.weights > 0.5
    assert 0 < kept.sum() < len(full.terms)
    np.testing.assert_array_equal(cut.terms, full.terms[kept])
    for wrong in (-0.1, math.nan, math.inf):
        with pytest.raises(InputError, match="threshold"):
            Splade(folder, threshold=wrong)


def test_version_follows_the_weights(folder: Path, tmp_path: Path, random_splade: Splade) -> None:
    assert Splade(folder).version == random_splade.version
    assert Splade(write_model(tmp_path / "other", seed=1)).version != random_splade.version
    assert isinstance(random_splade, SparseEncoder)


def test_terms_are_words(random_splade: Splade) -> None:
    assert random_splade.term(4) == WORDS[0]
    with pytest.raises(InputError, match="no dimension 999"):
        random_splade.term(999)


def test_gelu_is_exact_enough() -> None:
    x = np.concatenate([np.linspace(-12, 12, 200_001), [0.0, -1e-8, 1e-30, 80.0, -80.0]]).astype(np.float32)
    expected = np.array([v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x.astype(np.float64).tolist()])
    got = x.copy()
    sparse._gelu(got)
    assert np.abs(got - expected)[np.abs(x) <= 12].max() < 5e-7
    assert got[-2:].tolist() == [80.0, 0.0]


# ---- weights that are not usable -----------------------------------------------------------------------------------


def damage(folder: Path, how: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    if how == "no weights":
        (folder / "model.safetensors").unlink()
    elif how == "cut weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])
    elif how == "missing tensor":
        tensors = load_file(folder / "model.safetensors")
        del tensors["bert.encoder.layer.1.output.dense.bias"]
        save_file(tensors, folder / "model.safetensors")
    elif how == "no config":
        (folder / "config.json").unlink()
    elif how == "bad config":
        (folder / "config.json").write_text("{")
    elif how == "other activation":
        (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    elif how == "incomplete config":
        del config["num_attention_heads"]
        (folder / "config.json").write_text(json.dumps(config))
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "bad tokenizer":
        (folder / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no weights", "mnemic models pull splade-tiny"),
        ("cut weights", "mnemic models pull splade-tiny"),
        ("missing tensor", "no tensor .*layer.1.output.dense.bias"),
        ("no config", "config.json"),
        ("bad config", "mnemic models pull splade-tiny"),
        ("other activation", "hidden_act is 'relu', expected 'gelu'"),
        ("incomplete config", "does not say num_attention_heads"),
        ("no tokenizer", "tokenizer.json"),
        ("bad tokenizer", "not a tokenizer this version understands"),
    ],
)
def test_unusable_weights_say_what_is_wrong(tmp_path: Path, how: str, message: str) -> None:
    damage(write_model(tmp_path), how)
    with pytest.raises(ModelError, match=message):
        Splade(tmp_path)


def test_absent_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNEMIC_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="run: mnemic models pull splade-tiny"):
        encode.get("splade-tiny")


# ---- on the real weights -------------------------------------------------------------------------------------------


@pytest.mark.model
def test_real_weights_equal_reference(real: Splade) -> None:
    where = weights.require("splade-tiny")
    for text, vector in zip(TURNS, real.encode(TURNS), strict=True):
        assert_same(vector, splade_reference(where, text), real)


@pytest.mark.model
def test_real_weights_relate_words(real: Splade) -> None:
    query, dog, weather = (
        dense(vector, real.dim)
        for vector in real.encode(["What pet does Caroline have?", TURNS[0], "The weather in Oslo is cold."])
    )
    assert query @ dog > 2 * (query @ weather)
    top = {real.term(int(index)) for index in np.argsort(dog)[-8:]}
    assert {"dog", "luna"} <= top
    assert real.dim == 30522


@pytest.mark.model
def test_real_weights_keep_few_words_and_little_memory(real: Splade) -> None:
    texts = TURNS * 60
    real.encode(texts[:6])
    tracemalloc.start()
    vectors = real.encode(texts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6, "all logits at once would be 700 MB"
    assert 5 < np.mean([len(vector.terms) for vector in vectors]) < 200


@pytest.mark.model
def test_threads_share_an_encoder(real: Splade) -> None:
    jobs = [[*TURNS[i:], *TURNS[:i]] for i in range(len(TURNS))]
    alone = [real.encode(job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(real.encode, jobs * 3))
    for expected, got in zip(alone * 3, together, strict=True):
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_allclose(dense(a, real.dim), dense(b, real.dim), atol=1e-5)
