"""Floor 1: losses on arrays; each returns one value per example."""
