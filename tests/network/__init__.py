"""Networks that misbehave, on one machine."""
