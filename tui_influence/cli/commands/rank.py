"""`tinfl rank`: from what has been recorded so far to a ranking of the source's groups, or two side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options import Ascii, Estimator, Json, OutputKind, Results, Split, Target, TargetClass
from tui_influence.influence.estimators import DEFAULT_ESTIMATOR

if TYPE_CHECKING:
    from tui_influence.analysis.types import (
        AnyReport,
        ComparisonResult,
        RankingResult,
    )


def rank(
    results: Results,
    target: Target = None,
    target_class: TargetClass = None,
    example: Annotated[int | None, typer.Option(help="One test example of the target, by number.")] = None,
    estimator: Estimator = DEFAULT_ESTIMATOR,
    output_kind: OutputKind = "margin",
    split: Split = "estimate",
    compare_target: Annotated[str | None, typer.Option(help="Compare with another target, by name.")] = None,
    compare_class: Annotated[
        str | None, typer.Option(help="Compare with one class of the other target, or of the same.")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Show this many groups only.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help='Write a CSV file; "-" for stdout.')] = None,
    comments: Annotated[bool, typer.Option(help="Begin the CSV with lines that say what it is.")] = True,
    json: Json = False,
    ascii_only: Ascii = False,
) -> None:
    """Rank the source's classes by their influence on a target, or on two side by side."""
    from tui_influence.analysis.ranking import Question, compare_run, rank_run
    from tui_influence.export.csv import rank_csv
    from tui_influence.export.files import write_text_atomically
    from tui_influence.export.json import rank_json
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info

    output.one_on_stdout(csv, json)
    question = Question(target, target_class, example, split, estimator, output_kind)
    paths, info = Paths(results), read_run_info(results)
    answer: RankingResult | ComparisonResult
    if compare_target is None and compare_class is None:
        answer = rank_run(paths, info, question)
    else:
        answer = compare_run(paths, info, question, question.compared_with(compare_target, compare_class))
    report = answer.report
    for note in answer.warnings:
        diagnostics.warn(note)
    if csv is not None and str(csv) != "-":
        write_text_atomically(csv, rank_csv(report, comments=comments, top=top))
        diagnostics.say(f"wrote {csv}")
    if csv is not None and str(csv) == "-":
        output.write(rank_csv(report, comments=comments, top=top))
    if json:
        output.write(rank_json(report, top=top))
    elif csv is None:
        show(report, top=top, ascii_only=ascii_only)


def show(report: "AnyReport", *, top: int | None, ascii_only: bool = False) -> None:
    """Show a ranking, or two side by side, on stdout as a table."""
    from tui_influence.render.ranking_table import rank_table

    console = output.console()
    height = console.height - 1 if output.is_terminal() else None
    console.print(rank_table(report, top=top, width=console.width, height=height, ascii=ascii_only))
