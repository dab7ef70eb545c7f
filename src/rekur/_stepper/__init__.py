"""Recurrent layers that run one event at a time, for live sessions and for programs; no PyTorch."""

from rekur._stepper.stepper import GATES, PRECISIONS, Precision, StepLayer, Stepper

__all__ = ["GATES", "PRECISIONS", "Precision", "StepLayer", "Stepper"]
