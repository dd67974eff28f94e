"""Calendar expressions in English text ("two weekends ago", "3-7 May", "the Friday before last"), by rules.

A hand-written recursive-descent grammar over word tokens. It reads wall-clock time only: every bound is a naive
``datetime`` in the zone of ``now``; :mod:`mnemic.text.steps.dates` attaches the zone. Conventions:

- weeks start on Monday; a weekend is Saturday and Sunday; seasons are the meteorological ones of the north;
- "last week" and "last month" are calendar units, "the last week" and "the past month" roll back from today;
- "N days ago" is that calendar day (from 7 on also the day that ends there in elapsed hours), "N weeks ago" the seven
  days around it, "N months ago" that calendar month, "N years ago" that calendar year, "a year ago" half a year;
- "a few" is 2 to 5, "several" 3 to 8, "a couple" 2; early, mid and late are thirds;
- "last Friday" and "on Friday" are the latest Friday before today; "this Friday" is the one of the current week;
- ``5/8/2023`` is May 8 (month first) unless 5 cannot be a month; ``8.5.2023`` is day first;
- a date without a year is its latest occurrence that has begun, the end of a span the one nearest to its other end.
"""

from mnemic.text.steps.timex.calendar import MAX, MIN, Bounds, back_by, midnight, shift, unit_bounds
from mnemic.text.steps.timex.grammar import Grammar
from mnemic.text.steps.timex.tokens import Node, Token, tokenise

__all__ = [
    "MAX",
    "MIN",
    "Bounds",
    "Grammar",
    "Node",
    "Token",
    "back_by",
    "midnight",
    "shift",
    "tokenise",
    "unit_bounds",
]
