"""Mnemic in other libraries' clothes: one small file for each, imported only by those who use it."""
