"""`tinfl rank`: a ranking of the source's groups from the models so far, or two rankings side by side."""

from tui_influence.analysis.ranking import compare_run, rank_run
from tui_influence.analysis.types import AnyReport, ComparisonResult, RankingResult
from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.questions import RankOptions
from tui_influence.export.json import rank_json
from tui_influence.export.ranking import ranking_table
from tui_influence.render.ranking_table import rank_table
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info


def rank(options: RankOptions) -> None:
    """Rank groups, and show the ranking or write it to files."""
    output.require_one_stdout(options.csv, options.json)
    paths, info = Paths(options.results), read_run_info(options.results)
    question, comparison = options.question_about(info), options.comparison_about(info)
    result: RankingResult | ComparisonResult = (
        rank_run(paths, info, question) if comparison is None else compare_run(paths, info, question, comparison)
    )
    report = result.report
    for warning in result.warnings:
        diagnostics.warn(warning)
    if options.csv is not None:
        output.write_csv(options.csv, ranking_table(report, top=options.top), comments=options.comments)
    if options.json:
        output.write(rank_json(report, top=options.top))
    elif options.csv is None:
        show_ranking(report, top=options.top, ascii_only=options.ascii_only)


def show_ranking(report: AnyReport, *, top: int | None, ascii_only: bool = False) -> None:
    """Show a ranking, or two side by side, as a table on stdout."""
    console = output.console()
    height = console.height - 1 if output.is_terminal() else None
    console.print(rank_table(report, top=top, width=console.width, height=height, ascii=ascii_only))
