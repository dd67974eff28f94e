"""Every error Mnemic raises on purpose. Each message says what happened and what to do about it."""

from __future__ import annotations


class MnemicError(Exception):
    """Base class: catch this to catch everything Mnemic raises on purpose."""


class InputError(MnemicError, ValueError):
    """An argument, a turn, a query or a file is not usable; nothing was stored."""


class NotFoundError(MnemicError, LookupError):
    """The named memory, space, model or system does not exist."""


class ConflictError(MnemicError):
    """The write contradicts what is stored (same id, other text; a stale version); nothing was stored."""


class StoreError(MnemicError):
    """The store cannot be opened, read or written (other application, newer schema, disk full, read-only)."""


class ModelError(MnemicError):
    """Model weights are missing, damaged or cannot be fetched."""


class LanguageError(MnemicError):
    """The language model did not answer, or answered with something unusable, after the one repair retry."""


class TrainingError(MnemicError):
    """A training cannot go on: its loss is no number."""


class MissingExtraError(MnemicError, ImportError):
    """An optional dependency is not installed; the message names the exact pip line."""


class UnauthorizedError(MnemicError):
    """A server was asked without a token, or with one it does not know."""


class ForbiddenError(MnemicError):
    """The token does not allow this in that space."""


class LimitError(MnemicError):
    """A request is too large, or came too soon; ``retry_after`` is how many seconds to wait, None if it never fits."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
