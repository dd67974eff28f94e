"""Words as tokens: the vocabulary of a generated language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mnemic.errors import InputError


class Words:
    """A word for every token and back; 0 is padding."""

    PAD = "_"

    def __init__(self, words: Iterable[str]) -> None:
        self._words = list(dict.fromkeys([self.PAD, *words]))
        self._tokens = {word: token for token, word in enumerate(self._words)}

    def __len__(self) -> int:
        return len(self._words)

    def __contains__(self, word: object) -> bool:
        return word in self._tokens

    def read(self, words: Iterable[str]) -> list[int]:
        """Raises :class:`InputError` for a word that there is not."""
        try:
            return [self._tokens[word] for word in words]
        except KeyError as error:
            raise InputError(f"{error} is no word of this task") from None

    def say(self, tokens: Sequence[int]) -> str:
        return " ".join(self._words[token] for token in tokens)
