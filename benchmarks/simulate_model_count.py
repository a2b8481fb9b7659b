"""How many models a usable order takes, by simulated sweeps, beside the rule of `influence.model_count`.

    python -m benchmarks.simulate_model_count [--sweeps 10]

Sweeps have the masks of the program's designs, normal effects of K groups on 10 target classes, as noisy as those of
the embedded pair. A prior explains the share R² of the effects; 8 noisy networks are read as two covariates. A cell is
the number of models from which the influences on the whole target correlate at 0.8 with the truth, and the rule's.
"""

import argparse
import math

import numpy as np
from numpy.typing import NDArray

from tui_influence.config.schema import DesignKind
from tui_influence.designs import Design
from tui_influence.influence.estimators import estimate
from tui_influence.influence.model_count import MODEL_NOISE, PAIR_NOISE, PRIOR_EXPLAINED, USABLE, models_for
from tui_influence.influence.prior import OutputPrior
from tui_influence.roles import Role

CLASSES = 10
GROUPS = (12, 36, 100, 200)
DESIGNS: tuple[tuple[DesignKind, str], ...] = (
    ("fixed", "difference"),
    ("fixed", "ridge"),
    ("balanced", "ridge"),
    ("balanced", "informed"),
)

Floats = NDArray[np.float64]


def correlation(kind: DesignKind, estimator: str, groups: int, models: int, seed: int) -> float:
    """Return the correlation of the influences on the whole target with the truth, in one simulated sweep."""
    rng = np.random.default_rng([seed, groups])
    # each target class has the effects of the whole target, and as much again of its own
    general = rng.standard_normal((groups, 1))
    explained = PRIOR_EXPLAINED * general
    covariate = explained + math.sqrt(PRIOR_EXPLAINED * (1 - PRIOR_EXPLAINED)) * rng.standard_normal((groups, 1))
    effects = general + rng.standard_normal((groups, CLASSES))
    effects += general - effects.mean(axis=1, keepdims=True)
    rows = Design(kind, 0.5, groups, seed).rows(Role.ESTIMATE, models)
    masks = np.array([row.mask for row in rows])
    clusters = np.array([row.cluster for row in rows])
    spread = 0.25 * float((general**2).sum())
    alone = 2 * PAIR_NOISE * spread  # of a model by itself; the rest is that of its training seed
    shared = rng.standard_normal((models, 1))[clusters] * math.sqrt(max(MODEL_NOISE * spread - alone, 0.0))
    noise = math.sqrt(alone) * rng.standard_normal((models, 1)) + shared
    own = rng.standard_normal((models, CLASSES)) * math.sqrt(alone)
    by_class = masks @ effects + noise + own - own.mean(axis=1, keepdims=True)
    shares = np.full((1, CLASSES), 1 / CLASSES)
    covariates = np.repeat((covariate / covariate.std())[:, :, None], CLASSES, axis=1)
    prior = OutputPrior(np.concatenate([covariates, np.zeros_like(covariates)], axis=2), by_class, shares)
    result = estimate(estimator, masks, by_class.mean(axis=1), clusters if kind == "balanced" else None, prior)
    return float(np.corrcoef(result.influence[:, 0], general[:, 0])[0, 1])


def models_needed(kind: DesignKind, estimator: str, groups: int, sweeps: int) -> float:
    """Return the models from which the order is usable; infinite beyond 20 a group."""
    previous = 0.0
    for models in np.unique(np.geomspace(16, 20 * groups, 14).astype(int) // 2 * 2):
        squares = [correlation(kind, estimator, groups, int(models), seed) ** 2 for seed in range(sweeps)]
        if np.mean(squares) >= USABLE:
            return math.sqrt(max(previous, 1.0) * models) if previous else float(models)
        previous = float(models)
    return math.inf


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sweeps", type=int, default=10)
    sweeps = parser.parse_args().sweeps
    print(
        "| design, estimator: simulated / rule (range) | " + " | ".join(f"{groups} groups" for groups in GROUPS) + " |"
    )
    print("| --- |" + " --- |" * len(GROUPS))
    for kind, estimator in DESIGNS:
        cells = []
        for groups in GROUPS:
            rule = models_for(USABLE, groups, kind, estimator)
            needed = models_needed(kind, estimator, groups, sweeps)
            cells.append(f"{needed:.0f} / {rule.expected} ({rule.low} to {rule.high})")
        print(f"| {kind}, {estimator} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
