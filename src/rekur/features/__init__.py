"""Features: raw items to steps, fitted on training data, saved, able to stream; NumPy only."""
