"""`tinfl score`: how well a ranking from a file does on a run."""

from tui_influence.analysis.names import group_noun
from tui_influence.analysis.ranking_file import read_ranking
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.questions import ScoreOptions
from tui_influence.export.ranking_score import score_document
from tui_influence.pruning.ranking_score import score_ranking
from tui_influence.regular_files import expand_home
from tui_influence.render.ranking_score import score_lines
from tui_influence.render.style import Style
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info


def score(options: ScoreOptions) -> None:
    """Score a ranking, and show the score or write it as JSON."""
    paths, info = Paths(options.results), read_run_info(options.results)
    question = options.question_about(info)
    ranking = read_ranking(expand_home(str(options.ranking)), info.source.groups, group_noun(info))
    score_of_ranking = score_ranking(read_snapshot(paths, info, question.target), question, ranking)
    for warning in score_of_ranking.warnings:
        diagnostics.warn(warning)
    if options.json:
        output.write_json(score_document(score_of_ranking))
        return
    console = output.console()
    for line in score_lines(score_of_ranking, Style(options.ascii_only, dims=True), console.width):
        console.print(line, overflow="ignore" if line.no_wrap else None, crop=False)
