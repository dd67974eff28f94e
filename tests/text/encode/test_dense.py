"""Dense encoders: MiniLM on its real weights, an embeddings service on this machine, a stand-in for the library."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mnemic import models
from mnemic.errors import InputError, LanguageError, MissingExtraError, ModelError, NotFoundError
from mnemic.text import encode
from mnemic.text.encode import dense
from mnemic.text.encode.base import DenseEncoder
from mnemic.text.encode.dense import Endpoint, MiniLM, SentenceTransformer

# ---- MiniLM --------------------------------------------------------------------------------------------------------

TEXTS = [
    "Caroline adopted a dog named Luna last Friday.",
    "ok",
    "",
    "The weather in Oslo is cold.",
    "Yesterday I took the kids to the museum, and they were stoked for the dinosaur exhibit; we stayed until closing.",
]


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    pytest.importorskip("onnxruntime", reason="needs mnemic[dense]")
    try:
        models.pull("minilm", progress=False)
    except ModelError as error:
        pytest.skip(f"the weights of minilm cannot be pulled here: {error}")
    return MiniLM()


@pytest.mark.model
def test_minilm_yields_unit_vectors_whatever_the_company(minilm: MiniLM) -> None:
    vectors = minilm.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0, 1, 1], atol=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(minilm.encode_query(text), vector, atol=2e-4)
    assert minilm.encode([]).shape == (0, 384)
    assert isinstance(minilm, DenseEncoder)


@pytest.mark.model
def test_minilm_relates_meaning(minilm: MiniLM) -> None:
    vectors = minilm.encode(TEXTS)
    scores = vectors @ minilm.encode_query("What pet does Caroline have?")
    assert scores.argmax() == 0
    assert scores[0] > scores[3] + 0.2


@pytest.mark.model
def test_minilm_pools_over_words_only(minilm: MiniLM) -> None:
    """The plain way: one text, no padding, mean over its token vectors."""
    ids = np.asarray([minilm._tokenizer.encode(TEXTS[0]).ids])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    mean = minilm._session.run(None, feed)[0][0].mean(axis=0)
    np.testing.assert_allclose(minilm.encode(TEXTS)[0], mean / np.linalg.norm(mean), atol=2e-4)


@pytest.mark.model
def test_minilm_reads_256_tokens(minilm: MiniLM) -> None:
    long, longer = minilm.encode(["word " * 300, "word " * 300 + "entirely different matters"])
    np.testing.assert_allclose(long, longer, atol=1e-6)


@pytest.mark.model
def test_minilm_serves_threads(minilm: MiniLM) -> None:
    expected = minilm.encode(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(minilm.encode, [TEXTS] * 8):
            np.testing.assert_allclose(vectors, expected, atol=1e-6)


@pytest.mark.model
@pytest.mark.parametrize("texts", ["one string", [None], ["lone \ud800 surrogate"]])
def test_minilm_refuses_what_is_not_text(minilm: MiniLM, texts: list[str]) -> None:
    with pytest.raises(InputError):
        minilm.encode(texts)


def test_minilm_without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mnemic\[dense\]'"):
        encode.get("minilm")


def test_minilm_without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    pytest.importorskip("onnxruntime", reason="needs mnemic[dense]")
    monkeypatch.setenv("MNEMIC_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="run: mnemic models pull minilm"):
        MiniLM()
    with pytest.raises(InputError, match="threads"):
        MiniLM(threads=0)


def test_minilm_with_damaged_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    pytest.importorskip("onnxruntime", reason="needs mnemic[dense]")
    (tmp_path / "model.onnx").write_bytes(b"damaged")
    monkeypatch.setattr(models, "require", lambda name: tmp_path)
    with pytest.raises(ModelError, match=r"cannot load .* run: mnemic models pull minilm"):
        MiniLM()


# ---- a service -----------------------------------------------------------------------------------------------------

DIM = 5


def vector_of(text: str) -> list[float]:
    """Three times a unit vector that depends on the text."""
    row = np.random.default_rng(sum(text.encode())).normal(size=DIM)
    return (3 * row / np.linalg.norm(row)).tolist()


def good(texts: list[str]) -> tuple[int, dict[str, str], Any]:
    items = [{"index": index, "embedding": vector_of(text)} for index, text in enumerate(texts)]
    return 200, {}, {"data": items[::-1]}  # the order is the index's business


@pytest.fixture
def service() -> Iterator[SimpleNamespace]:
    """A service that plays ``script`` (one answer per request), then answers well; ``seen`` records the requests."""
    state = SimpleNamespace(script=[], seen=[])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.seen.append(SimpleNamespace(path=self.path, key=self.headers["Authorization"], **body))
            answer: Callable[[list[str]], tuple[int, dict[str, str], Any]] = (
                state.script.pop(0) if state.script else good
            )
            status, headers, content = answer(body["input"])
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                pass  # the client hung up, as one of the tests wants it to

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(dense, "time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def fails(status: int, headers: dict[str, str] | None = None) -> Callable[[list[str]], tuple[int, dict[str, str], Any]]:
    return lambda texts: (status, headers or {}, {"error": {"message": f"no luck, {status}"}})


def says(content: Any) -> Callable[[list[str]], tuple[int, dict[str, str], Any]]:
    return lambda texts: (200, {}, content)


def test_endpoint_encodes_in_batches_and_in_order(service: SimpleNamespace) -> None:
    encoder = Endpoint("some-model", service.url + "/", batch=2)
    texts = ["a", "", "bb", "  ", "ccc"]
    vectors = encoder.encode(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, DIM)
    for text, vector in zip(texts, vectors, strict=True):
        expected = np.array(vector_of(text)) / 3 if text.strip() else np.zeros(DIM)
        np.testing.assert_allclose(vector, expected, atol=1e-6)
    assert [(request.path, request.model, request.input) for request in service.seen] == [
        ("/v1/embeddings", "some-model", ["a", "bb"]),
        ("/v1/embeddings", "some-model", ["ccc"]),
    ]
    assert encoder.dim == DIM
    assert len(service.seen) == 2, "the answers told the dimension"
    assert isinstance(encoder, DenseEncoder)
    assert encoder.encode([]).shape == (0, DIM)
    encoder.close()


def test_endpoint_asks_for_its_dimension_once(service: SimpleNamespace) -> None:
    encoder = Endpoint("m", service.url)
    assert service.seen == [], "nothing is sent before it is asked"
    assert (encoder.dim, encoder.dim) == (DIM, DIM)
    assert len(service.seen) == 1


def test_endpoint_marks_texts_and_queries(service: SimpleNamespace) -> None:
    encoder = Endpoint("m", service.url, dim=DIM, text_prefix="passage: ", query_prefix="query: ")
    encoder.encode(["a"])
    assert encoder.encode_query("a").shape == (DIM,)
    assert [request.input for request in service.seen] == [["passage: a"], ["query: a"]]


def test_endpoint_reads_its_key_from_the_environment(service: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Endpoint("m", service.url, key_env="MY_KEY")
    encoder.encode(["a"])
    monkeypatch.setenv("MY_KEY", "secret")
    encoder.encode(["a"])
    assert [request.key for request in service.seen] == [None, "Bearer secret"]
    assert "secret" not in repr(encoder) + encoder.name


def test_endpoint_tries_again(service: SimpleNamespace, sleeps: list[float]) -> None:
    service.script = [fails(500), fails(503), fails(429, {"Retry-After": "7"})]
    Endpoint("m", service.url).encode(["a"])
    assert len(service.seen) == 4
    assert sleeps == [0.5, 1.0, 7.0]


def test_endpoint_gives_up(service: SimpleNamespace, sleeps: list[float]) -> None:
    service.script = [fails(500)] * 9
    with pytest.raises(LanguageError, match=r"did not answer in 3 attempts; the last: status 500.*no luck"):
        Endpoint("m", service.url, retries=2).encode(["a"])
    assert len(service.seen) == 3
    assert len(sleeps) == 2, "no wait after the last attempt"


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "set OPENAI_API_KEY"), (403, "set OPENAI_API_KEY"), (400, "no luck"), (404, "address")],
)
def test_endpoint_does_not_repeat_what_cannot_succeed(
    service: SimpleNamespace, sleeps: list[float], status: int, message: str
) -> None:
    service.script = [fails(status)]
    with pytest.raises(LanguageError, match=message):
        Endpoint("m", service.url).encode(["a"])
    assert len(service.seen) == 1
    assert sleeps == []


def test_endpoint_that_is_slow_or_gone(service: SimpleNamespace, sleeps: list[float]) -> None:
    def slow(texts: list[str]) -> tuple[int, dict[str, str], Any]:
        time.sleep(0.6)
        return good(texts)

    service.script = [slow]
    assert Endpoint("m", service.url, timeout=0.2).encode(["a"]).shape == (1, DIM), "the second attempt is quick"
    service.script = [slow, slow]
    with pytest.raises(LanguageError, match="2 attempts; the last: ReadTimeout"):
        Endpoint("m", service.url, timeout=0.2, retries=1).encode(["a"])
    with pytest.raises(LanguageError, match="ConnectError"):
        Endpoint("m", "http://127.0.0.1:1/v1", retries=1).encode(["a"])


ITEM = {"index": 0, "embedding": [1.0] * DIM}


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>hello</html>",
        b"",
        [],
        {},
        {"data": None},
        {"data": []},
        {"data": [ITEM]},
        {"data": [ITEM, ITEM]},
        {"data": [ITEM, {"index": 1}]},
        {"data": [ITEM, {"index": 1, "embedding": "AAAA"}]},
        {"data": [ITEM, {"index": 1, "embedding": [1.0]}]},
        {"data": [ITEM, {"index": 1, "embedding": 1.0}]},
        {"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]},
        {"data": [ITEM, {"index": 1, "embedding": [0.0] * DIM}]},
        {"data": [ITEM, {"index": 1, "embedding": [float("nan")] * DIM}]},
        {"data": [ITEM, {"index": 1, "embedding": [None] * DIM}]},
        {"data": [ITEM, {"index": 1, "embedding": [1.0] * DIM}, {"index": 2, "embedding": [1.0] * DIM}]},
    ],
)
def test_endpoint_refuses_nonsense(service: SimpleNamespace, answer: Any) -> None:
    service.script = [says(answer)]
    with pytest.raises(LanguageError, match="openai:m@http"):
        Endpoint("m", service.url).encode(["a", "b"])
    assert len(service.seen) == 1


def test_endpoint_notices_another_dimension(service: SimpleNamespace) -> None:
    encoder = Endpoint("m", service.url)
    encoder.encode(["a"])
    service.script = [says({"data": [{"index": 0, "embedding": [1.0] * 7}]})]
    with pytest.raises(LanguageError, match=f"7 numbers where {DIM} were expected"):
        encoder.encode(["a"])
    told = Endpoint("m", service.url)
    told.dim = 9
    with pytest.raises(LanguageError, match="where 9 were expected"):
        told.encode(["a"])


def test_endpoint_serves_threads(service: SimpleNamespace) -> None:
    encoder = Endpoint("m", service.url)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda text: encoder.encode([text])[0], "abcdefgh"))
    for text, row in zip("abcdefgh", rows, strict=True):
        np.testing.assert_allclose(row, np.array(vector_of(text)) / 3, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "url", "options"),
    [
        ("", "http://x", {}),
        ("m", "x.org", {}),
        ("m", "http://x", {"batch": 0}),
        ("m", "http://x", {"timeout": 0}),
        ("m", "http://x", {"retries": -1}),
        ("m", "http://x", {"dim": 0}),
    ],
)
def test_endpoint_refuses_bad_settings(model: str, url: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Endpoint(model, url, **options)


# ---- Sentence Transformers -----------------------------------------------------------------------------------------


class FakeLibraryModel:
    """Stands in for the library's class: same calls, vectors of length two, another one for the query prompt."""

    def __init__(self, name: str, device: str | None = None) -> None:
        if name == "absent":
            raise OSError("absent is not a local folder and is not a valid model identifier")
        self.prompts = {"query": "query: "} if name == "asymmetric" else {}

    def get_sentence_embedding_dimension(self) -> int:
        return 3

    def encode(self, texts: list[str], *, prompt_name: str | None, convert_to_numpy: bool, **options: Any) -> Any:
        assert convert_to_numpy
        assert all(texts), "blank texts are not sent"
        return np.tile([0, 2, 0] if prompt_name == "query" else [2, 0, 0], (len(texts), 1)).astype(np.float32)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=FakeLibraryModel))


