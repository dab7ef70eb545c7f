"""Study: plots and reports of what was trained."""

from rekur.study.report import model_plots, write_report

__all__ = ["model_plots", "write_report"]
