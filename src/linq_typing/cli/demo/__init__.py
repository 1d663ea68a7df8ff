"""`linq-typing demo`: scenes of a bot's life, played by the real library against the sandbox."""
