"""Floor 1: diffusion as pure functions; no networks."""
