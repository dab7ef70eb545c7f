"""Metrics: thin names over scikit-learn, with intervals."""
