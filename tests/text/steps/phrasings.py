"""Time questions in many wordings, each with the sessions it means, computed by plain date arithmetic.

``PHRASINGS`` maps a family to ``(question, gold)`` pairs; ``gold(now, dates)`` returns the zero-based indices into
``dates`` (session starts, ascending, naive) that the question is about. Nothing here uses the grammar under test.
Even positions of a family are for tuning, odd ones are held out (:func:`tune`, :func:`held_out`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

Gold = Callable[[datetime, Sequence[datetime]], set[int]]
When = Callable[[datetime], datetime]
Case = tuple[str, str, Gold]  # family, question, gold


def mid(at: datetime) -> datetime:
    return datetime(at.year, at.month, at.day)


def between(low: When, high: When) -> Gold:
    return lambda now, dates: set(range(bisect_left(dates, low(now)), bisect_left(dates, high(now))))


def ago(far: int, near: int | None = None) -> Gold:
    """From the day ``far`` days back to the day ``near`` days back, both whole."""
    close = far if near is None else near
    return between(lambda n: mid(n) - timedelta(far), lambda n: mid(n) - timedelta(close - 1))


def week(back: int, first: int = 0, last: int = 6) -> Gold:
    """Days ``first`` to ``last`` (Monday is 0) of the calendar week ``back`` weeks before this one."""

    def monday(n: datetime) -> datetime:
        return mid(n) - timedelta(n.weekday() + 7 * back)

    return between(lambda n: monday(n) + timedelta(first), lambda n: monday(n) + timedelta(last + 1))


def first_of(year: int, month: int) -> datetime:
    return datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)


def month(back: int, first: int = 1, last: int = 99) -> Gold:
    """Days ``first`` to ``last`` of the month ``back`` months before this one."""

    def low(n: datetime) -> datetime:
        return first_of(n.year, n.month - back) + timedelta(first - 1)

    def high(n: datetime) -> datetime:
        return min(first_of(n.year, n.month - back + 1), first_of(n.year, n.month - back) + timedelta(last))

    return between(low, high)


def months_ago(count: int, n: datetime) -> datetime:
    """Midnight of the same day of the month ``count`` months earlier (held to the month's last day)."""
    start = first_of(n.year, n.month - count)
    length = (first_of(start.year, start.month + 1) - start).days
    return start.replace(day=min(n.day, length))


def year(back: int, first: int = 1, last: int = 12) -> Gold:
    return between(lambda n: datetime(n.year - back, first, 1), lambda n: first_of(n.year - back, last + 1))


def date(y: int, m: int, d: int) -> Gold:
    return between(lambda n: datetime(y, m, d), lambda n: datetime(y, m, d) + timedelta(1))


def span(a: tuple[int, int, int], b: tuple[int, int, int]) -> Gold:
    return between(lambda n: datetime(*a), lambda n: datetime(*b) + timedelta(1))


def months(y: int, m: int, y2: int, m2: int) -> Gold:
    return between(lambda n: datetime(y, m, 1), lambda n: first_of(y2, m2 + 1))


def past_day(n: datetime, m: int, d: int) -> datetime:
    """The latest such day that has begun."""
    return max(at for at in (datetime(n.year, m, d), datetime(n.year - 1, m, d)) if at <= n)


def latest(m: int, d: int, days: int = 1, shift: int = 0) -> Gold:
    def low(n: datetime) -> datetime:
        return past_day(n, m, d) + timedelta(shift)

    return between(low, lambda n: low(n) + timedelta(days))


def past_month(n: datetime, m: int, end: bool = False) -> datetime:
    start = past_day(n, m, 1)
    return first_of(start.year, m + 1) if end else start


def latest_month(m: int, first: int = 1, last: int = 99) -> Gold:
    return between(
        lambda n: past_month(n, m) + timedelta(first - 1),
        lambda n: min(past_month(n, m, True), past_month(n, m) + timedelta(last)),
    )


def season(first: int, *, ended: bool) -> Gold:
    """The latest season that starts in month ``first``: already over, or merely begun."""

    def low(n: datetime) -> datetime:
        starts = [datetime(n.year - k, first, 1) for k in range(3)]
        return max(at for at in starts if (first_of(at.year, first + 3) <= n if ended else at <= n))

    return between(low, lambda n: first_of(low(n).year, first + 3))


def past_weekday(n: datetime, weekday: int, count: int = 1) -> datetime:
    """The ``count``-th latest such weekday before today."""
    at = mid(n) - timedelta(1)
    while at.weekday() != weekday:
        at -= timedelta(1)
    return at - timedelta(7 * (count - 1))


def weekday(which: int, count: int = 1, hours: tuple[int, int] = (0, 24)) -> Gold:
    return between(
        lambda n: past_weekday(n, which, count) + timedelta(hours=hours[0]),
        lambda n: past_weekday(n, which, count) + timedelta(hours=hours[1]),
    )


def weekend(count: int, last: int | None = None) -> Gold:
    """The ``count``-th latest weekend whose Sunday is over (to the ``last``-th one)."""
    near = count if last is None else last
    return between(
        lambda n: past_weekday(n, 6, count) - timedelta(1), lambda n: past_weekday(n, 6, near) + timedelta(1)
    )


def hours(back: int, low: int, high: int) -> Gold:
    """Hours ``low`` to ``high`` of the day ``back`` days ago."""
    return between(lambda n: mid(n) + timedelta(-back, hours=low), lambda n: mid(n) + timedelta(-back, hours=high))


def since(low: When) -> Gold:
    return between(low, lambda n: n + timedelta(1))


def until(high: When) -> Gold:
    return between(lambda n: datetime.min, high)


def nth(n: int, which: int, start: datetime) -> datetime:
    """The ``n``-th given weekday of the month that begins at ``start`` (-1: the last)."""
    days = [start + timedelta(k) for k in range(31)]
    fits = [at for at in days if at.weekday() == which and at.month == start.month]
    return fits[n - 1 if n > 0 else n]


def one_day(at: datetime) -> Gold:
    return between(lambda n: at, lambda n: at + timedelta(1))


def ended(n: datetime, m: int, d: int, days: int) -> datetime:
    """The latest stretch of ``days`` from that day of the year that is over."""
    starts = [datetime(n.year - k, m, d) for k in range(2)]
    return max(at for at in starts if at + timedelta(days) <= n)


def quarter_start(n: datetime, back: int) -> datetime:
    return first_of(n.year, (n.month - 1) // 3 * 3 + 1 - 3 * back)


def thanksgiving(n: datetime) -> datetime:
    return max(at for y in (n.year, n.year - 1) if (at := nth(4, 3, datetime(y, 11, 1))) <= n)


def both(*golds: Gold) -> Gold:
    return lambda now, dates: set().union(*(gold(now, dates) for gold in golds))


def s(*numbers: int) -> Gold:
    """Sessions by number: 1 is the first, -1 the last."""
    return lambda now, dates: {k - 1 if k > 0 else len(dates) + k for k in numbers}


def run(first: int, last: int) -> Gold:
    """Sessions ``first`` to ``last``, both included; negative numbers count from the end."""
    return lambda now, dates: set(range(_at(first, dates), _at(last, dates) + 1))


def _at(number: int, dates: Sequence[datetime]) -> int:
    return number - 1 if number > 0 else len(dates) + number


def among(gold: Gold, *numbers: int) -> Gold:
    """The ``numbers``-th of the sessions that ``gold`` gives."""

    def pick(now: datetime, dates: Sequence[datetime]) -> set[int]:
        inside = sorted(gold(now, dates))
        return {inside[k - 1 if k > 0 else k] for k in numbers}

    return pick


def not_last_today(now: datetime, dates: Sequence[datetime]) -> set[int]:
    """Today's sessions but the one that is going on."""
    return set(sorted(ago(0)(now, dates))[:-1])


# fmt: off
PHRASINGS: dict[str, list[tuple[str, Gold]]] = {
    "named day": [
        ("Remind me what came up yesterday.", ago(1)),
        ("what were we on about the day before yesterday", ago(2)),
        ("Yesterday we spoke - what did I say about the boiler?", ago(1)),
        ("day before yesterday: what did we cover?", ago(2)),
        ("Which topics did we touch on today?", ago(0)),
        ("Everything you told me today, please.", ago(0)),
        ("What did I ask you about, the day before yesterday I think?", ago(2)),
        ("did we chat yesterday, and if so what about?", ago(1)),
    ],
    "days ago": [
        ("Three days back, what had I told you?", ago(3)),
        ("What was our talk of four days ago about?", ago(4)),
        ("A couple of days ago we discussed something important. What was it?", ago(2)),
        ("we spoke five days ago, didn't we? about what?", ago(5)),
        ("Some six days ago you gave me advice. Which?", ago(6)),
        ("What did I tell you two days earlier?", ago(2)),
        ("A day ago we talked about what exactly?", ago(1)),
        ("What had we been discussing as of two days ago?", ago(2)),
        ("I mentioned a film about three days ago. What did we say of it?", ago(3)),
        ("Only two days ago we went over my plans; list them.", ago(2)),
        ("A few days ago we were talking. What about?", ago(5, 2)),
        ("One day back, what did we chat about?", ago(1)),
        ("What did we talk about 2 nights ago?", ago(2)),
        ("What were we saying 6 days prior?", ago(6)),
    ],
    "weeks ago": [
        ("Some three weeks back we talked. Give me the gist.", ago(24, 18)),
        ("What did we go through two weeks ago?", ago(17, 11)),
        ("A fortnight ago, what did we discuss?", ago(17, 11)),
        ("what did we discuss about a week ago?", ago(10, 4)),
        ("A week ago today, what were we discussing?", ago(7)),
        ("Exactly two weeks ago, what did I tell you?", ago(14)),
        ("Roughly five weeks ago we chatted about work. Summarise it.", ago(38, 32)),
        ("Two weeks ago to the day we had a conversation; what was in it?", ago(14)),
        ("What did you say to me a couple of weeks ago?", ago(17, 11)),
        ("What did you and I speak of 10 weeks ago?", ago(73, 67)),
        ("A week ago yesterday, what had we talked about?", ago(8)),
        ("Six weeks back, which subjects came up between us?", ago(45, 39)),
        ("Three weeks ago on Tuesday we talked. What about?", week(3, 1, 1)),
        ("what did we chat about on Friday two weeks ago?", week(2, 4, 4)),
    ],
    "months and years ago": [
        ("What did we talk about three months ago?", month(3)),
        ("Two months back, what were our topics?", month(2)),
        ("A month ago we were discussing something. What?", month(1)),
        ("I think it was some four months ago that we discussed the house. What did we say?", month(4)),
        ("What did we chat about a couple of months ago?", month(2)),
        ("What did we discuss two years ago?", year(2)),
        ("Half a year ago we spoke about jobs; what was said?",
         between(lambda n: months_ago(6, n) - timedelta(15), lambda n: months_ago(6, n) + timedelta(16))),
        ("Ten months ago, what did I tell you?", month(10)),
        ("About seven months ago what did we discuss?", month(7)),
        ("what'd we talk about five months ago", month(5)),
        ("What did we talk about eighteen months ago?", month(18)),
        ("Nine months back what was it that we discussed?", month(9)),
    ],
    "weekday": [
        ("What did we discuss on Tuesday?", weekday(1)),
        ("The Friday before last we talked. About what?", weekday(4, 2)),
        ("What did I say last Thursday?", weekday(3)),
        ("We had a chat this past Monday, what was it about?", weekday(0)),
        ("Wednesday's conversation - what was it about?", weekday(2)),
        ("Can you recall our talk on the previous Saturday?", weekday(5)),
        ("What did we talk about two Fridays ago?", weekday(4, 2)),
        ("on sunday, what did we talk about?", weekday(6)),
        ("What did we go over on Monday of last week?", week(1, 0, 0)),
        ("Last week on Thursday, what did we discuss?", week(1, 3, 3)),
        ("What did we chat about Wednesday last week?", week(1, 2, 2)),
        ("three Mondays ago we discussed something, what was it?", weekday(0, 3)),
        ("What came up in our conversation on Thursday last?", weekday(3)),
        ("Sunday before last: what did we say?", weekday(6, 2)),
        ("What did we discuss on Saturday evening?", weekday(5, 1, (17, 24))),
        ("Friday morning, what did we talk about?", weekday(4, 1, (0, 12))),
        ("What were we talking about last Tuesday afternoon?", weekday(1, 1, (12, 18))),
        ("On the most recent Wednesday, what did we talk about?", weekday(2)),
        ("Tell me what you said on Tuesday of the week before last.", week(2, 1, 1)),
        ("What did we discuss a week ago on Monday?", week(1, 0, 0)),
    ],
    "weekend": [
        ("What did we talk about last weekend?", weekend(1)),
        ("Over the weekend we talked, what about?", weekend(1)),
        ("Two weekends ago what did we chat about?", weekend(2)),
        ("What was discussed the weekend before last?", weekend(2)),
        ("What did I tell you this past weekend?", weekend(1)),
        ("what did we cover at the weekend?", weekend(1)),
        ("Three weekends back, what did we say?", weekend(3)),
        ("During the last weekend, what did we discuss?", weekend(1)),
        ("What did we talk about over the last two weekends?",
         between(lambda n: past_weekday(n, 6, 2) - timedelta(1), lambda n: past_weekday(n, 6) + timedelta(1))),
        ("The previous weekend, what did we discuss?", weekend(1)),
    ],
    "calendar unit": [
        ("What topics did we have last week?", week(1)),
        ("Sum up the previous week's conversations.", week(1)),
        ("Anything we discussed this week?",
         between(lambda n: mid(n) - timedelta(n.weekday()), lambda n: n + timedelta(1))),
        ("The week before last, what was on our minds when we talked?", week(2)),
        ("What did we speak about so far this month?", month(0)),
        ("Last month's chats: what were they about?", month(1)),
        ("What had I told you the month before last?", month(2)),
        ("List what we talked about in the previous month.", month(1)),
        ("What did we discuss last year?", year(1)),
        ("What have we discussed this year?", year(0)),
        ("The year before last, what did we discuss?", year(2)),
        ("So what did we chat about in the course of last week?", week(1)),
        ("What did we say to each other earlier this week?",
         between(lambda n: mid(n) - timedelta(n.weekday()), lambda n: n)),
        ("Earlier this month we talked about something; what?",
         between(lambda n: first_of(n.year, n.month), lambda n: n)),
        ("Earlier in the year, what did we discuss?", between(lambda n: datetime(n.year, 1, 1), lambda n: n)),
        ("during the current week, what were our subjects?", week(0)),
    ],
    "rolling window": [
        ("In the past ten days, what have we talked about?", ago(10, 0)),
        ("What did we chat about over the last fortnight?", ago(14, 0)),
        ("Over the past two weeks, what have I told you?", ago(14, 0)),
        ("Give me the highlights of the last five days of chats.", ago(5, 0)),
        ("What have we discussed in the last couple of weeks?", ago(14, 0)),
        ("during the past month, what did we discuss?", since(lambda n: months_ago(1, n))),
        ("What have we covered in the last three months?", since(lambda n: months_ago(3, n))),
        ("Over the past year, what have we talked about?", since(lambda n: months_ago(12, n))),
        ("What's been said within the past 30 days?", ago(30, 0)),
        ("Throughout the previous six weeks what did we discuss?", ago(42, 0)),
        ("In the last half a year, what did we talk about?", since(lambda n: months_ago(6, n))),
        ("Over the past seven days what did you tell me?", ago(7, 0)),
        ("What did we talk about this past week?", ago(7, 0)),
        ("Our conversations of the last 90 days, please summarise.", ago(90, 0)),
    ],
    "absolute day": [
        ("What did we discuss on the 8th of May 2023?", date(2023, 5, 8)),
        ("May 8, 2023 - what did we talk about?", date(2023, 5, 8)),
        ("Back on the twenty-first of June 2022, what did I say?", date(2022, 6, 21)),
        ("What was said between us on Monday, May 8th, 2023?", date(2023, 5, 8)),
        ("On 3 Oct 2023 we talked. What about?", date(2023, 10, 3)),
        ("what did we discuss on sept 9 2023?", date(2023, 9, 9)),
        ("What did we cover the 2nd of November?", latest(11, 2)),
        ("On August the fourteenth what were we talking about?", latest(8, 14)),
        ("We chatted 12 July. What did I tell you?", latest(7, 12)),
        ("Our conversation from Feb. 11th, what was it about?", latest(2, 11)),
        ("What did we talk about on January first?", latest(1, 1)),
        ("Tell me about the chat dated December 30, 2022.", date(2022, 12, 30)),
        ("What did we speak of on the ninth day of April 2023?", date(2023, 4, 9)),
        ("Tuesday 4 July 2023: what did we say?", date(2023, 7, 4)),
        ("What did we chat about on 1 Sept '23?", date(2023, 9, 1)),
        ("March 15th of last year, what did we discuss?",
         between(lambda n: datetime(n.year - 1, 3, 15), lambda n: datetime(n.year - 1, 3, 16))),
        ("On the thirty-first of October what did we talk about?", latest(10, 31)),
        ("June 5th: what was on the agenda of our chat?", latest(6, 5)),
        ("We spoke on 22nd August 2022; what did you recommend?", date(2022, 8, 22)),
        ("What did we discuss on Apr 3rd, 2023?", date(2023, 4, 3)),
        ("what did i say on may 5th 2023", date(2023, 5, 5)),
        ("What did you tell me on the 3rd of last month?", month(1, 3, 3)),
    ],
    "numeric date": [
        ("What did we discuss on 2023-05-08?", date(2023, 5, 8)),
        ("Notes from our 05/08/2023 chat?", date(2023, 5, 8)),
        ("What did we talk about on 25/05/2023?", date(2023, 5, 25)),
        ("On 8.5.2023, what did we discuss?", date(2023, 5, 8)),
        ("what did we talk about on 7/4?", latest(7, 4)),
        ("Session of 2022/11/30 - what was said?", date(2022, 11, 30)),
        ("12/24/22: what did we chat about?", date(2022, 12, 24)),
        ("Our talk on 6-9-2023 was about what?", date(2023, 6, 9)),
        ("What did we say on 31.01.2023?", date(2023, 1, 31)),
        ("What did we discuss in 2023-04?", months(2023, 4, 2023, 4)),
    ],
    "month": [
        ("What did we talk about in June 2022?", months(2022, 6, 2022, 6)),
        ("Back in November, what were we discussing?", latest_month(11)),
        ("In the month of April, which subjects did we raise?", latest_month(4)),
        ("What was discussed during October?", latest_month(10)),
        ("What did we chat about in Sept 2023?", months(2023, 9, 2023, 9)),
        ("our march conversations - hmm, what did we say in March?", latest_month(3)),
        ("What did we discuss last September?",
         between(lambda n: ended(n, 9, 1, 30), lambda n: ended(n, 9, 1, 30) + timedelta(30))),
        ("Throughout February 2023 we talked a lot. What about?", months(2023, 2, 2023, 2)),
        ("What did I mention in May of 2023?", months(2023, 5, 2023, 5)),
        ("In January of last year, what did we talk about?", year(1, 1, 1)),
        ("Did we discuss anything interesting in December 2022?", months(2022, 12, 2022, 12)),
        ("what did we talk about in july", latest_month(7)),
    ],
    "part": [
        ("In early May 2023, what did we discuss?", span((2023, 5, 1), (2023, 5, 10))),
        ("Late in June 2023 what did we talk about?", span((2023, 6, 21), (2023, 6, 30))),
        ("What did we chat about in mid-August?", latest_month(8, 11, 20)),
        ("Towards the end of March 2023, what did I say?", span((2023, 3, 21), (2023, 3, 31))),
        ("At the beginning of November, what did we discuss?", latest_month(11, 1, 10)),
        ("In the middle of July 2022, what were our topics?", span((2022, 7, 11), (2022, 7, 20))),
        ("What was said in the first half of April 2023?", span((2023, 4, 1), (2023, 4, 15))),
        ("the second half of June 2022: what did we discuss?", span((2022, 6, 16), (2022, 6, 30))),
        ("What did we talk about at the start of last month?", month(1, 1, 10)),
        ("At the end of last year, what did we talk about?", year(1, 9, 12)),
        ("Early last week what did we discuss?", week(1, 0, 1)),
        ("Later last week, what did we discuss?", week(1, 4, 6)),
        ("What did we say late last month?", month(1, 21, 99)),
        ("In late 2022, what did we chat about?", months(2022, 9, 2022, 12)),
        ("Early in 2023, what did we chat about?", months(2023, 1, 2023, 4)),
        ("What were we on about in mid 2022?", months(2022, 5, 2022, 8)),
    ],
    "season": [
        ("Back in the spring, what did we talk about?", season(3, ended=False)),
        ("What did we discuss last summer?", season(6, ended=True)),
        ("In the autumn of 2022, what had we been saying?", months(2022, 9, 2022, 11)),
        ("Last winter we spoke about heating. What did we decide?", season(12, ended=True)),
        ("Over the summer of 2023, what did we discuss?", months(2023, 6, 2023, 8)),
        ("back in early spring, what were we talking about?",
         between(lambda n: past_month(n, 3), lambda n: past_month(n, 3, True))),
        ("What did we chat about in fall 2022?", months(2022, 9, 2022, 11)),
        ("During winter 2022 what did we discuss?", months(2022, 12, 2023, 2)),
        ("In late summer 2022 what did we discuss?", months(2022, 8, 2022, 8)),
        ("last autumn, what did we talk about?", season(9, ended=True)),
    ],
    "quarter": [
        ("What did we discuss in Q2 2023?", months(2023, 4, 2023, 6)),
        ("In the third quarter of 2022, what did we talk about?", months(2022, 7, 2022, 9)),
        ("Last quarter, what were our themes when we talked?",
         between(lambda n: quarter_start(n, 1), lambda n: quarter_start(n, 0))),
        ("H1 2023 in our chats: summarise.", months(2023, 1, 2023, 6)),
        ("In the first half of 2022, what did we discuss?", months(2022, 1, 2022, 6)),
        ("During the second half of 2022 what did we discuss?", months(2022, 7, 2022, 12)),
        ("The whole of 2022: what did we chat about?", months(2022, 1, 2022, 12)),
        ("In 2022, what did we mostly talk about?", months(2022, 1, 2022, 12)),
        ("over the course of 2023, what did we discuss?", months(2023, 1, 2023, 12)),
        ("What was on our minds in the year 2021 when we spoke?", months(2021, 1, 2021, 12)),
    ],
    "span": [
        ("What did we discuss from 3 May to 7 May 2023?", span((2023, 5, 3), (2023, 5, 7))),
        ("May 3-7, 2023: what did we talk about?", span((2023, 5, 3), (2023, 5, 7))),
        ("Between the 3rd and the 7th of May 2023, what did we talk about?", span((2023, 5, 3), (2023, 5, 7))),
        ("What was said from May through July 2022?", months(2022, 5, 2022, 7)),
        ("Between December 2022 and February 2023 what did we discuss?", months(2022, 12, 2023, 2)),
        ("Monday to Wednesday of last week, what did we talk about?", week(1, 0, 2)),
        ("From 28 December until 4 January, what did we chat about?",
         between(lambda n: past_day(past_day(n, 1, 4), 12, 28), lambda n: past_day(n, 1, 4) + timedelta(1))),
        ("What came up 2023-06-01 to 2023-06-15?", span((2023, 6, 1), (2023, 6, 15))),
        ("8-10 June 2023, what did we talk about?", span((2023, 6, 8), (2023, 6, 10))),
        ("What did we cover from the twelfth till the fifteenth of July 2023?", span((2023, 7, 12), (2023, 7, 15))),
        ("from yesterday back... between last Monday and yesterday, what did we say?",
         between(lambda n: min(past_weekday(n, 0), mid(n) - timedelta(1)), mid)),
        ("From March 30 through April 2, 2023, what did I tell you?", span((2023, 3, 30), (2023, 4, 2))),
        ("Between 2021 and 2022 what did we discuss?", months(2021, 1, 2022, 12)),
        ("what did we discuss June to August 2023?", months(2023, 6, 2023, 8)),
        ("from the 5th of may 2023 up to the 9th of june 2023, what did we discuss", span((2023, 5, 5), (2023, 6, 9))),
        ("What did we talk about between 1/3/2023 and 1/9/2023?", span((2023, 1, 3), (2023, 1, 9))),
        ("All we said from October 2022 to now?", since(lambda n: datetime(2022, 10, 1))),
        ("Between five and three days ago, what did we discuss?", ago(5, 3)),
        ("From early March to mid April 2023 what did we discuss?", span((2023, 3, 1), (2023, 4, 20))),
        ("What did we discuss Friday through Sunday?",
         between(lambda n: past_weekday(n, 6) - timedelta(2), lambda n: past_weekday(n, 6) + timedelta(1))),
    ],
    "open": [
        ("What have we talked about since 1 June 2023?", since(lambda n: datetime(2023, 6, 1))),
        ("Before March 2022, what did we discuss?", until(lambda n: datetime(2022, 3, 1))),
        ("After the 20th of October 2023 what was said?", since(lambda n: datetime(2023, 10, 21))),
        ("Up to May 2021, what were our topics?", until(lambda n: datetime(2021, 6, 1))),
        ("Since last Wednesday, what have you told me?", since(lambda n: past_weekday(n, 2))),
        ("What had we covered by the end of 2021?", until(lambda n: datetime(2022, 1, 1))),
        ("Since yesterday, what have we discussed?", ago(1, 0)),
        ("What did we discuss prior to 5 April 2021?", until(lambda n: datetime(2021, 4, 5))),
        ("From June 2023 onwards, what did we talk about?", since(lambda n: datetime(2023, 6, 1))),
        ("Until 15 Feb 2021, what did we speak about?", until(lambda n: datetime(2021, 2, 16))),
        ("Ever since October, what have we been discussing?", since(lambda n: past_month(n, 10))),
        ("What did we talk about after last Christmas?", since(lambda n: past_day(n, 12, 27))),
        ("What has come up since the start of the month?", month(0)),
        ("anything we discussed later than 2023-11-01?", since(lambda n: datetime(2023, 11, 2))),
    ],
    "offset": [
        ("What did we discuss the day after May 5, 2023?", date(2023, 5, 6)),
        ("In the week before 3 June 2023, what did we talk about?", span((2023, 5, 27), (2023, 6, 2))),
        ("The day before 1 March 2023 we talked. About what?", date(2023, 2, 28)),
        ("Ten days before 20 July 2023, what did we chat about?", date(2023, 7, 10)),
        ("Within a week of 10 August 2022, what did we discuss?", span((2022, 8, 3), (2022, 8, 17))),
        ("The Sunday before June 9th 2023, what did we say?", date(2023, 6, 4)),
        ("In the three days after 4 July 2023 what was discussed?", span((2023, 7, 5), (2023, 7, 7))),
        ("What did we discuss in the week of 14 August 2023?", span((2023, 8, 14), (2023, 8, 20))),
        ("What did we talk about the month before September 2022?", months(2022, 8, 2022, 8)),
        ("The Tuesday after 1 May 2023, what did we talk about?", date(2023, 5, 2)),
        ("Around 10 May 2023, what had we been talking about?", span((2023, 5, 8), (2023, 5, 12))),
        ("In the two weeks leading up to 15 June 2022, what was said?", span((2022, 6, 1), (2022, 6, 14))),
        ("the week following May 7 2023, what did we discuss?", span((2023, 5, 8), (2023, 5, 14))),
        ("What did we discuss the weekend before 9 June 2023?", span((2023, 6, 3), (2023, 6, 4))),
        ("Two days after 30 December 2022, what did we discuss?", date(2023, 1, 1)),
        ("Within three days of May 20, 2023, what did we talk about?", span((2023, 5, 17), (2023, 5, 23))),
        ("The month after February 2023, what did we discuss?", months(2023, 3, 2023, 3)),
        ("In the week that began on 12 June 2023, what did we discuss?", span((2023, 6, 12), (2023, 6, 18))),
    ],
    "nth of": [
        ("On the first Monday of May 2023 what did we discuss?", one_day(nth(1, 0, datetime(2023, 5, 1)))),
        ("The last Friday in June 2023, what did we say?", one_day(nth(-1, 4, datetime(2023, 6, 1)))),
        ("What was discussed in the second week of July 2023?", span((2023, 7, 8), (2023, 7, 14))),
        ("The last weekend of March 2023, what did we talk about?", span((2023, 3, 25), (2023, 3, 26))),
        ("On the last day of 2022, what did we discuss?", date(2022, 12, 31)),
        ("In the first week of April 2022, what did we discuss?", span((2022, 4, 1), (2022, 4, 7))),
        ("What did we talk about on the third Thursday in November 2022?", one_day(nth(3, 3, datetime(2022, 11, 1)))),
        ("In the last week of August 2023 what did I tell you?", span((2023, 8, 25), (2023, 8, 31))),
        ("During the first three days of 2023, what did we discuss?", span((2023, 1, 1), (2023, 1, 3))),
        ("In the final week of October 2023, what did we talk about?", span((2023, 10, 25), (2023, 10, 31))),
    ],
    "holiday": [
        ("On Christmas Day, what did we chat about?", latest(12, 25)),
        ("What did we talk about on New Year's Eve?", latest(12, 31)),
        ("last Halloween, what did we discuss?",
         between(lambda n: ended(n, 10, 31, 1), lambda n: ended(n, 10, 31, 1) + timedelta(1))),
        ("On Valentine's Day 2023, what did I tell you?", date(2023, 2, 14)),
        ("What did we discuss at Thanksgiving?", between(thanksgiving, lambda n: thanksgiving(n) + timedelta(1))),
        ("On Easter Sunday 2023, what did we talk about?", date(2023, 4, 9)),
        ("What did we say on Boxing Day 2022?", date(2022, 12, 26)),
        ("New Year's Day 2023: what did we chat about?", date(2023, 1, 1)),
        ("What did we talk about on Good Friday 2022?", date(2022, 4, 15)),
        ("The day after Christmas Day 2022 we spoke. What about?", date(2022, 12, 26)),
        ("On Independence Day 2023, what did we discuss?", date(2023, 7, 4)),
        ("Two days before Halloween 2022, what did we discuss?", date(2022, 10, 29)),
    ],
    "part of day": [
        ("What did we discuss last night?",
         between(lambda n: mid(n) - timedelta(hours=7), lambda n: mid(n) + timedelta(hours=5))),
        ("Yesterday evening, what did we talk about?", hours(1, 17, 24)),
        ("What did we say yesterday morning?", hours(1, 0, 12)),
        ("What did you mention on the afternoon of 8 May 2023?",
         between(lambda n: datetime(2023, 5, 8, 12), lambda n: datetime(2023, 5, 8, 18))),
        ("Earlier today we discussed a thing - which?", not_last_today),
        ("On 8 May 2023 in the evening, what did we discuss?",
         between(lambda n: datetime(2023, 5, 8, 17), lambda n: datetime(2023, 5, 9))),
        ("Yesterday afternoon you said something about trains?", hours(1, 12, 18)),
        ("What had we said the night before last?",
         between(lambda n: mid(n) - timedelta(hours=31), lambda n: mid(n) - timedelta(hours=19))),
    ],
    "session by number": [
        ("What did we discuss in session 9?", s(9)),
        ("Session twelve: what was it about?", s(12)),
        ("Our very first conversation, what was it about?", s(1)),
        ("In the twenty-second chat, what did we talk about?", s(22)),
        ("What was the subject of conversation number 5?", s(5)),
        ("what was covered in session #7", s(7)),
        ("Go back to our third discussion: what did I say?", s(3)),
        ("The 31st time we talked, what did we discuss?", s(31)),
        ("The first time we ever spoke, what did we talk about?", s(1)),
        ("In our opening session, what came up?", s(1)),
        ("In chat no. 14, what did we say?", s(14)),
        ("Sessions 2 and 6: what did we discuss?", s(2, 6)),
        ("In both our second and our fourth conversations, what came up?", s(2, 4)),
        ("Sessions 3, 5 and 8 - summarise.", s(3, 5, 8)),
    ],
    "session from the end": [
        ("What did we talk about last time?", s(-1)),
        ("The last time but one that we talked, what was said?", s(-2)),
        ("What was our most recent chat about?", s(-1)),
        ("Two conversations ago what did I tell you?", s(-2)),
        ("In the penultimate session, what did we discuss?", s(-2)),
        ("The third-to-last discussion, what was it about?", s(-3)),
        ("What did we say in the session before last?", s(-2)),
        ("the second to last chat: topics?", s(-2)),
        ("The time before last, what did we talk about?", s(-2)),
        ("Four sessions back, what did we cover?", s(-4)),
        ("The last time we spoke, what did I tell you?", s(-1)),
        ("In our latest conversation what did we go over?", s(-1)),
        ("What did we talk about in the previous session?", s(-1)),
        ("Next to last conversation: what did we discuss?", s(-2)),
        ("In the fourth from last session, what did we say?", s(-4)),
        ("Not our last chat but the one before it: what did we discuss?", s(-2)),
        ("When we last spoke, what did we discuss?", s(-1)),
        ("Which topics did we raise the last but one time we met?", s(-2)),
        ("a couple of sessions ago, what did we discuss?", s(-2)),
        ("What did we discuss in the last session but two?", s(-3)),
    ],
    "session span": [
        ("Sessions 3 to 5: what did we discuss?", run(3, 5)),
        ("What did we cover in our first three sessions?", run(1, 3)),
        ("Over the last four conversations, what did we talk about?", run(-4, -1)),
        ("From the second through the sixth chat, what was said?", run(2, 6)),
        ("between session 10 and session 13 what did we discuss?", run(10, 13)),
        ("Everything from session 8 to session 11, please.", run(8, 11)),
        ("Our past two sessions: what did we talk about?", run(-2, -1)),
        ("What was discussed before session 4?", run(1, 3)),
        ("In the two sessions after session 5, what came up?", run(6, 7)),
        ("In the first couple of chats, what did I tell you?", run(1, 2)),
        ("Up to session 3, what did we discuss?", run(1, 3)),
        ("Sessions five through nine, what did we cover?", run(5, 9)),
        ("The session right after session 12: what did we discuss?", s(13)),
        ("In the three most recent sessions, what did we discuss?", run(-3, -1)),
        ("In the session before session 20, what did we discuss?", s(19)),
        ("Across sessions 15-18, what did we talk about?", run(15, 18)),
        ("The last ten times we talked, what were our topics?", run(-10, -1)),
        ("The earliest five sessions, what did we talk about?", run(1, 5)),
    ],
    "session in time": [
        ("What did we discuss in the second session on 8 May 2023?", among(date(2023, 5, 8), 2)),
        ("The first conversation of June 2023, what was it about?", among(months(2023, 6, 2023, 6), 1)),
        ("In the last session of 2022, what did we talk about?", among(months(2022, 1, 2022, 12), -1)),
        ("Yesterday's first chat - what did we say?", among(ago(1), 1)),
        ("What was the last thing... in our final chat last week, what did we discuss?", among(week(1), -1)),
        ("In March 2023, what was our first session about?", among(months(2023, 3, 2023, 3), 1)),
        ("The third chat we had on 10 July 2023, what did we discuss?", among(date(2023, 7, 10), 3)),
        ("Our first two conversations in 2022, what did they cover?", among(months(2022, 1, 2022, 12), 1, 2)),
    ],
    "several": [
        ("What did we discuss on 3 May 2023 and on 9 June 2023?", both(date(2023, 5, 3), date(2023, 6, 9))),
        ("In May and July 2022, what did we talk about?", both(months(2022, 5, 2022, 5), months(2022, 7, 2022, 7))),
        ("On Monday and Tuesday what did we say?", both(weekday(0), weekday(1))),
        ("Either yesterday or the day before, what did we discuss?", both(ago(1), ago(2))),
        ("What did we talk about today or yesterday?", ago(1, 0)),
        ("On 3 or 4 March 2023, what did we discuss?", both(date(2023, 3, 3), date(2023, 3, 4))),
        ("Last weekend and the one before, what did we discuss?", weekend(2, 1)),
        ("In June 2022 as well as June 2023, what did we discuss?",
         both(months(2022, 6, 2022, 6), months(2023, 6, 2023, 6))),
    ],
}
# fmt: on


def cases() -> list[Case]:
    """Every phrasing in order."""
    return [(family, text, gold) for family, pairs in PHRASINGS.items() for text, gold in pairs]


def tune() -> list[Case]:
    """Even positions of each family: the grammar may be adjusted to these."""
    return [(family, text, gold) for family, pairs in PHRASINGS.items() for text, gold in pairs[::2]]


def held_out() -> list[Case]:
    """Odd positions of each family: never looked at while adjusting."""
    return [(family, text, gold) for family, pairs in PHRASINGS.items() for text, gold in pairs[1::2]]
