"""Floor 4: protocols that turn a trained model into numbers."""
