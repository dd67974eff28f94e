"""Conversations made by rule, the same for the same seed: small samples for every suite path, and streams of updates.

They test mechanics (is the newest value first, is a needle found at any depth, does confidence fall where nothing is
stored), with wording far more regular than people's: numbers on them are for comparison with other numbers on them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mnemic.bench.suite import Case, Question
from mnemic.text.record import Turn

START = datetime(2024, 1, 6, 18, tzinfo=UTC)
NAMES = "Ada Bruno Clara Dimitri Elena Farid Greta Hugo Ines Jonas Katya Luis Mara Nils Olga Pavel Rosa Sven".split()
SIBLINGS = "Nora Felix Wanda Oskar Paula Rafael Selma Tobias".split()
NICKNAMES = "Bean Sparky Mop Duchess Tank Pepper Owl Ziggy".split()


@dataclass(frozen=True, slots=True)
class Relation:
    """Something true of a person until it changes: ways to ``say`` it, to ``ask`` for it and for the value before.

    The first way to say it shares its words with the question, the second does not.
    """

    ask: str
    former: str
    say: tuple[str, ...]
    listed: str

    @property
    def values(self) -> list[str]:
        return self.listed.split(", ")


RELATIONS: dict[str, Relation] = {
    "home": Relation(
        "Which town does {who} live in now?",
        "Which town did {who} live in before {new}?",
        ("I live in {v} now, the town is lovely.", "We found a flat in {v}, so that is home from today."),
        "Lisbon, Tampere, Ghent, Trieste, Cork, Malmo, Porto, Graz",
    ),
    "job": Relation(
        "What does {who} work as now?",
        "What did {who} work as before becoming a {new}?",
        ("I work as a {v} now, I started on Monday.", "They hired me as a {v}, can you believe it?"),
        "baker, surveyor, florist, translator, glazier, optician, beekeeper, tram driver",
    ),
    "pet": Relation(
        "What kind of animal does {who} keep now?",
        "What kind of animal did {who} keep before the {new}?",
        (
            "I keep a {v} now, such a gentle animal.",
            "A {v} sleeps on my sofa, I adopted it today.",
        ),
        "ferret, greyhound, parrot, tortoise, hamster, tabby cat, poodle, rabbit",
    ),
    "music": Relation(
        "Which instrument is {who} learning now?",
        "Which instrument was {who} learning before the {new}?",
        ("I am learning the {v} now, what an instrument!", "My neighbours suffer: an hour of {v} every night."),
        "cello, accordion, oboe, banjo, harp, trombone, mandolin, clarinet",
    ),
    "sport": Relation(
        "Which sport does {who} practise now?",
        "Which sport did {who} practise before {new}?",
        ("I practise {v} now, a sport that hurts.", "Every Thursday I go to {v} now."),
        "fencing, rowing, curling, judo, badminton, bouldering, archery, handball",
    ),
    "car": Relation(
        "Which vehicle does {who} drive now?",
        "Which vehicle did {who} drive before the {new}?",
        ("I drive a {v} now, the oddest vehicle in our street.", "I bought a second-hand {v}, it only squeaks."),
        "camper van, scooter, station wagon, pickup, electric hatchback, cargo bike, convertible, minibus",
    ),
}
_HIDING = "biscuit tin, piano stool, blue teapot, laundry basket, boot rack, flour jar, toolbox, map drawer".split(", ")
_HIDDEN = "spare key, gift voucher, train ticket, opal ring, film roll, whistle, brass compass, old coin".split(", ")
_FEATS = (
    "ran a half marathon, repaired the roof, sang in the choir concert, planted forty tulips, "
    "swam across the lake, baked a wedding cake, finished the quilt, painted the fence"
).split(", ")
_WHEN = ("yesterday", "two days ago", "last night", "this morning")
_TALK = (
    "The weather has been {a} all week, hasn't it?",
    "I keep thinking about that {a} documentary we saw.",
    "Did you hear how {a} the market was on Saturday?",
    "My {n} broke again, so I spent the evening fixing it.",
    "Nothing new here, only the usual {n} and a lot of tea.",
    "You always know how to make a {a} day better.",
    "Somebody left a {n} in the hallway and nobody claims it.",
    "That sounds {a}, tell me more when we meet.",
    "I was looking for the {n} for an hour, then it was in my hand.",
    "We should plan a {a} dinner sometime soon.",
    "The bus was late because of a {n} on the road.",
    "Ha, that reminds me of the {a} trip with the {n}.",
)
_ADJECTIVES = (
    "grey splendid odd noisy gentle endless curious hectic lovely strange quiet crowded stormy cheerful".split()
)
_NOUNS = "umbrella kettle ladder lamp curtain bicycle pump suitcase hedge doorbell radiator blanket wheelbarrow".split()


def chatter(rng: random.Random, n: int) -> list[str]:
    """``n`` sentences of small talk that say nothing anybody asks about."""
    return [rng.choice(_TALK).format(a=rng.choice(_ADJECTIVES), n=rng.choice(_NOUNS)) for _ in range(n)]


@dataclass(slots=True)
class _Said:
    """A line that must be in the conversation at a session: who says it, what, and a label for questions."""

    session: int
    speaker: str
    text: str
    label: str


def conversation(name: str, rng: random.Random, *, sessions: int = 10, length: int = 16) -> Case:
    """Two people over ``sessions`` chats of ``length`` turns, with questions of every category.

    ``fact`` stated once; ``update`` the newest of two or three values (``meta["old"]`` holds the ids of the others);
    ``former`` the value before; ``alias`` a fact told of a nickname; ``date`` when something was done; ``none`` what
    nobody said of that person (half of them the other person said of themselves).
    """
    ours, theirs = rng.sample(NAMES, 2)
    lines: list[_Said] = []
    asked: list[
        tuple[str, str, list[str], list[str], str | None]
    ] = []  # category, text, gold labels, old labels, answer
    relations = rng.sample(sorted(RELATIONS), 5)
    for speaker in (ours, theirs):
        mine = relations[:3] if speaker == ours else relations[1:4]
        for place, key in enumerate(mine):
            relation = RELATIONS[key]
            times = 1 if place == 0 else rng.choice((2, 3))
            values = rng.sample(relation.values, times)
            when = sorted(rng.sample(range(sessions), times))
            labels = [f"{speaker}/{key}/{n}" for n in range(times)]
            for label, value, session in zip(labels, values, when, strict=True):
                lines.append(_Said(session, speaker, rng.choice(relation.say).format(v=value), label))
            kind = "fact" if times == 1 else "update"
            asked.append((kind, relation.ask.format(who=speaker), labels[-1:], labels[:-1], values[-1]))
            if times > 1:
                text = relation.former.format(who=speaker, new=values[-1])
                asked.append(("former", text, labels[-2:-1], [], values[-2]))
        missing = [key for key in relations if key not in mine]
        asked += [("none", RELATIONS[key].ask.format(who=speaker), [], [], None) for key in missing]
        sibling, nickname = rng.choice(SIBLINGS), rng.choice(NICKNAMES)
        first, later = sorted(rng.sample(range(sessions), 2))
        job = rng.choice(RELATIONS["job"].values)
        lines.append(
            _Said(first, speaker, f"Everybody in our family calls my sibling {sibling} {nickname}.", f"{speaker}/alias")
        )
        lines.append(_Said(later, speaker, f"{nickname} got an apprenticeship as a {job}!", f"{speaker}/nick"))
        text = f"What did {speaker}'s sibling {sibling} get an apprenticeship as?"
        asked.append(("alias", text, [f"{speaker}/nick", f"{speaker}/alias"], [], job))
        feat = rng.choice(_FEATS)
        lines.append(_Said(rng.randrange(sessions), speaker, f"I {feat} {rng.choice(_WHEN)}.", f"{speaker}/feat"))
        asked.append(("date", f"When was it that {speaker} {feat}?", [f"{speaker}/feat"], [], None))
    turns, at = _laid_out(lines, (ours, theirs), rng, sessions, length)
    session_of = {turn.id: turn.session or "" for turn in turns}
    questions = [
        Question(
            id=f"q{n}",
            text=text,
            category=category,
            gold=tuple(at[label] for label in gold),
            sessions=tuple(dict.fromkeys(session_of[at[label]] for label in gold)),
            answer=answer,
            answerable=bool(gold),
            meta={"old": tuple(at[label] for label in old)},
        )
        for n, (category, text, gold, old, answer) in enumerate(asked)
    ]
    return Case(name, turns, questions)


def _laid_out(
    lines: Sequence[_Said], speakers: tuple[str, str], rng: random.Random, sessions: int, length: int
) -> tuple[list[Turn], dict[str, str]]:
    """The turns of the conversation, small talk around the given lines, and the id at which each label came to be."""
    turns: list[Turn] = []
    at: dict[str, str] = {}
    for session in range(sessions):
        due: list[_Said | None] = [line for line in lines if line.session == session]
        due += [None] * max(0, length - len(due))
        rng.shuffle(due)
        for n, line in enumerate(due):
            speaker = line.speaker if line else speakers[n % 2]
            text = line.text if line else chatter(rng, 1)[0]
            id = f"t{len(turns)}"
            moment = START + timedelta(days=9 * session, minutes=n)
            turns.append(Turn(text, speaker=speaker, at=moment, session=f"session {session + 1}", id=id))
            if line:
                at[line.label] = id
    return turns, at


def needle(name: str, rng: random.Random, *, depth: float, size: int = 300) -> Case:
    """One fact at ``depth`` (0 oldest, 1 newest) of ``size`` turns of small talk, and the question for it."""
    ours, theirs = rng.sample(NAMES, 2)
    thing, hiding = rng.choice(_HIDDEN), rng.choice(_HIDING)
    place = round(depth * (size - 1))
    texts = chatter(rng, size)
    texts[place] = f"By the way, I put the {thing} behind the {hiding}."
    turns = [
        Turn(
            text,
            speaker=(ours, theirs)[n % 2],
            at=START + timedelta(days=n // 20, minutes=n % 20),
            session=f"session {n // 20 + 1}",
            id=f"t{n}",
        )
        for n, text in enumerate(texts)
    ]
    gold = turns[place]
    question = Question(
        id="q0",
        text=f"Where is the {thing}?",
        category="needle",
        gold=(gold.id or "",),
        sessions=(gold.session or "",),
        answer=hiding,
        meta={"depth": depth},
    )
    return Case(name, turns, [question])


def updates(rng: random.Random, times: int, *, between: int = 6) -> tuple[list[Turn], str]:
    """A stream in which one thing changes ``times`` times amid small talk, and the question for its present value.

    Turns that state a value have it in ``meta["value"]``.
    """
    ours, theirs = rng.sample(NAMES, 2)
    relation = RELATIONS[rng.choice(sorted(RELATIONS))]
    said: list[tuple[str, str, str]] = []
    for value in rng.sample(relation.values, times):
        said += [(rng.choice((ours, theirs)), text, "") for text in chatter(rng, between)]
        said.append((ours, rng.choice(relation.say).format(v=value), value))
    turns = [
        Turn(
            text,
            speaker=speaker,
            at=START + timedelta(days=3 * (n // (between + 1)), minutes=n),
            session=f"session {n // (between + 1) + 1}",
            id=f"t{n}",
            meta={"value": value} if value else {},
        )
        for n, (speaker, text, value) in enumerate(said)
    ]
    return turns, relation.ask.format(who=ours)
