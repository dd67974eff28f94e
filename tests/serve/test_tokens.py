"""Tokens: kept as hashes, checked in constant time, refused the moment they are revoked; and logins."""

from __future__ import annotations

import hmac
import json
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.errors import ForbiddenError, InputError, NotFoundError, StoreError
from mnemic.serve.logins import IDLE, TICKET, Logins
from mnemic.serve.tokens import EVERY, LOCAL, PREFIX, Principal, Scope, Tokens
from mnemic.text.steps import secrets as masking

ADMIN = {EVERY: [Scope.ADMIN]}
SPACES = ("a", "b", "*")
GRANTS = st.dictionaries(st.sampled_from(SPACES), st.frozensets(st.sampled_from(list(Scope)), min_size=1))


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "store" / "tokens.json")


def test_a_token_is_known_again_and_only_its_hash_is_kept(tokens: Tokens) -> None:
    secret = tokens.create("laptop", {"a": [Scope.WRITE, Scope.READ]})
    assert secret.startswith(PREFIX)
    assert len(secret) >= len(PREFIX) + 43  # 256 bits
    found = tokens.check(secret)
    assert found is not None
    assert found.name == "laptop"
    assert found.grants == {"a": {Scope.READ, Scope.WRITE}}
    for file in tokens.path.parent.iterdir():
        assert secret.removeprefix(PREFIX) not in file.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_the_file_is_for_its_owner_only_whatever_the_umask(tokens: Tokens) -> None:
    before = os.umask(0)
    try:
        tokens.create("a", ADMIN)
        tokens.create("b", ADMIN)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in tokens.path.parent.iterdir()} == {0o600}


