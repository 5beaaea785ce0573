"""One file per protocol; `evaluation.runner` knows them by name."""
