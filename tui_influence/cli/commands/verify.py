"""`tinfl verify`: everything in a results directory held against its checksums."""

from typing import Annotated

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options import Json, Results
from tui_influence.errors import ExitCode


def verify(
    results: Results,
    cache: Annotated[bool, typer.Option("--cache", help="Also the packed data that the run was trained on.")] = False,
    json: Json = False,
) -> None:
    """Read all results again and say what is damaged, and what helps; nothing is changed."""
    from tui_influence.cli.launch import StageLine
    from tui_influence.runs.integrity import check_cache, check_results
    from tui_influence.text import printable

    with StageLine() as line:
        findings = check_results(results, line.stage)
        if cache:
            check_cache(results, findings, line.stage)
    if json:
        output.write_json(
            {
                "results": str(results),
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
            output.line(f"damaged  {printable(str(damage.path))}: {printable(damage.problem)}")
            output.line(f"         {printable(damage.remedy)}")
        for note in findings.notes:
            output.line(f"note     {printable(note)}")
        output.line(f"checked  {findings.summary}")
        output.line("sound" if findings.is_sound else f"{len(findings.damaged):,} damaged")
    if not findings.is_sound:
        diagnostics.dim("readers leave out what is damaged, or refuse; nothing was changed")
        raise typer.Exit(ExitCode.RESULTS)
