"""`tinfl rank`: a ranking of the source's groups from the models so far, or two rankings side by side."""

from tui_influence.analysis.ranking import compare_run, rank_run
from tui_influence.analysis.types import AnyReport, ComparisonResult, RankingResult
from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.questions import RankOptions
from tui_influence.errors import ConfigError
from tui_influence.export.data_frame import parquet_bytes
from tui_influence.export.files import refuse_same_file, write_bytes_atomically
from tui_influence.export.json import rank_json
from tui_influence.export.markup import latex_table, markdown_table
from tui_influence.export.ranking import ranking_table
from tui_influence.render.ranking_table import rank_table
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info


def rank(options: RankOptions) -> None:
    """Rank groups, and show the ranking or write it to files."""
    output.require_one_stdout(options.files, json=options.json)
    refuse_same_file(options.files)
    if str(options.parquet) == "-":
        raise ConfigError("--parquet -: Parquet is binary; give it a file")
    paths, info = Paths(options.results), read_run_info(options.results)
    question, comparison = options.question_about(info), options.comparison_about(info)
    result: RankingResult | ComparisonResult = (
        rank_run(paths, info, question) if comparison is None else compare_run(paths, info, question, comparison)
    )
    report = result.report
    for warning in result.warnings:
        diagnostics.warn(warning)
    _write_files(report, options)
    if options.json:
        output.write(rank_json(report, top=options.top))
    elif not any(options.files.values()):
        show_ranking(report, top=options.top, ascii_only=options.ascii_only)


def _write_files(report: AnyReport, options: RankOptions) -> None:
    """Write the files that the options name; Parquet first, which may lack its library."""
    table = ranking_table(report, top=options.top)
    if options.parquet is not None:
        write_bytes_atomically(options.parquet, parquet_bytes(table))
        diagnostics.info(f"wrote {options.parquet}")
    if options.csv is not None:
        output.write_csv(options.csv, table, comments=options.comments)
    if options.markdown is not None:
        output.write_file(options.markdown, markdown_table(report, top=options.top))
    if options.latex is not None:
        output.write_file(options.latex, latex_table(report, top=options.top))


def show_ranking(report: AnyReport, *, top: int | None, ascii_only: bool = False) -> None:
    """Show a ranking, or two side by side, as a table on stdout."""
    console = output.console()
    height = console.height - 1 if output.is_terminal() else None
    console.print(rank_table(report, top=top, width=console.width, height=height, ascii=ascii_only))
