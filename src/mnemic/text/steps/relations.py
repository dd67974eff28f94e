"""The rules of :mod:`mnemic.text.steps.extract`: how facts are said in English, one pattern per way of saying.

A word stands for a part: ``@who @adv lives in @place`` reads as it is said. To add a way of saying, add a block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

# --- Rules -------------------------------------------------------------------------------------------------------
# A header "relation options: words", then the pattern, its lines joined as they are. A word stands for @part; group
# v is the value. Options: ended; past or future keeps only matches with such a time; a number is the confidence.

_RULES = r"""
lives_in: live lives
    @who@adv (?(i)live|lives) (?:together |alone |here |right |just )?(?:in|near|outside) (?:@noun)?@place
lives_in: living based
    @who(?:@be|@been)@adv (?:living|based) (?:alone |here )?(?:in|near) (?:@noun)?@place
lives_in: lived
    @who@has@adv lived (?:here )?(?:in|near) (?:@noun)?@place(?= (?:for|since|all|my whole|ever since)\b)
lives_in: moved relocated
    @who@have@adv (?:moved|relocated)(?: back| up| down| over| out| away)?(?: from @cap)? (?:in)?to (?:@noun)?@place
lives_in ended: used
    @who@adv used to (?:live|be based) (?:in|near) (?:@noun)?@place
lives_in ended: lived
    @who@adv lived (?:in|near) (?:@noun)?@place(?= (?:for|until|from|till|before|back|when|as)\b)
lives_in ended: moved
    @who@have@adv moved (?:out of|away from) @place
lives_in ended: longer
    @who@adv no longer (?(i)live|lives) in @place
