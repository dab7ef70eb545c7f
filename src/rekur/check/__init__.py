"""Check: proofs on a saved model and its user's data that it runs as it should; PyTorch only where it is installed."""

from rekur.check.finding import Check, Finding, NotApplicable, Pair
from rekur.check.proofs import CHECKS, check_bundle
from rekur.check.subject import Subject, subject_of

__all__ = ["CHECKS", "Check", "Finding", "NotApplicable", "Pair", "Subject", "check_bundle", "subject_of"]
