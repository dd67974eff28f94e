"""Dense encoders: MiniLM on this machine, any OpenAI-compatible embeddings service, any Sentence Transformers model."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnemic import models
from mnemic.errors import InputError, LanguageError, MissingExtraError, ModelError
from mnemic.text.encode.base import Floats

if TYPE_CHECKING:
    import httpx


class MiniLM:
    """all-MiniLM-L6-v2, int8 weights, in ONNX Runtime: mean of the token vectors, unit length, first 256 tokens.

    Source: Wang et al. 2020 (MiniLM); Reimers and Gurevych 2019 (mean pooling). Needs ``mnemic[dense]``. Safe to call
    from several threads. Raises MissingExtraError without ONNX Runtime, ModelError when weights are missing or damaged.
    """

    name = "minilm"
    dim = 384
    max_tokens = 256
    batch_tokens = 256
    """Padded tokens per batch. On one core larger batches are slower (78 instead of 97 short texts a second at 32)."""

    def __init__(self, *, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("minilm needs ONNX Runtime; run: pip install 'mnemic[dense]'") from error
        from tokenizers import Tokenizer

        if threads < 1:
            raise InputError(f"threads must be at least 1, not {threads}")
        weights = models.require(self.name) / "model.onnx"
        self.version = models.get(self.name).version
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A spinning worker burns a core between calls and, on a busy machine, slows the very call it waits for.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The arena keeps the peak of the largest batch ever seen for good, for a gain of nothing measurable here.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        try:
            self._session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
            tokenizer = models.require("splade-tiny") / "tokenizer.json"
            self._tokenizer = Tokenizer.from_str(tokenizer.read_text(encoding="utf-8"))
        except Exception as error:  # both libraries raise classes of their own, or bare Exception, for a bad file
            raise ModelError(f"cannot load {weights}: {error}; run: mnemic models pull {self.name}") from error
        self._tokenizer.enable_truncation(self.max_tokens)
        self._tokenizer.no_padding()
        self._inputs = {node.name for node in self._session.get_inputs()}

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32 [len(texts), 384]; a text without any word yields zeros. Raises InputError."""
        _check_texts(texts)
        tokens = [self._ids(text) for text in texts]
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for batch in self._batches([len(ids) for ids in tokens]):
            ids = np.zeros((len(batch), len(tokens[batch[-1]])), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, index in enumerate(batch):
                ids[row, : len(tokens[index])] = tokens[index]
                mask[row, : len(tokens[index])] = 1
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            hidden = self._session.run(None, {name: feed[name] for name in self._inputs})[0]
            vectors[batch] = np.einsum("btd,bt->bd", hidden, mask.astype(np.float32))
        return _unit(vectors)

    def encode_query(self, text: str) -> Floats:
        """Unit vector, float32 [384]: this model reads questions and texts alike."""
        vector: Floats = self.encode([text])[0]
        return vector

    def _ids(self, text: str) -> list[int]:
        try:
            ids: list[int] = self._tokenizer.encode(text).ids
        except (TypeError, UnicodeEncodeError) as error:
            raise InputError(f"a text to encode must be a string of valid Unicode: {error}") from error
        return ids if len(ids) > 2 else []

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Indices of texts of similar length, shortest first, so that little of a batch is padding."""
        batch: list[int] = []
        for index in sorted((i for i, length in enumerate(lengths) if length), key=lengths.__getitem__):
            if batch and lengths[index] * (len(batch) + 1) > self.batch_tokens:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch


class Endpoint:
    """Embeddings from any service that speaks ``POST {url}/embeddings`` as OpenAI does. Safe to use from threads.

    The key is read from the environment variable ``key_env`` at each request and sent only if set; local servers need
    none. ``dim`` may be left out: the first vector tells it. Some models want a marker before each text or question:
    ``text_prefix``, ``query_prefix``. Overload (429), server faults (5xx) and lost connections are tried ``retries``
    more times, waiting 0.5, 1, 2, ... seconds, at most 20, or as long as the server asks (``Retry-After``).
    Raises LanguageError when the service does not answer, or answers with something that is not the vectors asked for.
    """

    version = "served"
    """What the service runs under the model's name is not ours to know."""

    def __init__(
        self,
        model: str,
        url: str = "https://api.openai.com/v1",
        *,
        key_env: str = "OPENAI_API_KEY",
        dim: int | None = None,
        batch: int = 64,
        timeout: float = 60.0,
        retries: int = 4,
        backoff: float = 0.5,
        text_prefix: str = "",
        query_prefix: str = "",
    ) -> None:
        import httpx

        if not model:
            raise InputError("an embeddings endpoint needs the name of a model")
        if not url.startswith(("http://", "https://")):
            raise InputError(f"the endpoint's address must start with http:// or https://, not {url!r}")
        if batch < 1 or retries < 0 or timeout <= 0 or backoff < 0 or (dim is not None and dim < 1):
            raise InputError("batch and dim must be at least 1, timeout above 0, retries and backoff not negative")
        self.model = model
        self.url = url.rstrip("/")
        self.name = f"openai:{model}@{self.url}"
        self._key_env, self._dim, self._batch = key_env, dim, batch
        self._retries, self._backoff = retries, backoff
        self._prefixes = (text_prefix, query_prefix)
        self._client = httpx.Client(timeout=timeout)

    @property
    def dim(self) -> int:
        """Length of the vectors; asks the service once if neither the caller nor an answer has told it yet."""
        return self._dim or int(self._request(["dimension"]).shape[1])

    @dim.setter
    def dim(self, value: int) -> None:
        """What a stored space expects: answers of another length are then refused."""
        self._dim = value

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32 [len(texts), dim]; a blank text yields zeros and is not sent. Raises LanguageError."""
        return self._encode(texts, self._prefixes[0])

    def encode_query(self, text: str) -> Floats:
        """Unit vector of a question, float32 [dim]."""
        vector: Floats = self._encode([text], self._prefixes[1])[0]
        return vector

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _encode(self, texts: Sequence[str], prefix: str) -> Floats:
        _check_texts(texts)
        rows = [index for index, text in enumerate(texts) if text.strip()]
        batches = [rows[start : start + self._batch] for start in range(0, len(rows), self._batch)]
        answers = [self._request([prefix + texts[index] for index in batch]) for batch in batches]
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for batch, answer in zip(batches, answers, strict=True):
            vectors[batch] = answer
        return vectors

    def _request(self, texts: list[str]) -> Floats:
        response = self._post({"model": self.model, "input": texts, "encoding_format": "float"})
        try:
            rows = {int(item["index"]): item["embedding"] for item in response.json()["data"]}
            vectors = np.asarray([rows[index] for index in range(len(texts))], dtype=np.float32)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LanguageError(
                f"{self.name} did not answer with one vector for each of {len(texts)} texts ({type(error).__name__}: "
                f"{error}): {response.text[:200]!r}. Check that the address is that of an embeddings service"
            ) from error
        if vectors.ndim != 2 or len(rows) != len(texts):
            raise LanguageError(
                f"{self.name} answered {len(rows)} vectors of shape {vectors.shape[1:]} for {len(texts)} texts"
            )
        if self._dim is not None and vectors.shape[1] != self._dim:
            raise LanguageError(
                f"{self.name} answered vectors of {vectors.shape[1]} numbers where {self._dim} were expected; the "
                "model has changed: encode the space again, or name the model it was built with"
            )
        if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
            raise LanguageError(f"{self.name} answered a vector that is all zeros or not finite; check the service")
        self._dim = int(vectors.shape[1])
        return _unit(vectors)

    def _post(self, body: Mapping[str, Any]) -> httpx.Response:
        import httpx

        for attempt in range(self._retries + 1):
            wait = min(self._backoff * 2**attempt, 20.0)
            key = os.environ.get(self._key_env)
            try:
                response = self._client.post(
                    f"{self.url}/embeddings", json=body, headers={"Authorization": f"Bearer {key}"} if key else {}
                )
            except httpx.TransportError as error:
                fault: str = f"{type(error).__name__}: {error}"
            else:
                if response.is_success:
                    return response
                fault = f"status {response.status_code}: {response.text[:200]}"
                if response.status_code in (401, 403):
                    raise LanguageError(
                        f"{self.name} refused the request ({fault}); set {self._key_env} to a key for {self.model}"
                    )
                if response.status_code != 429 and response.status_code < 500:
                    raise LanguageError(f"{self.name} rejected the request ({fault}); check address and model name")
                asked = response.headers.get("Retry-After", "")
                wait = min(float(asked), 60.0) if asked.isdecimal() else wait
            if attempt < self._retries:
                time.sleep(wait)
        raise LanguageError(f"{self.name} did not answer in {self._retries + 1} attempts; the last: {fault}")


class SentenceTransformer:
    """Any model of the Sentence Transformers library, by hub name or local folder.

    Needs ``mnemic[sentence-transformers]``. A model that marks questions apart from texts (by a ``query`` prompt) is
    used that way.
    """

    version = "hub"

    def __init__(self, model: str | Path, *, batch: int = 32, device: str | None = None) -> None:
        try:
            import sentence_transformers
        except ImportError as error:
            raise MissingExtraError(f"{model} needs it; run: pip install 'mnemic[sentence-transformers]'") from error
        try:
            self._model = sentence_transformers.SentenceTransformer(str(model), device=device)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"cannot load {model} with Sentence Transformers: {error}") from error
        self.name = f"st:{model}"
        self._batch = batch
        # The method was renamed; both names are in use.
        measure = getattr(self._model, "get_embedding_dimension", None) or self._model.get_sentence_embedding_dimension
        dim = measure()
        if not dim:
            raise ModelError(f"{model} does not yield vectors of one fixed length; choose an embedding model")
        self.dim = int(dim)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32 [len(texts), dim]; a blank text yields zeros."""
        return self._encode(texts, None)

    def encode_query(self, text: str) -> Floats:
        """Unit vector of a question, float32 [dim]."""
        vector: Floats = self._encode([text], "query" if "query" in (self._model.prompts or {}) else None)[0]
        return vector

    def _encode(self, texts: Sequence[str], prompt: str | None) -> Floats:
        _check_texts(texts)
        rows = [index for index, text in enumerate(texts) if text.strip()]
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        if rows:
            vectors[rows] = self._model.encode(
                [texts[index] for index in rows],
                prompt_name=prompt,
                batch_size=self._batch,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return _unit(vectors)


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise InputError("encode takes a list of texts; write encode([text])")


def _unit(vectors: Floats) -> Floats:
    """Rows scaled to length one; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    unit: Floats = vectors / lengths
    return unit