lives_in ended: anymore any
    @who(?: (?(i)don't|doesn't) live|@be(?: not|n't) living) in @place any ?more\b
lives_in: live lives living
    @who(?:@adv (?(i)live|lives)|@be@adv living) at (?P<v>@address)(?! \d)
lives_in: address
    \b[Mm]y (?:new |home )?address is(?: now)? (?P<v>@address)
from: from
    @who@be@adv (?:originally )?from @place@stop(?! to)
from: born raised
    @i (?:was|were)@adv (?:born(?: and raised)?|raised) in @place
from: grew
    @i@adv grew up in @place

works_at: work works
    @who@adv (?(i)work|works)(?: full[- ]time| part[- ]time| remotely)?@as (?:at|for) @org
works_at: working
    @who(?:@be|@been)@adv working@as (?:at|for) @org
works_at: started
    @who@have@adv started(?: working| work| (?:an?|my|the) (?:new )?(?:job|position|role))@as (?:at|with|for) @org
works_at: joined
    @who@have@adv joined @org(?= as (?:an?|the|their)\b)
works_at: job position role
    @who@have@adv (?:got|landed|accepted|found|took|started) (?:an? |my |the )?@new(?:job|position
    |role)@as (?:at|with) @org
works_at: *jobs
    @who@be@adv (?:an?|the) (?:[\w-]+ ){0,3}?@jobs (?:at|for) @org
works_at ended: quit left resigned lost
    @who@have@adv (?:quit|left|resigned from|lost) (?:my|his|her|our|the) @new(?:job|position|role
    |work)@as (?:at|with) @org
works_at ended: used
    @who@adv used to work@as (?:at|for) @org
works_at ended: worked
    @who@adv worked@as (?:at|for) @org(?= (?:for \w+ (?:years|months)|until|before|back)\b)
job: *jobs
    @who@be@adv (?:an?|the) @job(?! (?:of mine|in training|at heart|but|friend))
job: work works working
    @who(?:@adv (?(i)work|works)|(?:@be|@been)@adv working)(?: full[- ]time| part[- ]time)? as (?:an?|the) @job
job: job position role
    @who@have@adv (?:got|landed|accepted|started|took|found) (?:an? |my |the )?@new(?:job|position
    |role) as (?:an?|the) @job
job: became become
    @who@have@adv (?:became|become) an? @job
job: promoted
    @who@have@adv (?:was|were|got|been)@adv promoted to (?:an? |the )?@job
job ended: used
    @who@adv used to (?:work as|be) an? @job
job ended: quit left lost
    @who@have@adv (?:quit|left|lost) (?:my|his|her) @new(?:job|position|role) as (?:an? )?@job
job ended: lost quit
    @i@have@adv (?:lost|quit) my (?P<v>job)\b(?! (?:as|at|with)\b)
job ended 0.7: notice
    (?:@i@have@adv |^\W*)(?:[Hh]anded in|[Gg]ave(?: in)?) (?P<v>my notice)\b
status:work: retired
    @who(?:@be|@has)@adv (?P<v>retired)\b

age: old
    @who@be@adv (?P<v>\d{1,3})(?: years old| y/o| yrs old)
age: year
    (?:@i@be@adv an?|\b[Aa]s an?) (?P<v>\d{2})[- ]year[- ]old(?= (?:man|woman|male|female|guy|girl)\b|[.,;!]|$)
age: turned
    @who@have@adv turned (?P<v>\d{1,2})\b(?=[.!;,]|$| (?:last|this|on|in|today|yesterday|and|a)\b)(?!,\d)
age: 0age
    @i@be (?P<v>[1-9]\d)(?=[.!;]|,(?! ?\d)|$| and (?:I|my|a|have|live|work)\b)
birthday: birthday
    \b[Mm]y birthday(?:'s| is)(?: on| actually)? (?P<v>(?:the )?@date)
birthday: born
    @i (?:was|were) born (?:on|in) (?P<v>@date|(?:19|20)\d\d\b)
name: name name's
    \b[Mm]y (?:full |first |real )?name(?:'s| is) (?P<v>[A-Z][\w'-]+(?: [A-Z][\w'-]+){0,2})
phone: number number's
    \b[Mm]y (?:new )?(?:phone |mobile |cell )?number(?:'s| is)(?: now)? (?P<v>\+?\(?\d[\d ().-]{6,16}\d)
status: married engaged divorced separated widowed single
    @who(?:@be|@been)@adv (?P<v>married|engaged|divorced|separated|widowed|single)(?=,? (?:now|to|for|since
    |again)\b|[.,;!]|$)
status: married engaged divorced
    @who@have@adv (?:got|gotten) (?P<v>married|engaged|divorced)\b
status 0.7: broke
    @i@have@adv (?P<v>broke up)(?= with my (?:boyfriend|girlfriend|partner|fiancée?)\b)
status: dating
    @who@be@adv (?P<v>dating)(?= (?:again|someone|@name))
status:health: pregnant
    @who@be@adv (?:\w+ (?:weeks|months) )?(?P<v>pregnant)\b
partner: dating
    @i@be@adv dating (?P<v>@name)
partner: married engaged
    @i(?:@be|@have@adv got) (?:married|engaged) to (?P<v>@name)
studies: study studying studies
    @who(?:@adv (?(i)study|studies)|(?:@be|@been)@adv studying) (?!for\b|up\b|hard\b|how\b|at\b|with\b|the\b)@np
studies: majoring major majors
    @who(?:@be@adv majoring|@adv (?(i)major|majors)) in @np
studies ended: majored
    @i@adv majored in @np
studies: degree phd master's bachelor's masters diploma
    @i@be@adv (?:pursuing|doing|finishing|completing) @degree
studies ended: degree phd master's bachelor's masters diploma
    @i@have@adv (?:finished|completed|earned|received|graduated with) @degree

has: named called
    @i@have@adv (?:have |got )?an? (?:(?:older|younger|little|big|twin|baby) )?(?P<rel>@kin),? (?:named
    |called) (?P<v>@name)
has: *relatives
    \b[Mm]y @size(?P<rel>@kin)(?:'s name is|,| is called| is named)? (?P<v>@name)(?! and [A-Z]| Day|-)
has: *children
    @i@adv(?: have|'ve got| have got) (?P<v>(?:an?|one|@num) (?:@size|@nice)(?P<rel>@child)s?)\b(?![-'])
pet: dog puppy cat kitten pup rabbit hamster parrot turtle snake retriever labrador beagle
    \b(?:[Mm]y|[Oo]ur) (?:(?:new|little|old|beloved|sweet|adorable|late
    |\w+-year-old) ){0,2}(?P<v>@animal,? (?:named |called )?@name)
pet: name name's named
    \b(?:[Mm]y|[Oo]ur) (?:new )?(?P<v>@animal(?:'s name is|'s named| is named| is called) @name)
pet: *animals
    @i(?:@have@adv (?:adopted|own|rescued|bought|got)|@adv have|'ve got) (?P<v>(?:an?|another
    |@num) (?:(?!of\b)[\w-]+ ){0,3}?@animal\b
    (?:,? (?:named|called) @name(?: and @name)?| and (?:an?|@num) @animal\b)?)@stop

owns: *ownable
    @i(?:@have@adv (?:own|drive|got|bought|purchased)|@adv have|'ve got)(?: myself)?
     (?P<v>(?:an?|@num|my first|my own) (?:(?!of\b|for\b|with\b|and\b|who\b|that\b|in\b)[\w'-]+ ){0,4}?@own\b)@stop
owns 0.8: bought purchased
    @i@have@adv (?:bought|purchased)(?: myself)?
     (?P<v>(?:an?|@num) (?!(?:lot|bunch|few|ticket|bit|couple|coffee|drink|round)\b)@more{2,60})
owns: *cars
    (?:@i@adv (?:drive|own|have) an?|\b[Mm]y) (?P<v>(?:new |old |trusty )?(?:19[5-9]
    |20\d)\d [A-Z][\w-]+(?: [A-Z0-9][\w-]*){1,3})

likes 0.8: love like enjoy adore
    @i@adv (?:love|like|enjoy|adore) @np
likes: fan fond obsessed passionate keen
    @i@be@adv (?:an? )?(?:big |huge |massive |die-hard |lifelong |long-?time )?(?:fan of|fond of|obsessed with
    |passionate about) @np
likes: into
    @i(?:@be|@been)(?: always)?@adv (?:super |big )?into @np
likes: fan lover enthusiast
    @i@be@adv an? (?:big |huge |massive |die-hard |lifelong )?
    (?P<v>(?!big\b|huge\b|fan\b|total\b|real\b|true\b)[\w-]+(?: [\w-]+)?) (?:fan
    |lover|enthusiast)\b(?! of)
dislikes 0.8: hate dislike detest loathe
    @i@adv (?:hate|dislike|detest|loathe) @np
dislikes: stand
    @i@adv (?:can't|cannot) stand @np
dislikes 0.8: don't
    @i(?: really)? (?:don't|do not)(?: really| particularly)? (?:like|enjoy|care for) @np
dislikes: fan fond keen
    @i@be not(?: really)? (?:an? )?(?:big |huge |much of a )?(?:fan of|fond of|keen on) @np
favourite: favorite favourite
    \b(?:[Mm]y|[Oo]ur) (?:all-time |absolute |personal |current |new |own )*favou?rite (?P<thing>[a-z][\w-]{2,20
    }(?: (?!of|from|in|on|to|at|for|with)[\w-]{2,16}){0,2})
    (?: of all time| right now| these days)?(?:,? is| are)(?: probably| definitely| still| now| currently
    | always)? @np
favourite: favorite favourite
    (?:^|[,;:] |\band |\bbut )(?P<v>[A-Z][\w'-]*(?: (?:of|the|and|in|[A-Z][\w'-]*)){0,6})
    (?:'s| is| are)(?: still| probably| definitely)? my (?:all-time |absolute |current |new )*favou?rite
     (?P<thing>[a-z][\w-]{2,20}(?: [a-z]+)?)(?=[.,;!]|$)
prefers: prefer
    @i(?: much| really| actually| still| now| generally| usually| always| personally)* prefer @np
prefers: person
    @i@be(?: now| still| really| definitely)* an? (?P<v>tea|coffee|cat|dog|morning|night|beach|mountain|wine
    |beer|decaf)[ -]person
prefers: switched
    @i@have@adv switched(?: over)?(?: from [\w -]{2,30}?)? to @np
unlikes ended: longer
    @i no longer (?P<verb>drink|eat|like|enjoy) @np
unlikes ended: quit gave given stopped gone
    @i@have@adv (?:quit|gave up|given up|stopped|gone off)(?P<verb> drinking| eating| having)? @np
unlikes ended: anymore any
    @i (?:don't|do not)(?: really)? (?P<verb>drink|eat|like|enjoy) (?P<v>[\w -]{2,40}?) any ?more\b
unlikes ended: used
    @i used to (?:really )?(?P<verb>love|like|enjoy) @np

diet: vegan vegetarian pescatarian pescetarian flexitarian keto gluten dairy
    @who(?:@be|(?(i)(?:'ve| have)|(?:'s| has)) (?:gone|become
    |been))@adv (?:an? |on an? |doing )?(?:strict |lifelong )?@diet
diet: vegan vegetarian pescatarian keto gluten dairy
    @who@adv (?:went|turned|became|(?:follow|follows) an?) (?:an? )?@diet
diet ended: vegan vegetarian pescatarian
    @i(?: used to be|@be no longer) (?:an? )?(?P<v>vegan|vegetarian|pescatarian)\b
diet: eat
    @i(?: really)? (?:don't|do not|never) eat (?:any )?(?P<v>meat|red meat|pork|beef|fish|seafood|dairy|gluten
    |shellfish)(?! any ?more)\b
allergy: allergic
    @who@be@adv (?:severely |badly |deathly |very |highly |mildly )?allergic to @np
allergy: allergy
    @who (?(i)have|has) an? (?:severe |bad |mild |serious )?(?P<v>[a-z]+(?: [a-z]+)?) allergy\b
allergy: intolerant
    @who@be@adv (?P<v>lactose|gluten|fructose|histamine)[- ]intolerant

plans: moving relocating
    @i@be@adv (?P<v>(?:moving|relocating) (?:in with|back to|to|into) @more{2,60})
plans 0.8: planning plan
    @i(?:@be@adv planning|@adv plan)(?: on| to)? @np
plans: getting
    @i@be@adv (?P<v>getting (?:married|engaged|divorced)\b@more{0,40})
plans: signed enrolled registered
    @i@have@adv (?P<v>(?:signed up|enrolled|registered) (?:for|in)\b@more{2,60})
plans future 0.75: going gonna
    @i@be@adv (?:going to|gonna) (?!be able|try|make sure|check|let)@np
plans future 0.7: i'll will we'll
    @i(?:'ll| will)@adv (?!be able|let|try|make sure|definitely|check|keep|see)@np
plans future 0.7: i'm we're am are
    @i@be@adv (?P<v>(?!going|planning|moving|getting|thinking|looking|hoping|considering|trying|feeling
    |wondering)[a-z]{2,12}ing
     @more{2,70})
did past 0.75: *times
    @i(?:(?:'ve| have)(?!@adv got\b))?@adv (?P<v>(?!@mild)@past\b(?:[^,;:!?()\n.]|[.:,](?=\d)|(?<=\bSt)\.){2,90})
"""

_NAME = r"[A-Z][a-z]{2,15}\b(?!')"
KIN = (
    "wife husband partner girlfriend boyfriend fiancé fiancée fiance fiancee spouse mother mom mum father dad sister"
    " brother son daughter aunt uncle cousin niece nephew grandmother grandma grandfather grandpa granddaughter"
    " grandson"
    " stepson stepdaughter friend roommate flatmate housemate neighbor neighbour colleague coworker boss"
).split()
PARTNERS = frozenset(KIN[:9])
_JOBS = """accountant|actor|actress|analyst|anthropologist|architect|archivist|artist|assistant|attorney|author|baker
|banker|barber|barista|bartender|biologist|bookkeeper|builder|butcher|carpenter|cashier|chef|chemist|clerk|coach
|columnist|composer|consultant|contractor|cook|copywriter|counsell?or|curator|dancer|dentist|designer|detective
|developer|dietitian|director|doctor|driver|economist|editor|electrician|engineer|entrepreneur|executive|farmer
|filmmaker|firefighter|florist|freelancer|gardener|geologist|hairdresser|historian|illustrator|instructor|interpreter
|janitor|journalist|judge|lawyer|lecturer|librarian|lifeguard|machinist|manager|marketer|mechanic|midwife|musician
|nanny|novelist|nurse|nutritionist|officer|optician|painter|paralegal|paramedic|pharmacist|photographer|physicist
|physiotherapist|pianist|pilot|plumber|poet|principal|producer|professor|programmer|psychiatrist|psychologist
|publicist|radiologist|realtor|receptionist|recruiter|reporter|researcher|sailor|salesman|salesperson|scientist
|screenwriter|sculptor|secretary|seamstress|singer|social worker|songwriter|specialist|stylist|supervisor|surgeon
|tailor|teacher|technician|therapist|trainer|translator|tutor|veterinarian|vet|waiter|waitress|welder|writer"""
_ANIMALS = """dog|puppy|pup|cat|kitten|rabbit|bunny|hamster|parrot|budgie|turtle|tortoise|snake|lizard|gecko|horse|pony
|guinea pig|ferret|goldfish|betta fish|chinchilla|parakeet|cockatiel|labrador|lab|golden retriever|retriever|beagle
|poodle|husky|corgi|terrier|bearded dragon"""
_CHILDREN = "sister|brother|son|daughter|kid|child|niece|nephew|sibling|children|grandchildren|twin"
_OWNABLE = """apartment|bass|bicycle|bike|boat|camera|camper|campervan|car|cello|condo|convertible|drone|drum kit|e-bike
|espresso machine|flat|flute|greenhouse|guitar|harp|hatchback|house|iPad|iPhone|kayak|keyboard|laptop|microscope|moped
|motorbike|motorcycle|phone|piano|PlayStation|printer|record player|saxophone|scooter|sedan|sewing machine|smartwatch
|SUV|tablet|telescope|tent|treadmill|truck|TV|ukulele|van|violin|Xbox|yacht"""
_ORGS = """agency|bakery|bank|bar|bookshop|bookstore|cafe|café|charity|clinic|college|company|corporation|factory|farm
|firm|garage|gym|hospital|hotel|lab|laboratory|library|magazine|museum|newspaper|non-?profit|pharmacy|restaurant|school
|shelter|shop|startup|start-up|store|studio|supermarket|university"""
_ADVERBS = """also|actually|still|currently|now|just|recently|finally|really|always|absolutely|already|truly|totally
|generally|usually|both|only|officially|originally|personally|definitely|particularly|especially|genuinely|simply
|mostly|all|even|honestly|lately|proudly|happily|typically|normally|mainly|first|kinda|do"""
_VERBS = """ate|became|began|bought|broke|brought|built|came|caught|did(?= (?:some|an?|the|my|our) )|drew|drove|fell
|flew|found|gave|got|grew|held|hit
|hurt|laid|left|lost|made|met|paid|quit|ran|read|rode|sang|saw|sent|sold|spent|swam|took|taught|threw|went|won|woke|wrote"""
_MILD = """need|want|like|lov|hat|enjoy|hop|us|wonder|mention|notic|ask|realiz|realis|suppos|seem|plann|decid|wish|tri
|struggl|preferr|miss|learn|express|discuss|talk|chat|look|watch|impress|remind|expect|agre|promis|assum|liv|end|stay|remember"""


def _either(words: str) -> str:
    return f"(?:{words})".replace("\n", "")


_CAP = r"(?!(?:I|I'm|I've|I'd|I'll)\b)[A-Z][\w'&-]+"
PLACE = rf"(?:the )?(?:St\. )?{_CAP}(?:(?: (?:of|de|la|upon|el|le|am) |,? ){_CAP}){{0,4}}"
PARTS = {
    "i": r"(?<![\w'])(?P<i>[Ii]|[Ww]e)\b",
    "who": r"(?<![\w'])(?:(?P<i>[Ii]|[Ww]e)\b|[Mm]y @size(?P<kin>@kin)\b(?:,? (?P<kname>@name),?)?|(?P<name>@name))",
    "be": r"(?(i)(?:'m| am|'re| are)|(?:'s| is))",
    "have": r"(?:(?(i)(?:'ve| have)|(?:'s| has)))?",
    "has": r"(?(i)(?:'ve| have)|(?:'s| has))",
    "been": r"(?(i)(?:'ve| have)|(?:'s| has)) been",
    "adv": rf"(?: {_either(_ADVERBS)}\b){{0,3}}",
    "as": r"(?: as (?:an? |the )?[\w /-]{3,40}?)?",
    "noun": r"(?:my|our|the|an?|his|her|this) (?:[\w'-]+ ){1,4}(?:in|near|outside of) ",
    "new": r"(?:(?:new|old|first|dream|full-time|part-time|current) )*",
    "size": r"(?:(?:older|younger|little|big|eldest|oldest|youngest|twin|elder|best|late) )?",
    "nice": r"(?:(?:small|grown|young|teenage|beautiful|adorable|wonderful) )?",
    "place": rf"(?P<v>{PLACE})",
    "cap": PLACE,
    "org": rf"(?P<v>(?:St\. )?{_CAP}(?:(?: (?:of|and|&|for) | ){_CAP}){{0,4}}|(?:an?|the)"
    rf" (?:[\w-]+ ){{0,3}}?{_either(_ORGS)}\b)",
    "jobs": _either(_JOBS),
    "job": r"(?P<v>(?:(?!(?:good|great|terrible|bad|big|huge|avid|keen|amateur|aspiring|former|trained|slow|fast|of"
    r"|bit|lot|fan|better|natural|visual|decent|lousy|who|that|and|for|to|like|with|in)\b)[\w&/-]+ ){0,3}?@jobs)"
    r"\b(?![-']| @jobs\b)",
    "np": r"[\"“]?(?P<v>[^\s,.;:!?()\[\]\"“”—–*]@more{1,90})",
    "more": r"(?:[^,;:!?()\[\]\"“”—–*\n.]|[.:,](?=\d)|(?<=\bSt)\.)",
    "degree": r"(?P<v>(?:an? |my )?(?:PhD|[Mm]aster'?s|[Bb]achelor's|[Dd]egree|[Dd]iploma)(?: degree)?(?: (?:in"
    r"|of) [\w &-]{3,50})?)",
    "kin": _either("|".join(sorted(KIN, key=len, reverse=True))),
    "child": _either(_CHILDREN),
    "animal": _either(_ANIMALS) + "s?",
    "own": _either(_OWNABLE),
    "name": _NAME,
    "num": r"(?:\d{1,2}|two|three|four|five|six|seven|eight)",
    "stop": r"(?= (?:and|but|that|which|who|from|for|in|at|on|last|this|now|with|to|so|when|because|recently|today"
    r"|yesterday|since|about"
    r"|two|three|a few|a couple)\b|[.,;!:]|$)",
    "address": rf"(?:\d{{1,5}}[a-zA-Z]? {_CAP}(?: {_CAP}){{0,3}}|{_CAP}(?: {_CAP}){{0,3}} \d{{1,5}}[a-zA-Z]?)\b(?:,"
    rf"? (?:in )?{_CAP}(?: {_CAP})?)?",
    "date": r"(?:[A-Z][a-z]{2,8} \d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?|\d{1,2}(?:st|nd|rd|th)?(?: of)? [A-Z][a-z]{2,8}"
    r"(?:,? \d{4})?|[A-Z][a-z]{2,8} \d{4})\b",
    "diet": r"(?P<v>vegan|vegetarian|pescatarian|pescetarian|flexitarian|keto|gluten-free|dairy-free)\b(?=[.,;!]|$"
    r"| (?:and|now|for"
    r"|since|so|but|diet|person|myself|who)\b)",
    "past": rf"(?:[a-z]{{2,14}}(?<!e)ed|{_either(_VERBS)})",
    "mild": rf"{_either(_MILD)}e?d\b",
}
NOT_NAMES = frozenset(
    (
        "He She It They This That There Who Everyone Everybody Nobody Somebody Someone Anyone What When Where How"
        " Why Which Life"
        " Work Home Here Now Then Today Tomorrow Yesterday And But Also Just Really Yeah Yes Yep Nope Not The You"
        " Your His Her"
        " Their Our One All Both Some Most Many Each Every Thanks Thank Wow Hey Hi Hello Well Sounds Monday"
        " Tuesday Wednesday"
        " Thursday Friday Saturday Sunday January February March April May June July August September October November"
        " December Mom Dad Mum Christmas Easter Day Even Another Mr Mrs Ms Dr"
    ).split()
)
TIME_WORDS = frozenset(
    (
        "ago yesterday last today tonight tomorrow next recently earlier since weekend week month year morning"
        " afternoon monday"
        " tuesday wednesday thursday friday saturday sunday january february march april may june july august"
        " september october"
        " november december 0year 0day soon years months weeks days summer winter spring autumn fall christmas"
    ).split()
)


def _singles(words: str) -> list[str]:
    """Single words to look out for: the last word of each, singular and plural."""
    last = [re.sub(r"(\w)\?", r"\1", word).split(" ")[-1].lower() for word in words.replace("\n", "").split("|")]
    return sorted({form for word in last for form in (word, word + "s")})


_LISTS = {
    "*relatives": KIN,
    "*cars": ["0year"],
    "*times": sorted(TIME_WORDS),
    "*jobs": _singles(_JOBS),
    "*animals": _singles(_ANIMALS),
    "*ownable": _singles(_OWNABLE),
    "*children": _singles(_CHILDREN),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` captures the value as ``v``; ``when`` asks for a ``past`` or ``future`` time beside it."""

    relation: str
    pattern: re.Pattern[str]
    ended: bool
    when: str
    confidence: float


@cache
def rules() -> dict[str, list[tuple[int, Rule]]]:
    """The rules by the words that call them, compiled at first use."""
    index: dict[str, list[tuple[int, Rule]]] = {}
    for number, block in enumerate(re.split(r"\n+(?=\S)", _RULES.strip())):
        head, *lines = block.split("\n")
        name, _, words = head.rpartition(": ")
        relation, *options = name.split()
        pattern = "".join(line[4:] for line in lines)
        while "@" in pattern:
            pattern = re.sub(r"@([a-z]+)", lambda m: PARTS[m[1]], pattern)
        sure = next((float(o) for o in options if o[0] == "0"), 0.9)
        when = next((o for o in options if o in ("past", "future")), "")
        rule = Rule(relation, re.compile(pattern), "ended" in options, when, sure)
        for word in words.split():
            for each in _LISTS.get(word, [word]):
                index.setdefault(each, []).append((number, rule))
    return index
