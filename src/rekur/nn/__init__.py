"""Layers: cells joined to scans, with depth, directions, lengths, pooling, attention and embeddings."""
