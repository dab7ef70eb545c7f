"""Study: searches for good options, plots and reports of what was trained."""

from rekur.study.report import check_report, model_plots, write_report
from rekur.study.run_search import Cluster, SearchResult, search
from rekur.study.trials import Trial

__all__ = ["Cluster", "SearchResult", "Trial", "check_report", "model_plots", "search", "write_report"]
