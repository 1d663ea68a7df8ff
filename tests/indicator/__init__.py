"""The proof of the pure indicator: a table, named races, random walks, a stateful search, and mutants."""
