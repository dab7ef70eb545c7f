"""Steppers: recurrent layers run one event at a time, for one stream or ten thousand; no PyTorch."""

from rekur._stepper import GATES, PRECISIONS, Precision, StepLayer, Stepper

__all__ = ["GATES", "PRECISIONS", "Precision", "StepLayer", "Stepper"]
