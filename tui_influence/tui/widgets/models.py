"""How the models of a run do, as lines of text: reliability of the ranking with its forecast, and accuracies."""

from statistics import fmean

from rich.text import Text

from tui_influence.analysis.reliability_curve import MIN_MODELS
from tui_influence.analysis.types import (
    ReliabilityCurve,
)
from tui_influence.influence.types import (
    reliability_grade,
)
from tui_influence.render.charts import histogram, reliability_chart
from tui_influence.render.format import plain
from tui_influence.render.numbers import with_interval
from tui_influence.render.style import Style


def models(growth: ReliabilityCurve, style: Style, width: int, height: int, about: str = "") -> list[Text]:
    """Return the lines.

    Args:
        growth: what was measured.
        style: colours and signs.
        width: of the lines.
        height: of the plot.
        about: what the ranking is on, where it is not the whole first target.
    """
    on = f" on {plain(about, style.ascii)[:40]}" if about else ""
    title = Text(f"Reliability of the ranking{on}", style="bold")
    if not growth.measured:
        why = f"measured from {MIN_MODELS} models on" if growth.models < MIN_MODELS else "too few groups to tell"
        lines = [title, Text(why, style=style.quiet)]
    else:
        last = growth.measured[-1][1]
        word = reliability_grade(last)
        word = "uncertain" if word == "noise" else word
        title.append(f"  {with_interval(last.value, last.low, last.high)}, {word}", style="not bold")
        lines = [title, *reliability_chart(growth, width, height, style)]
        if growth.models_needed:
            needed, low, high = growth.models_needed
            between = f" ({low:,} to {high:,})" if low and high else ""
            text = f"0.9 takes about {needed:,} models in all{between}" if needed > growth.models else "0.9 is reached"
        else:
            text = "how many models 0.9 takes cannot be told yet"
        lines.append(Text(text, style=style.quiet))
    for name, values in (("source", growth.source_accuracy), ("target", growth.target_accuracy)):
        if values:
            bars, low_end, high_end = histogram(values, max(min(width - 44, 28), 8), style)
            after = f" {high_end:.1%}, mean {fmean(values):.1%}" if low_end != high_end else f" {low_end:.1%}"
            before = f"{low_end:.1%} " if low_end != high_end else ""
            lines.append(Text.assemble((f"accuracy {name:<7}", style.quiet), before, bars, after))
    return lines
