"""Measuring memory systems: suites over benchmark data, results with their conditions, reports, the evaluation card.

``suite`` says what a suite is, ``suites`` has one file for each; ``run`` runs them for any ``contender`` and keeps a
``journal``; ``metrics`` are pure functions; ``report`` and ``plots`` read a ``result``; ``card`` sums a system up;
``generate`` makes data by rule.
"""
