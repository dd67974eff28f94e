"""Names that come from where they live on first use, so that importing their package stays cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from mnemic.errors import MissingExtraError

_TORCH = ("torch", "transformers", "safetensors")


def names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of ``package``: ``homes`` are its names and the modules below it that they live in.

    It raises AttributeError for another name, and :class:`MissingExtraError` where what the extra ``[torch]`` installs
    is missing."""

    def found(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with torch_needed(package):
            return getattr(import_module(f"{package}.{homes[name]}"), name)

    return found


@contextmanager
def torch_needed(by: str) -> Iterator[None]:
    """Imports inside that fail for want of the extra ``[torch]`` raise :class:`MissingExtraError`, which says who needs
    it and the pip line."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in _TORCH:
            raise
        raise MissingExtraError(f"{by} needs {error.name}: install it with: pip install 'mnemic[torch]'") from error
