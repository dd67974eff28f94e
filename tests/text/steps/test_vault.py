"""What is sensitive is masked by one rule: by the question for contact details, always for secrets."""

from __future__ import annotations

import pytest

from mnemic.text.record import Kind, Record, Span
from mnemic.text.steps.render import shown
from mnemic.text.steps.vault import GUARDED, asked_for, discreet, guarded

CARD = Record("r", Kind.TURN, "Call +351 912 345 678, write to ana@example.org, come to 12 Harbour Street, Porto.")


def test_contact_details_are_masked_unless_they_are_asked_for() -> None:
    assert shown(CARD) == CARD.text
    assert shown(guarded(CARD)) == "Call [secret:phone], write to ana@example.org, come to [secret:address], Porto."
    assert shown(guarded(CARD, {"phone"})).startswith("Call +351 912 345 678, ")
    assert shown(guarded(CARD, GUARDED)) == CARD.text
    assert discreet(CARD) == shown(guarded(CARD))
    plain = Record("r", Kind.TURN, "Nothing to hide.")
    assert guarded(plain) is plain


def test_secrets_stay_masked_whatever_is_allowed() -> None:
    record = Record("r", Kind.TURN, "The PIN is 4071, my phone is 555-0134.", secrets=(Span(11, 15, "pin"),))
    assert shown(guarded(record, GUARDED)) == "The PIN is [secret:pin], my phone is 555-0134."
    assert shown(guarded(record)) == "The PIN is [secret:pin], my phone is [secret:phone]."


def test_captions_are_guarded_too() -> None:
    record = Record("r", Kind.TURN, "Look, my phone!", caption="a card that says phone 020 7946 0958")
    assert shown(guarded(record)) == "Look, my phone! [shares an image: a card that says phone [secret:phone]]"


@pytest.mark.parametrize(
    ("question", "allowed"),
    [
        ("What is Ana's phone number?", {"phone"}),
        ("How can I reach Ana?", {"phone"}),
        ("Where does Ana live?", {"address"}),
        ("Which address shall I send the parcel to?", {"address"}),
        ("What does Ana like to eat?", set()),
        ("When did she move?", set()),
        ("", set()),
    ],
)
def test_what_a_question_asks_for(question: str, allowed: set[str]) -> None:
    assert asked_for(question) == allowed
