"""Scans: the algorithms that run a cell through time."""

from rekur.scan.both import scan_both
from rekur.scan.choose import PATHS, Choice, choose, runnable
from rekur.scan.loop import loop, reverse_rows
from rekur.scan.run import scan

__all__ = ["PATHS", "Choice", "choose", "loop", "reverse_rows", "runnable", "scan", "scan_both"]
