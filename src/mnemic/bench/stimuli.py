"""Study items and their foils for tests of recognition and recall (Orhan, arXiv 2303.17557, section 2).

Six kinds of pairs: a natural sentence against another one, against its paraphrase, against itself with words replaced
by synonyms; a string of random words against another one, or against a natural sentence; a sentence with letters and
words in disorder against a natural one. They come from the original's files, which are the user's own, or are made by
rule from a seed. Rules write plainer sentences than people do, and sentences that resemble each other more.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mnemic.bench.suite import required
from mnemic.errors import InputError, NotFoundError

KINDS: dict[str, str] = {
    "natural": "expt1",
    "paraphrase": "expt2",
    "synonym": "expt3",
    "words": "expt4",
    "words-natural": "expt5",
    "letters": "expt6",
}
"""The kinds of pairs, and the folder of the original's files (github.com/eminorhan/llm-memory) that holds each."""
FOLDER = "llm-memory"
_WORDS = 14
"""Words of a generated random string: about as many letters as a generated sentence."""

# Pairs of synonyms; which of the two is studied is drawn by lot, so that nothing but study tells a foil.
_PEOPLE = (
    "old/elderly quiet/silent clever/smart tired/weary cheerful/merry famous/renowned brave/courageous "
    "wealthy/rich young/youthful stubborn/obstinate friendly/amiable lonely/solitary"
).split()
_DID = (
    "bought/purchased repaired/mended found/discovered sold/traded carried/hauled painted/coloured "
    "cleaned/scrubbed wanted/desired constructed/built dropped/released concealed/buried collected/gathered"
).split()
_THINGS = (
    "big/large small/little broken/damaged strange/odd costly/expensive shiny/gleaming dirty/filthy "
    "heavy/weighty ancient/antique pretty/beautiful"
).split()
_TRADES = (
    "carpenter teacher fisherman baker surgeon painter farmer lawyer sailor gardener pilot tailor "
    "librarian plumber violinist mayor shepherd dentist chemist juggler"
).split()
_TOWNS = "Ghent Lisbon Cork Trieste Malmo Porto Graz Tampere Utrecht Leeds Bergen Toledo Turin Gdansk".split()
_OBJECTS = (
    "ladder kettle suitcase lantern bicycle mirror carpet trumpet clock barrel saddle telescope piano "
    "anchor basket wagon curtain compass umbrella cradle"
).split()
_WHEN = (
    "before the storm, after the wedding, during the strike, on a foggy morning, at the end of winter, "
    "before the election, after the long drought, on the last ferry, during the harvest, after supper"
).split(", ")
_WHY = (
    "the neighbours had complained, nobody else had time, the money was running out, a cousin was coming to stay, "
    "the museum had closed, the doctor had insisted, the river had risen again, the children were bored, "
    "a letter had promised a reward, the roof was leaking, the market opened early, an old debt was due"
).split(", ")


@dataclass(frozen=True, slots=True)
class Pair:
    """What is studied, and the foil that is not."""

    seen: str
    foil: str


