"""Floor 3: the methods; each is one file."""
