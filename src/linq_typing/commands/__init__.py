"""The commands of `linq-typing`, one module each."""
