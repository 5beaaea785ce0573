"""Floor 2: Linen modules; no losses, no sampling."""
