"""Runtime: what runs a saved model; no PyTorch."""
