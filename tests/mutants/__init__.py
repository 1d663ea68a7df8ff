"""Bugs planted into the library, one at a time: the fast tests must notice each."""
