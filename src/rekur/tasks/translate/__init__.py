"""Translate: from one text to another."""
