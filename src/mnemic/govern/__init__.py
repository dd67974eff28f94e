"""Governance of memories: what may change them, what it must still be worth afterwards, and proof of what was done."""
