"""Benchmarks: linq-typing beside its peers and floors, in one run: ``python -m tests.bench --help``."""
