"""Sentences hidden in a book, asked for in a chat as ``mnemic attend`` does it: the whole way, at any length."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any

from mnemic.attention.policy import Policy
from mnemic.attention.session import attach
from mnemic.bench import machine
from mnemic.cli.attend import prompt

Fact = tuple[str, str, str]
"""A sentence, a question about it, and what a right answer contains."""

TUNING: tuple[Fact, ...] = (
    ("The secret code of the vault is 48213.", "What is the secret code of the vault?", "48213"),
    ("Professor Quintavalle keeps his parrot in a lighthouse near Bergen.",
     "Where does Professor Quintavalle keep his parrot?", "lighthouse"),
    ("The passkey is 77120. Remember it: 77120 is the passkey.", "What is the passkey?", "77120"),
    ("The best thing to do in Lisbon is to eat a custard tart at the Alfama market.",
     "What is the best thing to do in Lisbon?", "custard"),
    ("Aunt Philippa's sailing boat is called the Marigold.", "What is the name of Aunt Philippa's sailing boat?",
     "Marigold"),
    ("The telephone number of the harbour office is 5530194.", "What is the telephone number of the harbour office?",
     "5530194"),
    ("The blue suitcase was left at the railway station of Salzburg.", "Where was the blue suitcase left?", "Salzburg"),
    ("Captain Orlov was born in the year 1871.", "In which year was Captain Orlov born?", "1871"),
    ("The gardener's favourite soup is made of pumpkin.", "What is the gardener's favourite soup made of?", "pumpkin"),
    ("The magic word that opens the iron gate is bellflower.", "What is the magic word that opens the iron gate?",
     "bellflower"),
    ("Mrs. Tolliver paid ninety-four crowns for the old violin.", "How much did Mrs. Tolliver pay for the old violin?",
     "ninety"),
    ("The train to Trieste leaves at half past six.", "When does the train to Trieste leave?", "half past six"),
)  # fmt: skip
"""What settings for the small model were chosen with, in the first of :data:`BOOKS`."""
FACTS: tuple[Fact, ...] = (
    ("The number of the locker is 30975.", "What is the number of the locker?", "30975"),
    ("Doctor Abernathy hid the silver compass under the piano.", "Where did Doctor Abernathy hide the silver compass?",
     "piano"),
    ("The special magic number is 615204. Remember it: 615204 is the special magic number.",
     "What is the special magic number?", "615204"),
    ("The best thing to do in Kyoto is to walk along the river with a paper lantern.",
     "What is the best thing to do in Kyoto?", "lantern"),
    ("Uncle Lorenzo's horse is called Thunderbolt.", "What is the name of Uncle Lorenzo's horse?", "Thunderbolt"),
    ("The account number of the widow is 8841207.", "What is the account number of the widow?", "8841207"),
    ("The red umbrella was found in the cathedral of Toledo.", "Where was the red umbrella found?", "Toledo"),
    ("Inspector Haldane retired in the year 1903.", "In which year did Inspector Haldane retire?", "1903"),
    ("The miller's favourite cake is made of walnuts.", "What is the miller's favourite cake made of?", "walnut"),
    ("The password of the smugglers is nightingale.", "What is the password of the smugglers?", "nightingale"),
    ("Mr. Fenwick sold the copper kettle for twelve shillings.", "For how much did Mr. Fenwick sell the copper kettle?",
     "twelve"),
    ("The ferry to Gotland arrives at a quarter to nine.", "When does the ferry to Gotland arrive?", "quarter to nine"),
)  # fmt: skip
BOOKS = ("72600", "72578", "72958", "72869", "72972")
"""Project Gutenberg's numbers. The first is for tuning."""
PREFACE = 3000
"""Characters at the beginning of a book that are left out: its title, licence and contents."""
PASSAGE = 2400
"""Characters of the passage in the control ``passage``, which the model reads by itself."""


def planted(folder: Path, book: str, characters: int, facts: tuple[Fact, ...]) -> str:
    """The beginning of a book with the sentences in it, 5 to 85 % deep, in an order of their own."""
    text = gzip.decompress((folder / f"{book}.txt.gz").read_bytes()).decode("utf-8")[PREFACE : PREFACE + characters]
    length = len(text)
    for i, (sentence, _, _) in enumerate(facts):
        at = text.index(". ", int(length * (0.05 + 0.8 * (5 * i % len(facts)) / len(facts)))) + 2
        text = f"{text[:at]}{sentence} {text[at:]}"
    return text


def measure(
    model: Any, tokenizer: Any, name: str, policy: Policy, folder: Path, book: str, characters: int
) -> list[dict[str, Any]]:
    """Which of the facts are told; ``name`` is ``passage`` for the control that reads the surroundings alone."""
    facts = TUNING if book == BOOKS[0] else FACTS
    text = planted(folder, book, characters, facts)
    whole, _ = prompt(tokenizer, text, "")
    hits, longest, read = [], 0, 0.0
    with attach(model, policy) as session:
        if name != "passage":
            began = time.perf_counter()
            session.prefill(whole)
            read = time.perf_counter() - began
        for sentence, question, wanted in facts:
            at = text.index(sentence)
            around, asked = prompt(tokenizer, text[max(0, at - PASSAGE // 2) : at + PASSAGE // 2], question)
            fork = session.fork()
            if name == "passage":
                fork.prefill(around)
            longest = max(longest, fork.rows[0].seen)
            fork.prefill(asked)
            hits.append(int(wanted in tokenizer.decode(fork.generate(24)[0])))
    return [{"policy": name, "book": book, "characters": characters, "tokens": longest, "hits": hits,
             "read_s": round(read, 1), "load": machine.load()}]  # fmt: skip
