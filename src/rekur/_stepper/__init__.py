"""Recurrent layers one event at a time: what live sessions and programs both step on; no PyTorch."""

from rekur._stepper.stepper import GATES, PRECISIONS, Precision, StepLayer, Stepper

__all__ = ["GATES", "PRECISIONS", "Precision", "StepLayer", "Stepper"]
