"""Data: files and memory to examples, batches and splits; no PyTorch."""