@pytest.mark.usefixtures("library")
def test_sentence_transformer_adapter() -> None:
    encoder = SentenceTransformer("symmetric")
    assert (encoder.name, encoder.dim) == ("st:symmetric", 3)
    np.testing.assert_array_equal(encoder.encode(["a", " ", "b"]), [[1, 0, 0], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(encoder.encode_query("a"), [1, 0, 0])
    np.testing.assert_array_equal(SentenceTransformer("asymmetric").encode_query("a"), [0, 1, 0])
    assert isinstance(encoder, DenseEncoder)
    with pytest.raises(ModelError, match="cannot load absent"):
        SentenceTransformer("absent")


def test_sentence_transformer_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mnemic\[sentence-transformers\]'"):
        encode.get("st:any")


# ---- by name -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("library")
def test_encoders_by_name() -> None:
    assert encode.get("openai:text-embedding-3-small").name == "openai:text-embedding-3-small@https://api.openai.com/v1"
    assert encode.get("openai:org/m:v1@http://localhost:11434/v1").name == "openai:org/m:v1@http://localhost:11434/v1"
    assert encode.get("st:org/name").name == "st:org/name"
    for name in ("nope", "", "minilm:x"):
        with pytest.raises(NotFoundError, match="the names are splade-tiny"):
            encode.get(name)
    for name in ("openai:", "st:", "st", "splade:"):
        with pytest.raises(InputError, match="does not say which model"):
            encode.get(name)
