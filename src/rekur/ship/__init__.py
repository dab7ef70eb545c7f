"""Ship: trained models as programs, to be run where there is no PyTorch."""

from rekur.ship.lower import lower
from rekur.ship.saved import program_files

__all__ = ["lower", "program_files"]
