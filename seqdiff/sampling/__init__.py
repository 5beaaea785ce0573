"""Floor 4: separate jitted samplers over restored parameters."""
