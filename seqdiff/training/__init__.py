"""Floor 4: training; knows what a method must offer, and no method."""
