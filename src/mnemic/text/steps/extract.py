"""Facts from conversation turns by rule: who lives where, works at what, likes what, and since when. English, no model.

A rule is a pattern and the words it cannot match without; a turn is cut into sentences, and a sentence is only tried
on the rules whose words it has. What a match must survive decides the precision: no negation, hypothesis, report or
question around it, no quotation marks, no joke after it. A fact that is not clearly said is not extracted.

Relations: ``lives_in``, ``from``, ``works_at``, ``job``, ``age``, ``birthday``, ``name``, ``phone``, ``status`` (single,
dating, engaged, married, separated, divorced, widowed), ``status:health`` (pregnant), ``status:work`` (retired,
unemployed), ``partner``, ``has_<relative>``, ``studies``, ``owns``, ``pet``, ``likes``, ``dislikes``, ``favourite:<thing>``,
``prefers`` and ``prefers:<domain>``, ``diet``, ``allergy``, ``plans``, ``did`` (an event with its time).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

_FUNCTIONAL = frozenset("lives_in works_at job age birthday status partner name phone diet from".split())


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing said to be so. ``text`` is a readable sentence, ``sentence`` the span of the turn it came from.

    ``start`` is the start of the time expression said with it (for an ending: when it ended), ``None`` when none was
    said. A ``functional`` relation has one value at a time: a newer fact supersedes the older one of its subject.
    ``ended`` says that it is over; ``confidence`` is between 0 and 1.
    """

    subject: str
    relation: str
    value: str
    text: str
    sentence: tuple[int, int]
    start: datetime | None
    ended: bool
    functional: bool
    confidence: float


# --- The vocabulary of the patterns ------------------------------------------------------------------------------

