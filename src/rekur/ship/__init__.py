"""Ship: trained models as programs, to be run where there is no PyTorch."""

from rekur.ship.lower import lower

__all__ = ["lower"]
