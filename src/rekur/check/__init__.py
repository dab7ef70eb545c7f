"""Check: proofs that a saved model runs correctly, on the user's data; PyTorch is used only if it is installed."""

from rekur.check.finding import Check, Finding, NotApplicable, Pair
from rekur.check.proofs import CHECKS, check_bundle
from rekur.check.subject import Subject, subject_of

__all__ = ["CHECKS", "Check", "Finding", "NotApplicable", "Pair", "Subject", "check_bundle", "subject_of"]
