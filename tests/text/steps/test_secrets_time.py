"""Secrets: the time that looking for them takes."""

from __future__ import annotations

import time

import pytest

from mnemic.text.steps.secrets import find


def seconds(text: str) -> float:
    start = time.process_time()
    find(text)
    return time.process_time() - start


def test_five_megabytes_without_secrets_take_well_under_a_second_and_a_half() -> None:
    prose = "The quick brown fox said that we should go to the market on Saturday at 5pm with 3 friends. "
    assert seconds(prose * (5_000_000 // len(prose))) < 1.5


@pytest.mark.parametrize(
    "unit",
    [
        "password ",
        "password is ",
        'pw "',
        "pw: a1",
        "eyJ",
        "eyJaaaaaaa.",
        "4",
        "4 ",
        "4444 ",
        "://a:",
        "://a:b@",
        " ",
        "\n",
        "sk-",
        "a-",
        "GB29 ",
        "-----BEGIN PRIVATE" + " KEY-----\n",
        "seed phrase ",
        "pin 1 2 3 4 ",
        "[secret:",
        "code for the ",
        "token=",
        "password is a,",
        "İ",
        "a.b@",
        "x/",
    ],
)
def test_time_is_linear_on_adversarial_text(unit: str) -> None:
    small, large = (unit * (size // len(unit)) for size in (20_000, 160_000))
    base, grown = (min(seconds(text) for _ in range(3)) for text in (small, large))
    assert grown < 8 * 4 * base + 0.1
