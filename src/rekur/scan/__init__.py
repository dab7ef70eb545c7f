"""Scans: the algorithms that run a cell through time."""
