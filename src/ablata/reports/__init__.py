"""Reports of studies and runs: one view, drawn for the terminal, as Markdown, and as a page in one file. No torch."""

from typing import TYPE_CHECKING

from ablata.base.lazy import lazy_names

if TYPE_CHECKING:
    from ablata.reports.collect import study_view as study_view
    from ablata.reports.collect_runs import compare_view as compare_view
    from ablata.reports.collect_runs import run_view as run_view
    from ablata.reports.html import compare_page as compare_page
    from ablata.reports.html import run_page as run_page
    from ablata.reports.html import study_page as study_page
    from ablata.reports.markdown import study_markdown as study_markdown
    from ablata.reports.run_views import RunView as RunView
    from ablata.reports.terminal import study_report as study_report
    from ablata.reports.view import CompareView as CompareView
    from ablata.reports.view import StudyView as StudyView
    from ablata.reports.view import as_json as as_json

_PLACES = {
    "CompareView": "ablata.reports.view",
    "RunView": "ablata.reports.run_views",
    "StudyView": "ablata.reports.view",
    "as_json": "ablata.reports.view",
    "compare_page": "ablata.reports.html",
    "compare_view": "ablata.reports.collect_runs",
    "run_page": "ablata.reports.html",
    "run_view": "ablata.reports.collect_runs",
    "study_markdown": "ablata.reports.markdown",
    "study_page": "ablata.reports.html",
    "study_report": "ablata.reports.terminal",
    "study_view": "ablata.reports.collect",
}

__all__ = [
    "CompareView",
    "RunView",
    "StudyView",
    "as_json",
    "compare_page",
    "compare_view",
    "run_page",
    "run_view",
    "study_markdown",
    "study_page",
    "study_report",
    "study_view",
]

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
