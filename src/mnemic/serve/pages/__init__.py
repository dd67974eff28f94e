"""The web pages: chat, search, timeline, graph and the care of a memory, in the same process as everything else.

Built with NiceGUI and mounted last, at ``/``. The server makes every page, the browser only shows it; nothing is
loaded from another host. :class:`~mnemic.serve.pages.visit.Visit` is the only way from a page to a memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemic.errors import MissingExtraError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mnemic.serve.service import Service


def attach(app: FastAPI, service: Service) -> None:
    """Put the pages on ``app``, after everything else: they answer for every address that nobody took.

    Raises :class:`MissingExtraError` without NiceGUI.
    """
    try:
        import nicegui  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the pages need NiceGUI: pip install 'mnemic[ui]'") from error
    from mnemic.serve.pages.mount import mount

    mount(app, service)
