"""Ship: trained models as programs, to be run where there is no PyTorch."""

from rekur.ship.live import live_model, step_function
from rekur.ship.lower import lower
from rekur.ship.saved import program_files

__all__ = ["live_model", "lower", "program_files", "step_function"]
