"""Models: a specification built into a network."""
