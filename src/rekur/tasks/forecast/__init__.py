"""Forecast: the next values of series."""
