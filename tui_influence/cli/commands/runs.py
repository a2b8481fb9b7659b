"""`tinfl list` and `tinfl note`: the runs of a folder, and what a user notes about them."""

import time
from dataclasses import replace
from pathlib import Path

from tui_influence.cli import output
from tui_influence.cli.options.watching import ListOptions, NoteOptions
from tui_influence.errors import ConfigError
from tui_influence.render.run_list import run_list_lines
from tui_influence.runs.overview import overview
from tui_influence.runs.run_list import RunSummary, is_run, list_runs, summarize
from tui_influence.store.note import Note, read_note, write_note
from tui_influence.store.paths import Paths


def list_folder(options: ListOptions) -> None:
    """List the runs of a folder, the one that changed last first."""
    runs = _runs(options.folder)
    if options.json:
        output.write_json([run.to_json() for run in runs])
        return
    for line in run_list_lines(runs, time.time()):
        output.write_line(line)


def _runs(chosen: Path | None) -> list[RunSummary]:
    folder = chosen or (Path("results") if Path("results").is_dir() else Path())
    return [summarize(folder)] if folder.is_dir() and is_run(folder) else list_runs(folder)


def note(options: NoteOptions) -> None:
    """Show the note of a run, or change it."""
    paths = Paths(options.results)
    overview(paths, max_failures=0)  # refuses what is no run
    current = read_note(paths)
    changed = Note() if options.clear else current
    if options.text is not None:
        changed = replace(changed, text=" ".join(options.text.split()))
    added, removed = options.tag or [], options.untag or []
    unknown = [tag for tag in removed if tag not in changed.tags]
    if unknown:
        raise ConfigError(f'the run has no tag "{unknown[0]}"')
    tags = [tag for tag in changed.tags if tag not in removed]
    changed = replace(changed, tags=tuple(dict.fromkeys([*tags, *added])))
    if changed != current:
        write_note(paths, changed)
    if options.json:
        output.write_json({"note": changed.text, "tags": list(changed.tags)})
    elif changed != Note():
        output.write_line(str(changed))
