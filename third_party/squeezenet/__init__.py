"""SqueezeNet 1.0, whose features compare images."""
