"""Parts that configs share; data only."""