_NAME = r"[A-Z][a-z]{2,15}\b(?!')"
_RELATIVES = (
    "wife husband partner girlfriend boyfriend fiancé fiancée fiance fiancee spouse mother mom mum father dad sister brother son"
    " daughter aunt uncle cousin niece nephew grandmother grandma grandfather grandpa granddaughter grandson stepson"
    " stepdaughter stepmom stepdad friend roommate flatmate housemate neighbor neighbour colleague coworker co-worker boss"
)
_KIN = rf"(?:{'|'.join(sorted(_RELATIVES.split(), key=len, reverse=True))})"
_PARTNERS = frozenset("wife husband partner girlfriend boyfriend fiancé fiancée fiance fiancee spouse".split())
_ANIMAL = r"(?:dog|puppy|pup|cat|kitten|rabbit|bunny|hamster|parrot|budgie|turtle|tortoise|snake|lizard|gecko|horse|pony|guinea pig|ferret|goldfish|betta fish|chinchilla|parakeet|cockatiel|labrador|lab|(?:golden )?retriever|beagle|poodle|husky|corgi|terrier|tabby|siamese|bearded dragon)s?"
_JOB = (
    r"(?:accountant|actor|actress|administrator|analyst|anthropologist|architect|archivist|artist|assistant|attorney|author|baker|banker|barber|barista"
    r"|bartender|biologist|bookkeeper|builder|butcher|carpenter|cashier|chef|chemist|clerk|coach|columnist|composer|consultant|contractor"
    r"|cook|copywriter|counsell?or|curator|data scientist|dancer|dentist|designer|detective|developer|dietitian|director|doctor|driver|economist|editor"
    r"|electrician|engineer|entrepreneur|executive|farmer|filmmaker|firefighter|florist|freelancer|gardener|geologist|hairdresser|historian"
    r"|illustrator|instructor|interpreter|janitor|journalist|judge|lawyer|lecturer|librarian|lifeguard|machinist|manager|marketer|mechanic|midwife"
    r"|musician|nanny|novelist|nurse|nutritionist|officer|optician|painter|paralegal|paramedic|pharmacist|photographer|physicist|physiotherapist|pianist"
    r"|pilot|plumber|poet|policeman|policewoman|principal|producer|professor|programmer|psychiatrist|psychologist|publicist|radiologist"
    r"|realtor|receptionist|recruiter|reporter|researcher|sailor|salesman|salesperson|scientist|screenwriter|sculptor|secretary|seamstress"
    r"|singer|social worker|songwriter|specialist|stylist|supervisor|surgeon|tailor|teacher|technician|therapist|trainer|translator|tutor"
    r"|veterinarian|vet|waiter|waitress|welder|writer|yoga instructor)"
)
_ORG_NOUN = (
    r"(?:agency|bakery|bank|bar|bookshop|bookstore|cafe|café|charity|clinic|college|company|corporation|factory|farm|firm|garage|gym|hospital|hotel"
    r"|lab|laboratory|library|magazine|museum|newspaper|non-?profit|nursery|pharmacy|practice|restaurant|school|shelter|shop|startup|start-up|store"
    r"|studio|supermarket|university)"
)
_OWNABLE = (
    r"(?:apartment|bass|bicycle|bike|boat|camera|camper|campervan|car|cello|condo|console|convertible|dishwasher|drone|drum kit|e-bike|espresso machine|flat|flute|greenhouse"
    r"|guitar|harp|hatchback|home|house|iPad|iPhone|kayak|keyboard|laptop|microscope|moped|motorbike|motorcycle|oven|PC|phone|piano|PlayStation|printer"
    r"|record player|saxophone|scooter|sedan|sewing machine|smartwatch|studio|SUV|tablet|telescope|tent|treadmill|truck|TV|ukulele|van|violin|Xbox|yacht)"
)
_ADV = (
    r"(?: (?:also|actually|still|currently|now|just|recently|finally|really|always|absolutely|already|always|truly|totally|generally|usually|both|only"
    r"|officially|originally|personally|definitely|particularly|especially|genuinely|simply|mostly|temporarily|permanently|all|even|honestly|lately|too"
    r"|proudly|happily|typically|normally|mainly|first|kinda|so)\b){0,3}"
)
_CAP = r"(?!(?:I|I'm|I've|I'd|I'll)\b)[A-Z][\w'&-]+"
_PLACE = rf"(?:the )?(?:St\. )?{_CAP}(?:(?: (?:of|de|la|upon|el|le|am) |,? ){_CAP}){{0,4}}"
_PARTS = {
    "i": r"(?<![\w'])(?P<i>[Ii]|[Ww]e)\b",
    "who": rf"(?<![\w'])(?:(?P<i>[Ii]|[Ww]e)\b|[Mm]y (?:(?:older|younger|little|big|best|eldest|oldest|youngest|twin|elder) )?(?P<kin>{_KIN})\b(?:,? (?P<kname>{_NAME}),?)?|(?P<name>{_NAME}))",
    "be": r"(?(i)(?:'m| am|'re| are)|(?:'s| is))",
    "have": r"(?:(?(i)(?:'ve| have)|(?:'s| has)))?",
    "adv": _ADV,
    "as": r"(?: as (?:an? |the )?[\w /-]{3,40}?)?",
    "place": rf"(?P<v>{_PLACE})",
    "cap": _PLACE,
    "org": rf"(?P<v>{_CAP}(?:(?: (?:of|and|&|for) | ){_CAP}){{0,4}}|(?:an?|the|my) (?:[\w-]+ ){{0,3}}?{_ORG_NOUN}\b)",
    "job": rf"(?P<v>(?:(?!(?:good|great|terrible|bad|big|huge|avid|keen|amateur|aspiring|former|trained|slow|fast|of|bit|lot|fan|better|natural|visual|decent|wannabe|lousy|who|that|and|for|to|like|with|in)\b)[\w&/-]+ ){{0,3}}?{_JOB})\b(?![-'])",
    "np": r"(?P<v>[^\s,.;:!?()\[\]\"“”—–*][^,;:!?()\[\]\"“”—–*\n.]{1,90})",
    "kin": _KIN,
    "animal": _ANIMAL,
    "own": _OWNABLE,
    "name": _NAME,
    "num": r"(?:\d{1,2}|two|three|four|five|six|seven|eight)",
}

