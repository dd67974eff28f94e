"""Sessions of browsers: a cookie in place of a token, and a link that logs in once."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mnemic.serve.tokens import LOCAL, PREFIX, Principal, Tokens

COOKIE = "mnemic_session"
IDLE = 12 * 3600.0
"""Seconds after which an unused session ends."""
TICKET = 3600.0
"""Seconds for which a login link works."""
MOST = 10_000
"""Sessions kept; the longest unused go first."""


@dataclass(frozen=True)
class _Session:
    principal: str
    used: float


class Logins:
    """Who is logged in. Sessions live as long as the process, and end with the token that opened them.

    Only hashes of cookies and links are kept.
    """

    def __init__(self, tokens: Tokens, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens = tokens
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}
        self._tickets: dict[str, _Session] = {}

    def open(self, principal: Principal) -> str:
        """The value of the cookie for a new session of ``principal``."""
        return self._keep(self._sessions, principal.id, secrets.token_urlsafe(32))

    def principal(self, cookie: str) -> Principal | None:
        """Whose session it is; None if it ended, or its token was revoked."""
        key = _hash(cookie)
        with self._lock:
            session = self._sessions.pop(key, None)
            if session is None or self._clock() - session.used > IDLE:
                return None
            self._sessions[key] = _Session(session.principal, self._clock())
        return self._alive(session.principal)

    def close(self, cookie: str) -> None:
        """End the session, if there is one."""
        with self._lock:
            self._sessions.pop(_hash(cookie), None)

    def ticket(self, principal: Principal = LOCAL) -> str:
        """A secret for a link that logs in as ``principal`` once, within an hour."""
        return self._keep(self._tickets, principal.id, PREFIX + secrets.token_urlsafe(32))

    def redeem(self, ticket: str) -> Principal | None:
        """Whom the ticket lets in; it is used up."""
        with self._lock:
            found = self._tickets.pop(_hash(ticket), None)
        if found is None or self._clock() - found.used > TICKET:
            return None
        return self._alive(found.principal)

    def _keep(self, table: dict[str, _Session], principal: str, secret: str) -> str:
        with self._lock:
            while len(table) >= MOST:
                del table[next(iter(table))]
            table[_hash(secret)] = _Session(principal, self._clock())
        return secret

    def _alive(self, id: str) -> Principal | None:
        return LOCAL if id == LOCAL.id else self._tokens.principal(id)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