@dataclass(frozen=True)
class Stimuli:
    """The pairs of one kind. ``files`` is the folder they came from, None where they were made; ``notes`` counts what
    was left out and why."""

    kind: str
    pairs: Sequence[Pair]
    files: Path | None = None
    notes: Counter[str] | None = None


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a generated sentence says; the words of ``swaps`` have the synonyms at the same places of ``others``."""

    swaps: tuple[str, str, str]
    others: tuple[str, str, str]
    trade: str
    town: str
    thing: str
    when: str
    why: str

    def told(self, *, passive: bool = False, synonyms: bool = False) -> str:
        who, did, what = self.others if synonyms else self.swaps
        person, thing = f"the {who} {self.trade} from {self.town}", f"the {what} {self.thing}"
        if passive:
            return f"{thing.capitalize()} was {did} by {person} {self.when}, since {self.why}."
        return f"T{person[1:]} {did} {thing} {self.when} because {self.why}."

    @property
    def core(self) -> tuple[str, ...]:
        """What the first half of the sentence says: two sentences that share it could not be told apart by a cue."""
        return (*sorted(self.swaps + self.others), self.trade, self.town, self.thing)


def _scene(rng: random.Random) -> _Scene:
    drawn = [rng.choice(slot).split("/") for slot in (_PEOPLE, _DID, _THINGS)]
    for pair in drawn:
        rng.shuffle(pair)
    (a, x), (b, y), (c, z) = drawn
    rest = [rng.choice(slot) for slot in (_TRADES, _TOWNS, _OBJECTS, _WHEN, _WHY)]
    return _Scene((a, b, c), (x, y, z), *rest)


def _scenes(rng: random.Random, n: int) -> list[_Scene]:
    """``n`` scenes, no two of them with the same first half."""
    found: dict[tuple[str, ...], _Scene] = {}
    while len(found) < n:
        scene = _scene(rng)
        found.setdefault(scene.core, scene)
    return list(found.values())


def sentences(n: int, seed: int) -> list[str]:
    """``n`` generated sentences, active and passive in turn, all different. Background, or distractors."""
    return [scene.told(passive=bool(i % 2)) for i, scene in enumerate(_scenes(random.Random(f"sentences {seed}"), n))]


def random_words(rng: random.Random, n: int = _WORDS) -> str:
    """A string of ``n`` words in no order."""
    return " ".join(rng.choices(_VOCABULARY, k=n))


def scrambled(text: str, rng: random.Random) -> str:
    """``text`` with the letters of every word and then the words in disorder."""
    words = ["".join(rng.sample(word, len(word))) for word in text.split()]
    return " ".join(rng.sample(words, len(words)))


def generated(kind: str, n: int = 64, seed: int = 0) -> Stimuli:
    """``n`` pairs of a kind, the same for the same seed. Raises NotFoundError for a kind that is none.

    Kinds built on sentences study the same scenes for the same seed, so they can be compared pair by pair.
    """
    _known(kind)
    rng = random.Random(f"{kind} {seed}")
    scenes = _scenes(random.Random(f"scenes {seed}"), 2 * n)
    voices = random.Random(f"voices {seed}")
    pairs = []
    for scene, other in zip(scenes[:n], scenes[n:], strict=True):
        passive = voices.random() < 0.5
        natural, foil = scene.told(passive=passive), other.told(passive=passive)
        if kind == "natural":
            pairs.append(Pair(natural, foil))
        elif kind == "paraphrase":
            pairs.append(Pair(natural, scene.told(passive=not passive)))
        elif kind == "synonym":
            pairs.append(Pair(natural, scene.told(passive=passive, synonyms=True)))
        elif kind == "words":
            pairs.append(Pair(random_words(rng), random_words(rng)))
        elif kind == "words-natural":
            pairs.append(Pair(random_words(rng), foil))
        else:
            pairs.append(Pair(scrambled(natural, rng), foil))
    return Stimuli(kind, pairs)


def original(kind: str, data: Path, n: int | None = None) -> Stimuli:
    """The first ``n`` pairs of a kind in the original's files: ``llm-memory/exptN/{seen,unseen}_data_0.json``.

    Left out and counted: pairs whose foil is among what is studied (in the paraphrases a few foils equal the item),
    and items studied twice. Raises InputError where files are missing or do not match.
    """
    (folder,) = required(data, FOLDER, _known(kind))
    seen, foils = (_lines(folder / f"{name}_data_0.json") for name in ("seen", "unseen"))
    if len(seen) != len(foils):
        raise InputError(f"{folder} has {len(seen)} studied items and {len(foils)} foils: obtain the files again")
    studied, kept, notes = set(seen), dict[str, Pair](), Counter[str]()
    for item, foil in zip(seen, foils, strict=True):
        if foil in studied:
            notes[f"{kind}: foils that are studied themselves"] += 1
        elif item in kept:
            notes[f"{kind}: items studied twice"] += 1
        else:
            kept[item] = Pair(item, foil)
    return Stimuli(kind, list(kept.values())[:n], folder, notes)


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise NotFoundError(f"there are no pairs of kind {kind!r}: there are {', '.join(KINDS)}")
    return KINDS[kind]


def _lines(path: Path) -> list[str]:
    try:
        return [str(json.loads(line)["sent"]).strip() for line in path.read_text("utf-8").splitlines() if line]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read as lines of JSON with a field 'sent' ({error}): obtain it again"
        ) from None


_VOCABULARY = sorted(
    {
        word
        for slot in (_PEOPLE, _DID, _THINGS, _TRADES, _TOWNS, _OBJECTS, _WHEN, _WHY)
        for phrase in slot
        for word in phrase.replace("/", " ").lower().split()
    }
)
