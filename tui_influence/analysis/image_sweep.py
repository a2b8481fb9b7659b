"""Plan a second sweep, over the single images of a few classes.

All other images are in no group, so that every model is trained on them. A few hundred single images are affordable
where all images of a source are not.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from tui_influence.config.schema import Config, DesignSection
from tui_influence.errors import ConfigError
from tui_influence.influence.strongest_pairs import min_detectable_influence, models_needed
from tui_influence.runs.datasets import Datasets

ALPHA = 0.5


@dataclass(frozen=True)
class ImageSweep:
    """A sweep over single images.

    Attributes:
        config: the config of the sweep.
        grouping: the CSV file that its `[source] groups` names.
        n_images: its groups, which are single images.
        min_models: models below which no pair can be significant.
        detectable_influence: influence (nats, on one test example) that is detected with 80% power by the config's
            models.
    """

    config: Config
    grouping: str
    n_images: int
    min_models: int
    detectable_influence: float


def plan_image_sweep(
    config: Config,
    data: Datasets,
    groups: Sequence[int],
    grouping: Path,
    *,
    examples: int,
    spread: float,
    models: int | None = None,
) -> ImageSweep:
    """Plan a sweep over the single images of some groups.

    Args:
        config: of the first sweep.
        data: its datasets.
        groups: of the first sweep, by position.
        grouping: where the CSV of groups will be.
        examples: number of test examples that influences will be estimated on.
        spread: standard deviation of a test example's margin over the first sweep's models.
        models: to train; by default as many as the first sweep has, and at least `min_models`.

    Raises:
        ConfigError: these groups have fewer than three images.
    """
    members = np.flatnonzero(np.isin(data.groups.group_of_image, np.asarray(groups)))
    if len(members) < 3:
        raise ConfigError(f"these groups have {len(members)} images: at least 3 are needed")
    names = [data.source.names[index] for index in members]
    n_pairs = len(names) * examples
    min_models = models_needed(n_pairs)
    n_models = max(config.design.models, min_models) if models is None else models
    run = config.run.model_copy(update={"name": f"{config.run.name[:93]}-images", "output": None})
    source = config.source.model_copy(update={"groups": str(grouping.absolute())})
    design = DesignSection(kind="bernoulli", alpha=ALPHA, models=n_models, heldout=0, prior=0)
    return ImageSweep(
        config=config.model_copy(update={"run": run, "source": source, "design": design}),
        grouping=_csv(names),
        n_images=len(names),
        min_models=min_models,
        detectable_influence=min_detectable_influence(n_pairs, spread, n_models),
    )


def _csv(names: Sequence[str]) -> str:
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("path", "group"))
    writer.writerows((name, name) for name in names)
    return out.getvalue()
