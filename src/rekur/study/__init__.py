"""Study: searches for good options, comparisons of variants, plots and reports of what was trained."""

from rekur.study.comparison import ComparisonResult
from rekur.study.ray_search import Cluster
from rekur.study.report import model_plots, write_report
from rekur.study.run_comparison import compare
from rekur.study.run_search import search
from rekur.study.trials import SearchResult, Trial

__all__ = ["Cluster", "ComparisonResult", "SearchResult", "Trial", "compare", "model_plots", "search", "write_report"]
