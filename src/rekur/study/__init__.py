"""Study: searches for good options, plots and reports of what was trained."""

from rekur.study.ray_search import Cluster
from rekur.study.report import model_plots, write_report
from rekur.study.run_search import search
from rekur.study.trials import SearchResult, Trial

__all__ = ["Cluster", "SearchResult", "Trial", "model_plots", "search", "write_report"]