# --- The rules ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` with group ``v`` for the value; ``words``: a sentence without any of them cannot match.

    ``dated`` keeps only matches with a time expression in the ``past`` or the ``future``.
    """

    relation: str
    words: str
    pattern: re.Pattern[str]
    ended: bool = False
    value: str | None = None
    dated: str = ""
    confidence: float = 0.9


def _rule(
    relation: str, words: str, pattern: str, *, ended: bool = False, value: str | None = None, dated: str = "", sure: float = 0.9
) -> Rule:
    full = re.sub(r"@(\w+)", lambda m: _PARTS[m[1]], pattern)
    return Rule(relation, words, re.compile(full), ended, value, dated, sure)


_NOUN = r"(?:my|our|the|an?|his|her|this) (?:[\w'-]+ ){1,4}(?:in|near|outside|of) "
_PAST = (
    r"(?:[a-z]{2,14}ed|ate|became|began|bought|broke|brought|built|came|caught|did|drew|drove|fell|flew|found|gave|got|grew|held|hit|hung|hurt|kept|laid"
    r"|left|lost|made|met|paid|quit|ran|read|rode|sang|saw|sent|set|sold|spent|swam|took|taught|threw|went|won|wore|woke|wrote)"
)
_FEELING = (
    r"(?:need|want|like|love|hate|enjoy|hop|us|wonder|mention|notic|ask|realiz|realis|suppos|interest|excit|seem|plann?|decid|wish|tri|struggl|prefer|miss"
    r"|learn|express|discuss|talk|chat|look|work|watch|impress|inspir|motivat|thrill|amaz|surpris|amus|worri|stress|remind|expect|agre|promis|assum|provid|hear|liv)(?:e?d)\b"
)

_RULES: tuple[Rule, ...] = (
    # home
    _rule("lives_in", "live lives", rf"@who@adv (?(i)live|lives) (?:together |alone |here |right |just )?(?:in|near|outside) (?:{_NOUN})?@place"),
    _rule("lives_in", "living based", rf"@who(?:@be|(?(i)(?:'ve| have)|(?:'s| has)) been)@adv (?:living|based) (?:alone |here )?(?:in|near) (?:{_NOUN})?@place"),
    _rule("lives_in", "lived", rf"@who(?(i)(?:'ve| have)|(?:'s| has))@adv lived (?:here )?(?:in|near) (?:{_NOUN})?@place(?= (?:for|since|all|my whole|ever since)\b)"),
    _rule("lives_in", "moved relocated", rf"@who@have@adv (?:moved|relocated)(?: back| up| down| over| out| away)?(?: (?:here )?from @cap)? (?:in)?to (?:{_NOUN})?@place"),
    _rule("lives_in", "live lived living", rf"@who@adv (?:used to live|used to be living) (?:in|near) (?:{_NOUN})?@place", ended=True),
    _rule("lives_in", "lived", rf"@who@adv lived (?:in|near) (?:{_NOUN})?@place(?= (?:for|until|from|till|before|back|when|as|in|during)\b)", ended=True),
    _rule("lives_in", "moved", r"@who@have@adv moved (?:out of|away from) @place", ended=True),
    _rule("lives_in", "live", r"@i(?: no longer live| don't live) in @place(?= anymore| any more|(?<=no longer live in .))", ended=True),
    _rule("lives_in", "longer", r"@i@adv no longer live in @place", ended=True),
    _rule("from", "from", r"@who@be@adv (?:originally )?from @place(?! to)"),
    _rule("from", "born raised grew", r"@i (?:was|were)@adv (?:born(?: and raised)?|raised) in @place"),
    _rule("from", "grew", r"@i@adv grew up in @place"),
    # work
    _rule("works_at", "work works", r"@who@adv (?(i)work|works)(?: full[- ]time| part[- ]time| remotely)?@as (?:at|for) @org"),
    _rule("works_at", "working", r"@who(?:@be|(?(i)(?:'ve| have)|(?:'s| has)) been)@adv working@as (?:at|for) @org"),
    _rule("works_at", "started joined starting", r"@who@have@adv (?:started(?: working| work| (?:a|my|the) (?:new )?(?:job|position|role))|joined@as)@as (?:at|with|for) @org"),
    _rule("works_at", "job position role", r"@who@have@adv (?:got|landed|accepted|found|took)(?: hired for)? (?:an? |my |the |this )?(?:new |first |dream |full-time |part-time )*(?:job|position|role)@as (?:at|with) @org"),
    _rule("works_at", "at", r"@who@be@adv (?:an?|the) (?:[\w-]+ ){0,3}" + _JOB + r" (?:at|for) @org"),
    _rule("works_at", "quit left resigned", r"@who@have@adv (?:quit|left|resigned from|lost) (?:my|his|her|our|the) (?:old )?(?:job|position|role|work)@as (?:at|with) @org", ended=True),
    _rule("works_at", "work working", r"@who@adv used to work@as (?:at|for) @org", ended=True),
    _rule("works_at", "worked", r"@who(?:@have)@adv worked@as (?:at|for) @org(?= (?:for \w+ (?:years|months)|until|before|back)\b)", ended=True),
    _rule("job", "a an the", r"@who@be@adv (?:an?|the) @job(?! (?:of mine|in training|at heart|but|friend))"),
    _rule("job", "work works working", r"@who(?:@adv (?(i)work|works)|@be@adv working|(?(i)(?:'ve| have)|(?:'s| has)) been@adv working)(?: full[- ]time| part[- ]time)? as (?:an?|the) @job"),
    _rule("job", "job position role", r"@who@have@adv (?:got|landed|accepted|started|took|found) (?:an? |my |the )?(?:new |first |dream |full-time |part-time )*(?:job|position|role) as (?:an?|the) @job"),
    _rule("job", "became become", r"@who@have@adv (?:became|become) an? @job"),
    _rule("job", "promoted", r"@who(?: was| were| got|@have been)@adv promoted to (?:an? |the )?@job"),
    _rule("job", "used", r"@who@adv used to (?:work as|be) an? @job", ended=True),
    _rule("job", "quit left lost", r"@who@have@adv (?:quit|left|lost) (?:my|his|her) job as (?:an? )?@job", ended=True),
    _rule("job", "lost quit", r"@i@have@adv (?:lost|quit) my (?P<v>job)\b(?! (?:as|at)\b)", ended=True),
    _rule("status:work", "retired", r"@who(?:@be|@have)@adv (?P<v>retired)\b(?! (?:from (?:the )?(?:race|game|match)))"),
    # person
    _rule("age", "old", r"@who@be@adv (?P<v>\d{1,3})(?: years old| y/o| yrs old)"),
    _rule("age", "turned", r"@who@have@adv turned (?P<v>\d{1,2})\b(?! (?:in|into|pages|of|points|thousand|k)\b|%|,\d)"),
    _rule("age", "i'm am", r"@i@be@adv (?P<v>[1-9]\d)(?=[.!;]|,(?! ?\d)|$| and (?:I|my|a|have|live|work)\b)"),
    _rule("birthday", "birthday", r"[Mm]y birthday(?:'s| is)(?: on| actually| the)? (?P<v>(?:the )?(?:\w+ \d{1,2}(?:st|nd|rd|th)?|\d{1,2}(?:st|nd|rd|th)?(?: of)? [A-Z]\w+)(?:,? \d{4})?)"),
    _rule("birthday", "born", r"@i (?:was|were) born (?:on|in) (?P<v>(?:[A-Z]\w+ \d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?|\d{1,2}(?:st|nd|rd|th)?(?: of)? [A-Z]\w+(?: \d{4})?|[A-Z]\w+ (?:19|20)\d\d|(?:19|20)\d\d))\b(?! \d)"),
    _rule("name", "name name's", r"(?<![\w'])[Mm]y (?:full |first |real )?name(?:'s| is) (?P<v>[A-Z][\w'-]+(?: [A-Z][\w'-]+){0,2})"),
    _rule("phone", "number", r"(?<![\w'])[Mm]y (?:new )?(?:phone |mobile |cell )?number(?:'s| is)(?: now)? (?P<v>\+?\(?\d[\d ().-]{6,16}\d)"),
    _rule("status", "married engaged divorced separated widowed single", r"@who(?:@be|@have been|@have)@adv (?:happily |recently |newly |already )?(?P<v>married|engaged|divorced|separated|widowed|single)\b(?= (?:now|to|for|since|and|with|again)\b|[.,;!]|$)"),
    _rule("status", "married engaged divorced", r"@who@have@adv (?:just )?(?:got|gotten) (?P<v>married|engaged|divorced)\b"),
    _rule("status", "dating", r"@who@be@adv (?P<v>dating) (?:again|someone|@name)"),
    _rule("status", "broke", r"(?:@i|(?<![\w'])[Mm]y (?:girlfriend|boyfriend|partner) and I) broke up\b", value="single", sure=0.7),
    _rule("status:health", "pregnant", r"@who@be@adv (?:\w+ (?:weeks|months) )?(?P<v>pregnant)\b"),
    _rule("partner", "dating", r"@i@be@adv dating (?P<v>@name)"),
    _rule("partner", "married engaged", r"@i@have@adv (?:got|gotten|'m|am)? ?(?:married|engaged) to (?P<v>@name)"),
    _rule("studies", "study studying studies", r"@who(?:@adv (?(i)study|studies)|@be@adv (?:currently )?studying) @np", sure=0.85),
    _rule("studies", "majoring majored major", r"@who(?:@be@adv majoring|@adv majored|@adv (?(i)major|majors)) in @np"),
    _rule("studies", "degree phd master's bachelor's masters diploma", r"@who(?:@have@adv (?:got|finished|completed|earned|received|graduated with)|@be@adv (?:pursuing|doing|finishing|getting|working on|completing)) (?:an? |my |his |her )?(?P<v>(?:PhD|Ph\.D|[Mm]aster's(?: degree)?|[Bb]achelor's(?: degree)?|[Mm]asters(?: degree)?|degree|diploma)(?: (?:in|of|at|from) [\w &-]{3,50})?)"),
    # family and animals
    _rule("has", "named called", r"@i@have@adv (?:have |got |'ve got )?an? (?:(?:older|younger|little|big|twin|baby) )?(?P<rel>@kin)(?:,)? (?:named|called|who is called|whose name is) (?P<v>@name)"),
    _rule("has", _RELATIVES, rf"(?<![\w'])[Mm]y (?:(?:older|younger|little|big|eldest|youngest|twin|best|late) )?(?P<rel>{_KIN})(?:'s name is|,| is called| is named)? (?P<v>@name)(?! and [A-Z]| Day)"),
    _rule("has", _RELATIVES + " kids children sons daughters sisters brothers siblings cousins nieces nephews grandchildren twins", r"@i@adv (?:have|'ve got|have got) (?P<v>(?:an?|one|@num) (?:(?:older|younger|little|big|twin|baby|beautiful|adorable|small|grown|adult|amazing|wonderful) )?(?P<rel>sister|brother|son|daughter|kid|child|niece|nephew|sibling|children|kids|sons|daughters|sisters|brothers|siblings|nieces|nephews|grandchildren|twins)\b)(?!-)"),
    _rule("pet", "named called " + "dog puppy cat kitten pup rabbit hamster parrot turtle snake", r"(?<![\w'])(?:[Mm]y|[Oo]ur) (?:(?:new|little|old|beloved|sweet|adorable|other|late|\w+-year-old) ){0,2}(?P<v>@animal,? (?:named |called )?@name)(?! and [A-Z])"),
    _rule("pet", "name name's named", r"(?<![\w'])(?:[Mm]y|[Oo]ur) (?:new )?(?P<v>@animal(?:'s name is|'s named| is named| is called) @name)"),
    _rule("pet", "have got adopted own bought", r"@i@have@adv (?:have|got|'ve got|have got|adopted|own|rescued|bought)(?: myself)? (?P<v>(?:an?|another|@num) (?:(?!of\b)[\w-]+ ){0,3}?@animal\b(?:,? (?:named|called) @name(?: and @name)?)?)(?! (?:allergy|person|food|toy|tree|sitter|lover|bed|house|show|bowl|walker|park|tank|stand|training|shelter|leash|collar|bag|carrier|door|litter|jacket|report|trainer|grooming|racing|riding|cafe|film))"),
    # possessions
    _rule("owns", "have own drive got bought purchased", r"@i@have@adv (?:have|own|drive|got|'ve got|have got|bought|purchased)(?: myself)? (?P<v>(?:an?|@num|my first|my own|a pair of) (?:(?!of\b|for\b|with\b)[\w'-]+ ){0,4}?@own s?\b)".replace("@own s?", "@own")),
    _rule("owns", "bought purchased", r"@i@have@adv (?:bought|purchased)(?: myself)? (?P<v>(?:an?|my|some|@num) (?!(?:lot|bunch|few|ticket|bit|couple|coffee|drink|round)\b)[^,;:!?()\[\]\"“”—–*\n.]{2,60})", sure=0.8),
    _rule("owns", "my", r"(?<![\w'])[Mm]y (?P<v>(?:new |old |trusty )?(?:19|20)\d\d [A-Z][\w-]+ [A-Z0-9][\w-]+)"),
    # tastes
    _rule("likes", "love like enjoy adore", r"@i@adv (?:love|like|enjoy|adore) @np", sure=0.8),
    _rule("likes", "fan", r"@i@be@adv (?:a )?(?:big |huge |massive |great |die-hard |lifelong |long-?time )?(?:fan of|fond of|obsessed with|passionate about|keen on) @np"),
    _rule("dislikes", "hate dislike detest loathe", r"@i@adv (?:hate|dislike|detest|loathe) @np", sure=0.8),
    _rule("dislikes", "stand", r"@i@adv (?:can't|cannot) stand @np"),
    _rule("dislikes", "don't", r"@i(?: really)? (?:don't|do not)(?: really| particularly)? (?:like|enjoy|care for) @np", sure=0.8),
    _rule("dislikes", "fan", r"@i@be(?: not|n't)(?: really)? (?:a )?(?:big |huge |much of a )?(?:fan of|fond of|keen on|into) @np"),
    _rule("favourite", "favorite favourite", r"(?<![\w'])(?:[Mm]y|[Oo]ur) (?:all-time |absolute |personal |current |new |own )*favou?rite (?P<thing>[a-z][\w '-]{2,28}?)(?: of all time| right now| these days)?(?:'s|,? is| are| has always been| would have to be| has to be| was)(?: probably| definitely| still| now| currently| always| actually)? @np"),
    _rule("favourite", "favorite favourite", r"(?:^|[,;:] |\band |\bbut )(?P<v>(?:[A-Z\"][\w'\"-]*)(?: (?:of|the|and|in|[A-Z\"][\w'\"-]*)){0,6}) (?:is|are|'s|has always been|is still|is probably|is definitely) my (?:all-time |absolute |personal |current |new )*favou?rite (?P<thing>[a-z][\w-]{2,20}(?: [a-z]+)?)(?=[.,;!]|$)"),
    _rule("prefers", "prefer", r"@i(?: much| really| actually| still| now| generally| usually| always| personally| would)* prefer @np"),
    _rule("prefers", "person", r"@i@be(?: now| still| really| definitely| more of)* an? (?P<v>tea|coffee|cat|dog|morning|night|evening|beach|mountain|city|country|indoor|outdoor|wine|beer|decaf)[ -]person"),
    _rule("prefers", "switched switching", r"@i@have@adv switched(?: over)?(?: from [\w -]{2,30}?)? to @np"),
    _rule("unlikes", "longer", r"@i no longer (?P<verb>drink|eat|like|enjoy|use) @np", ended=True),
    _rule("unlikes", "quit gave given stopped gone", r"@i@have@adv (?:quit|gave up|given up|stopped|cut out|gone off)(?P<verb> drinking| eating| having)? @np", ended=True),
    _rule("unlikes", "anymore any", r"@i (?:don't|do not)(?: really)? (?P<verb>drink|eat|like|enjoy) (?P<v>[\w -]{2,40}?) any ?more\b", ended=True),
    _rule("diet", "vegan vegetarian pescatarian pescetarian keto gluten-free dairy-free halal kosher gluten dairy flexitarian", r"@who(?:@be|(?(i)(?:'ve| have)|(?:'s| has)) (?:gone|become|been))@adv (?:an? |on an? |eating |doing |strictly )?(?:strict |lifelong )?(?P<v>vegan|vegetarian|pescatarian|pescetarian|flexitarian|keto|gluten-free|dairy-free)\b(?! (?:recipe|dish|option|food|restaurant|meal|cake|chef|version|cook))"),
    _rule("diet", "vegan vegetarian pescatarian", r"@who(?:@adv (?:went|turned|became)|@adv (?:follow|follows) an?) (?P<v>vegan|vegetarian|pescatarian|keto|gluten-free|dairy-free)\b"),
    _rule("diet", "vegan vegetarian pescatarian", r"@i(?: used to be|@be no longer|'m not|(?: am| was) no longer) an? ?(?P<v>vegan|vegetarian|pescatarian)\b(?: any ?more)?", ended=True),
    _rule("diet", "eat", r"@i(?: really)? (?:don't|do not|never) eat (?:any )?(?P<v>meat|red meat|pork|beef|fish|seafood|dairy|gluten|sugar|eggs|shellfish|animal products)\b(?! any ?more)", value="no {v}"),
    _rule("allergy", "allergic", r"@who(?:@be)@adv (?:severely |badly |deathly |very |highly |mildly )?allergic to @np"),
    _rule("allergy", "allergy", r"@who (?(i)have|has) an? (?:severe |bad |mild |serious )?(?P<v>[a-z]+(?: [a-z]+)?) allergy\b"),
    _rule("allergy", "intolerant", r"@who@be@adv (?P<v>lactose|gluten|fructose|histamine)[- ]intolerant"),
    # what is ahead and what was
    _rule("plans", "moving", r"@i@be@adv (?P<v>(?:moving|relocating) (?:in with|back to|to|into) [^,;:!?()\[\]\"“”—–*\n.]{2,60})"),
    _rule("plans", "planning plan plans", r"@i(?:@be@adv planning|@adv plan)(?: on| to)? @np", sure=0.8),
    _rule("plans", "getting", r"@i@be@adv (?P<v>getting (?:married|engaged|divorced)\b[^,;:!?()\n.]{0,40})"),
    _rule("plans", "signed enrolled registered", r"@i@have@adv (?P<v>(?:signed up|enrolled|registered) (?:for|in|to)\b[^,;:!?()\n.]{2,60})"),
    _rule("plans", "going", r"@i@be@adv (?:going|gonna)(?: to)? @np", dated="future", sure=0.75),
    _rule("plans", "i'll will we'll", r"@i(?:'ll| will)@adv (?!be able|let|try|make sure|definitely|check)@np", dated="future", sure=0.7),
    _rule("plans", "i'm we're am are", r"@i@be@adv (?P<v>(?!going|planning|moving|getting|thinking|looking|hoping|considering|trying|feeling|working|wondering)[a-z]{2,12}ing [^,;:!?()\n.]{2,70})", dated="future", sure=0.7),
    _rule("did", "", rf"@i(?:'ve| have)?@adv (?P<v>(?!{_FEELING}){_PAST}\b[^,;:!?()\n.]{{2,90}})", dated="past", sure=0.75),
)
