"""Classify: one label, or several, for a whole sequence."""
