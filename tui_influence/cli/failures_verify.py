"""`tinfl failures --verify`: retrains without the classes that are to blame, and says which predictions flip."""

from dataclasses import dataclass

from tui_influence.cli import diagnostics, output
from tui_influence.cli.live import StageLine
from tui_influence.cli.prune_planning import say_how_many, show_with_cost
from tui_influence.cli.starting import device_list, shown, start
from tui_influence.errors import ConfigError
from tui_influence.probes.flips import verified
from tui_influence.probes.verification import DROP, FEWEST_SEEDS, verification
from tui_influence.probes.verification_names import kept_at, verify_command
from tui_influence.probes.verification_report import (
    planned_document,
    planned_lines,
    verification_document,
    verification_lines,
)
from tui_influence.pruning.planning import OtherSettingsError
from tui_influence.pruning.request import planned
from tui_influence.ranking_question import Question
from tui_influence.reading import Reading
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.supervisor import Request
from tui_influence.store.arms_file import read_arms
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info, refuse_if_imported
from tui_influence.text import counted, printable


@dataclass(frozen=True)
class Options:
    """The options of `--verify`; None where they were not given."""

    drop: int | None
    seeds: int | None
    dry_run: bool
    foreground: bool
    devices: str | None
    retry_failed: bool
    json: bool
    ascii_only: bool

    @property
    def asks_to_train(self) -> bool:
        """Whether more is asked than what is there."""
        return any((self.drop, self.seeds, self.dry_run, self.foreground, self.retry_failed))


def verify(reading: Reading, question: Question, options: Options) -> None:
    """Start a verification of the question's example, or show what one has found so far.

    Raises:
        TinflError: it cannot be planned, trained or read.
    """
    sweep, example = reading.paths, question.example
    if example is None:
        raise ValueError("a verification is of one example")
    refuse_if_imported(sweep.root, reading.info)
    own = kept_at(sweep, reading.target, example)
    if own.run.exists() and not options.asks_to_train:
        _show(own, example, options)
        return
    count = options.drop or DROP
    wanted = verification(reading, question, drop=count, seeds=options.seeds, devices=device_list(options.devices))
    if len(wanted.blamed) < count:
        fewer = counted(len(wanted.blamed), "class", "classes")
        diagnostics.warn(f"only {fewer} lower the margin of example {example}")
    if len(wanted.blamed) and (options.seeds or FEWEST_SEEDS) < FEWEST_SEEDS:
        diagnostics.warn(f"with fewer than {FEWEST_SEEDS} retrainings of each arm no flip can be told from chance")
    with StageLine() as line:
        try:
            plan = planned(sweep, reading.info, own, wanted.wanted, line.stage)
        except OtherSettingsError as error:
            raise _kept_already(own, example, error) from error
    groups = reading.info.source.groups
    diagnostics.say(f"leaves out {', '.join(printable(groups[one.group], 60) for one in wanted.blamed)}")
    if not wanted.told:
        diagnostics.warn("none of these classes can be told from chance: leaving them out may well change nothing")
    request = Request(plan.config, own.root, retry_failed=options.retry_failed, pruning=plan.pruning)
    if options.dry_run:
        document = planned_document(reading, question, plan.pruning)
        lines = planned_lines(reading, question, plan.pruning, ascii_only=options.ascii_only)
        show_with_cost(plan, request, document, lines, json=options.json)
        return
    say_how_many(sweep, reading.info, plan.pruning)
    start(request, foreground=options.foreground, reading=verify_command(question, sweep.root))
    if options.foreground:
        _show(own, example, options)


def _kept_already(own: Paths, example: int, error: OtherSettingsError) -> ConfigError:
    kept = ConfigError(
        f"{printable(str(own.root))} holds a verification of example {example} with other settings: "
        "ask with those, or move it away"
    )
    kept.details = error.details
    return kept


def _show(own: Paths, example: int, options: Options) -> None:
    found = verified(own, read_run_info(own.root), read_arms(own), example)
    if found.damaged:
        diagnostics.warn(f"{len(found.damaged)} damaged records were left out: {printable(found.damaged[0])}")
    if options.json:
        output.write_json(verification_document(found))
    else:
        for line in verification_lines(found, ascii_only=options.ascii_only):
            output.line(line)
    state = observe(own)[0]
    if not found.is_complete:
        verb = "status" if state in ACTIVE else "resume"
        diagnostics.say(f"{state.value}; next: tinfl {verb} {shown(own.root)}")
