"""`tinfl verify`: every file of a results directory against its digest."""

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.watching import VerifyOptions
from tui_influence.cli.progress import ProgressLine
from tui_influence.errors import ExitCode
from tui_influence.runs.integrity import check_cache, check_results
from tui_influence.text import printable


def verify(options: VerifyOptions) -> None:
    """Check the results, and with `--cache` the packed datasets; list what is damaged and the remedies."""
    with ProgressLine() as line:
        findings = check_results(options.results, line.stage)
        if options.cache:
            check_cache(options.results, findings, line.stage)
    if options.json:
        output.write_json(
            {
                "results": str(options.results),
                "sound": findings.is_sound,
                "checked": dict(findings.checked),
                "damaged": [
                    {"path": str(damage.path), "problem": damage.problem, "remedy": damage.remedy}
                    for damage in findings.damaged
                ],
                "notes": findings.notes,
            }
        )
    else:
        for damage in findings.damaged:
            output.write_line(f"damaged  {printable(str(damage.path))}: {printable(damage.problem)}")
            output.write_line(f"         {printable(damage.remedy)}")
        for note in findings.notes:
            output.write_line(f"note     {printable(note)}")
        output.write_line(f"checked  {findings.summary}")
        output.write_line("sound" if findings.is_sound else f"{len(findings.damaged):,} damaged")
    if not findings.is_sound:
        diagnostics.note("other commands skip damaged files or refuse to read them; nothing was changed")
        raise typer.Exit(ExitCode.RESULTS)
