"""What a ranking is about, and what its numbers mean, in words.

A `RankReport` is a `Ranking` with its circumstances: which run, which target examples, which design. Every output
format says the same things about it, so the sentences are made here: what the influence means (`meaning`), how far
the ranking can be trusted (`verdict`), and whether it is anything but noise (`is_noise`). Plain text, no markup;
names inside sentences are made safe to show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, TypeVar

from tui_influence.influence.forecast import Forecast
from tui_influence.influence.lds import LDS
from tui_influence.influence.ranking import Ranking
from tui_influence.influence.reliability import describe
from tui_influence.text import printable

SIGNIFICANT = 0.05
"""A group is marked when its false discovery rate q is below this."""
NAME_LIMIT = 60
"""The longest name in a sentence, in characters."""

Row = TypeVar("Row")
Noun = Literal["class", "example", "group"]
PLURAL: dict[Noun, str] = {"class": "classes", "example": "examples", "group": "groups"}
"""What several of a noun are called."""
_QUANTITY = {
    "margin": "mean margin (nats)",
    "probability": "mean probability of the correct class",
    "correct": "fraction of correct predictions",
}
_UNIT = {"margin": "margin, nats", "probability": "probability", "correct": "fraction correct"}


@dataclass(frozen=True)
class RankReport:
    """A ranking and what it is about.

    Attributes:
        run: name of the run.
        config_hash: of the run's resolved config.
        target: name of the target.
        target_class: the class of the target whose examples were averaged, if one was chosen.
        example: the one target example, if one was chosen.
        split: the part of the target's test examples: estimate, evaluate or all.
        design: kind and parameters, such as "fixed alpha=0.5".
        ranking: the groups, best first, and how reliable their order is.
        n_failed: models that were to be used and failed.
        noun: what a group is.
    """

    run: str
    config_hash: str
    target: str
    target_class: str | None
    example: int | None
    split: str
    design: str
    ranking: Ranking
    n_failed: int = 0
    noun: Noun = "class"

    @property
    def nouns(self) -> str:
        """What groups are called."""
        return PLURAL[self.noun]

    @property
    def is_relative(self) -> bool:
        """Whether zero is an average group rather than no effect: so where all models have equally many groups."""
        return self.ranking.relative

    @property
    def unit(self) -> str:
        """The output kind and its unit, in a few words."""
        return _UNIT[self.ranking.output]

    def circumstances(self) -> list[str]:
        """What it was made from and how, a part each."""
        count = self.ranking.n_models
        failed = f" ({self.n_failed:,} failed)" if self.n_failed else ""
        half = "all test examples" if self.split == "all" else f"{self.split} half"
        return [
            f"run {shown(self.run)}",
            f"{count:,} model{'' if count == 1 else 's'}{failed}",
            shown(self.design),
            self.unit,
            f"by {self.ranking.estimator}",
            f"example {self.example}" if self.example is not None else half,
        ]

    def scope(self) -> str:
        """Which target examples the influence is on."""
        target = f'target "{shown(self.target)}"'
        if self.example is not None:
            return f"example {self.example} of {target}"
        if self.target_class is not None:
            return f'examples of class "{shown(self.target_class)}" of {target}'
        return f"examples of {target}"

    def meaning(self) -> str:
        """One sentence: what an influence of this report means. It depends on estimator, output and design."""
        quantity, noun, scope = _QUANTITY[self.ranking.output], self.noun, self.scope()
        if self.ranking.estimator == "difference":
            what = f"{quantity} of {scope} over models trained with the {noun} minus over models trained without it"
        else:
            what = (
                f"change of the {quantity} of {scope} when the {noun} joins the training set, "
                f"by {shown(self.ranking.estimator)} regression on all {self.nouns} at once"
            )
        if self.is_relative:
            frame = f"relative to an average {noun} (every model has equally many, so influences add up to about zero)"
        else:
            frame = f"absolute: having the {noun} and its images against not having it"
        return f"{what}, {frame}"

    def verdict(self) -> str:
        """How far the order can be trusted: reliability, LDS and forecast, in sentences."""
        ranking = self.ranking
        return " ".join([self.trust(), _lds(ranking.lds), *_forecast(ranking.forecast, ranking.n_models)])

    def trust(self) -> str:
        """How far the order can be trusted, in one sentence: its reliability."""
        reliability = self.ranking.reliability
        if reliability is None or not isfinite(reliability.value):
            return (
                "Reliability unknown: too few models or groups to tell whether a second sweep would order them alike."
            )
        value = with_interval(reliability.value, reliability.low, reliability.high)
        if self.is_noise():
            return f"Reliability {value}, noise: the order cannot be told from chance."
        if self._order_is_noise():
            return (
                f"Reliability {value}, uncertain: the {self.nouns} with q < {SIGNIFICANT:g} have an effect, "
                "but the order of all as a whole cannot be told from chance yet."
            )
        word = describe(reliability)
        return f"Reliability {value}, {word}: the rank correlation to expect with a second sweep of this size."

    def is_noise(self) -> bool:
        """Whether nothing here is more than chance: neither the order as a whole nor any single group.

        A ranking whose reliability may be zero can still hold groups whose own effect is beyond doubt.
        """
        return self._order_is_noise() and not any(row.q < SIGNIFICANT for row in self.ranking.rows)

    def _order_is_noise(self) -> bool:
        reliability = self.ranking.reliability
        return reliability is not None and isfinite(reliability.value) and describe(reliability) == "noise"


def shown(name: str) -> str:
    """Return a name as it may stand in a sentence: no control characters, not endless."""
    return printable(name, NAME_LIMIT)


def first(rows: Sequence[Row], top: int | None) -> Sequence[Row]:
    """The rows that `--top` leaves, in every format: the first of them; all when it is None."""
    return rows if top is None else rows[: max(top, 0)]


def finite(value: float) -> float | None:
    """Return a plain float, or None for what no file format can hold: NaN and the infinities."""
    number = float(value)
    return number if isfinite(number) else None


def with_interval(value: float, low: float, high: float) -> str:
    """Return "0.83 [0.76, 0.88]", or the value alone when its interval is unknown."""
    if isfinite(low) and isfinite(high):
        return f"{value:z.2f} [{low:z.2f}, {high:z.2f}]"
    return f"{value:z.2f}"


def _lds(lds: LDS | None) -> str:
    if lds is None or not isfinite(lds.value):
        return "No LDS: too few held-out models."
    value = with_interval(lds.value, lds.low, lds.high)
    return f"LDS {value}: the rank correlation of predicted and actual outputs over {lds.n} held-out models."


def _forecast(forecast: Forecast | None, n_models: int) -> list[str]:
    if forecast is None:
        return []
    goal = f"{forecast.target_reliability:g}"
    if forecast.models is None:
        return [f"How many models a reliability of {goal} takes cannot be told yet."]
    if forecast.models <= n_models:
        return [f"A reliability of {goal} is reached."]
    between = f"{forecast.low:,} to {forecast.high:,}" if forecast.low and forecast.high else "or many more"
    return [
        f"A reliability of {goal} takes about {forecast.models:,} models in all ({between}); there are {n_models:,}."
    ]
