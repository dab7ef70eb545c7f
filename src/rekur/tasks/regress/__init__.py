"""Regress: one number for a whole sequence."""