@given(st.text())
def test_no_other_text_is_a_token(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    tokens = Tokens(tmp_path_factory.getbasetemp() / "guess" / "tokens.json")
    if not tokens.all():
        tokens.create("a", ADMIN)
    assert tokens.check(text) is None
    assert tokens.check(PREFIX + text) is None


def test_every_hash_is_compared_in_constant_time_whether_one_fits_or_not(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = [tokens.create(str(n), ADMIN) for n in range(3)]
    compared: list[bytes] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append(left)
        return left == right

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for secret in (*secrets, "mnk_wrong"):
        compared.clear()
        tokens.check(secret)
        assert len(compared) == 3


def test_a_revoked_token_is_refused_at_once_in_other_processes_too(tokens: Tokens) -> None:
    secret = tokens.create("a", ADMIN)
    server = Tokens(tokens.path)  # as another process sees the file
    assert server.check(secret) is not None
    tokens.revoke(tokens.all()[0].id)
    assert server.check(secret) is None
    with pytest.raises(NotFoundError):
        tokens.revoke("nobody")


def test_a_token_ends_when_it_expires(tmp_path: Path) -> None:
    now = datetime(2024, 3, 1, tzinfo=UTC)
    tokens = Tokens(tmp_path / "tokens.json", clock=lambda: now)
    secret = tokens.create("a", ADMIN, expires=now + timedelta(hours=1))
    assert tokens.check(secret) is not None
    now += timedelta(hours=1)
    assert tokens.check(secret) is None
    assert [info.name for info in tokens.all()] == ["a"]  # still listed
    with pytest.raises(InputError, match="of no use"):
        tokens.create("late", ADMIN, expires=now)


def test_several_who_make_tokens_at_once_lose_none(tokens: Tokens) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = list(pool.map(lambda n: Tokens(tokens.path).create(str(n), ADMIN), range(24)))
    assert len(tokens.all()) == 24
    assert all(tokens.check(secret) for secret in secrets)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"tokens": [{}]}', '{"tokens": 5}', "\x00"])
def test_a_damaged_file_is_told_and_left_alone(tokens: Tokens, text: str) -> None:
    tokens.create("a", ADMIN)
    tokens.path.write_text(text)
    for call in (tokens.all, lambda: tokens.check("x"), lambda: tokens.create("b", ADMIN)):
        with pytest.raises(StoreError, match=r"tokens\.json"):
            call()
    assert tokens.path.read_text() == text


def test_what_is_stored_can_be_read_by_others(tokens: Tokens) -> None:
    tokens.create("a", {"b": [Scope.READ]}, expires=datetime(2999, 1, 1, tzinfo=UTC))
    told = json.loads(tokens.path.read_text())
    assert told["tokens"][0]["grants"] == {"b": ["read"]}
    assert len(told["tokens"][0]["sha256"]) == 64


@pytest.mark.parametrize("grants", [{}, {"a": []}, {"a": [Scope.READ], "b": []}])
def test_a_token_that_allows_nothing_is_refused(tokens: Tokens, grants: dict[str, list[Scope]]) -> None:
    with pytest.raises(InputError):
        tokens.create("a", grants)
    assert not tokens.all()


@given(GRANTS, st.sampled_from([*SPACES, "c"]), st.sampled_from(list(Scope)))
def test_what_a_token_may(grants: dict[str, frozenset[Scope]], space: str, scope: Scope) -> None:
    """Against the rules written out: a scope counts in its own space or in all; admin stands for every scope."""
    rules = [
        (where, what)
        for where, scopes in grants.items()
        for granted in scopes
        for what in (Scope if granted is Scope.ADMIN else [granted])
    ]
    expected = (space, scope) in rules or ("*", scope) in rules
    principal = Principal("p", "p", grants)
    assert principal.may(space, scope) == expected
    if expected:
        principal.need(space, scope)
    else:
        with pytest.raises(ForbiddenError):
            principal.need(space, scope)
    named = [each for each in ("a", "b", "c") if each in grants or "*" in grants]
    assert principal.sees(["a", "b", "c"]) == named


def test_a_session_of_a_browser_ends_with_its_token(tokens: Tokens) -> None:
    logins = Logins(tokens)
    cookie = logins.open(tokens.check(tokens.create("a", ADMIN)) or LOCAL)
    found = logins.principal(cookie)
    assert found is not None
    assert found.name == "a"
    tokens.revoke(found.id)
    assert logins.principal(cookie) is None


def test_a_session_ends_when_it_is_closed_or_not_used(tokens: Tokens) -> None:
    now = 0.0
    logins = Logins(tokens, clock=lambda: now)
    kept, closed, idle = (logins.open(LOCAL) for _ in range(3))
    logins.close(closed)
    assert logins.principal(closed) is None
    now += IDLE - 1
    assert logins.principal(kept) is LOCAL
    now += 2
    assert logins.principal(kept) is LOCAL
    assert logins.principal(idle) is None
    assert logins.principal("no such session") is None


def test_a_login_link_works_once_and_not_for_long(tokens: Tokens) -> None:
    now = 0.0
    logins = Logins(tokens, clock=lambda: now)
    ticket, late = logins.ticket(), logins.ticket()
    assert logins.redeem(ticket) is LOCAL
    assert logins.redeem(ticket) is None
    now += TICKET + 1
    assert logins.redeem(late) is None


def test_neither_cookies_nor_links_are_kept_as_they_are(tokens: Tokens) -> None:
    logins = Logins(tokens)
    cookie, ticket = logins.open(LOCAL), logins.ticket()
    assert cookie not in repr(vars(logins))
    assert ticket not in repr(vars(logins))
    assert ticket.startswith(PREFIX)  # so that logs are scrubbed of it


def test_a_token_that_somebody_says_is_masked_like_any_secret(tokens: Tokens) -> None:
    secret = tokens.create("a", ADMIN)
    assert (
        masking.mask(f"Take {secret} for now.", masking.find(f"Take {secret} for now.")) == "Take [secret:key] for now."
    )


def test_sessions_are_bounded(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnemic.serve.logins.MOST", 3)
    logins = Logins(tokens)
    first, *others = (logins.open(LOCAL) for _ in range(4))
    assert logins.principal(first) is None
    assert all(logins.principal(cookie) is LOCAL for cookie in others)
