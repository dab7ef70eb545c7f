"""The version of Rekur."""

__version__ = "0.1.0"
