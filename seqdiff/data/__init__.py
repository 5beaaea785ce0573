"""Floor 1: data sets, batches and the way from disk to the host."""
