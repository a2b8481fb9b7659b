"""One model, start to end: (mask, seed) -> outputs on every target.

`fit` trains on the kept source images; then each target takes either `features` and a `probe`, or `finetune`, all
from the one source model. Images stay on the device as uint8, and every random choice comes from the row's seed.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tui_influence.config.schema import ModelSection, TrainSection
from tui_influence.training import precision as arithmetic
from tui_influence.training.augment import source_images
from tui_influence.training.networks import build_network, split_head
from tui_influence.training.precision import catching_out_of_memory
from tui_influence.training.sgd import Recipe, fit
from tui_influence.training.transfer import (
    finetune,
    fit_linear_probe,
    nearest_source_classes,
    predict_source_classes,
    to_outcome,
)
from tui_influence.training.types import Labels, Outcome, OutOfMemory, SourceData, TargetData, TrainingFailed

__all__ = ["OutOfMemory", "Outcome", "SourceData", "TargetData", "Trainer", "TrainingFailed"]

_INIT, _SOURCE, _HEAD, _TARGET = range(4)
_EVALUATION_BATCH = {"cpu": 256, "cuda": 2048}


class Trainer:
    """Holds what all models of a sweep share: the images on the device, and one network that is set anew each time.

    Raises:
        ConfigError: the network does not exist or does not fit the images.
        DeviceError: the device is not here.
        OutOfMemory: the images do not fit on the device.
    """

    def __init__(
        self,
        source: SourceData,
        targets: Sequence[TargetData],
        model: ModelSection,
        train: TrainSection,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        self._how = arithmetic.choose_numerics(device, train.precision, threads)
        self._train, self._groups = train, source.groups
        self._network = model, source.classes
        self._targets = list(targets)
        where = self._how.device
        with catching_out_of_memory("loading the images"):
            self._source = source_images(source.images, source.labels, where, model.resolution, source.counts)
            self._images = [
                (
                    self._source.matching(t.train_images, t.train_labels),
                    self._source.matching(t.test_images, t.test_labels),
                )
                for t in self._targets
            ]
            body, head = self._fresh(0, trial=True)
            layout = torch.channels_last
            self._body = body.to(where, memory_format=layout)  # type: ignore[call-overload]
            self._head = head.to(where)

    @property
    def numerics(self) -> str:
        """Such as "cpu bf16 1 thread" or "cuda bf16 NVIDIA H200": outputs repeat to the bit only where it is equal."""
        return str(self._how)

    def run(
        self, mask: NDArray[np.bool_], seed: int, evaluation_batch: int | None = None, *, map_classes: bool = False
    ) -> list[Outcome]:
        """Train one model and transfer it to every target.

        The result depends on the mask, the seed, the kind of device and the number of threads, and on nothing that
        this process did before.

        Args:
            mask: (K,) groups that are kept.
            seed: of everything random.
            evaluation_batch: images at a time where nothing is trained; halved when memory runs out.
            map_classes: also say which source class each test image is taken for, and whose mean feature is nearest;
                it changes nothing else.

        Returns:
            one outcome a target, in their order.

        Raises:
            TrainingFailed: a loss is not finite, or too few images are kept.
            OutOfMemory: training does not fit on the device.
        """
        batch = evaluation_batch or _EVALUATION_BATCH[self._how.device.type]
        chosen = torch.from_numpy(np.flatnonzero((self._groups < 0) | mask[self._groups]))
        with (
            arithmetic.repeatable(self._how),
            arithmetic.seeded_globals(self._how.device, seed),
            catching_out_of_memory("training"),
        ):
            metrics = self._pretrain(chosen, seed)
            mapped = self._map_classes(batch) if map_classes else []
            outcomes = self._transfer(metrics, seed, batch)
        if not mapped:
            return outcomes
        return [
            replace(outcome, mapped=labels, nearest=nearest)
            for outcome, (labels, nearest) in zip(outcomes, mapped, strict=True)
        ]

    def _map_classes(self, batch: int) -> list[tuple[Labels, Labels]]:
        """(n,) source class by the source network's head, and by its features, for each target's test images."""
        tests = [test for _, test in self._images]
        labels = [predict_source_classes(self._body, self._head, test, self._how, batch) for test in tests]
        return list(zip(labels, nearest_source_classes(self._body, self._source, tests, self._how, batch), strict=True))

    def _pretrain(self, chosen: Tensor, seed: int) -> dict[str, float]:
        """Set the network anew from the seed and train it on the chosen source images."""
        _assign((self._body, self._head), self._fresh(seed))
        recipe = Recipe("source training", self._train.epochs, self._train.batch_size, self._train.lr, self._train)
        result = fit(
            self._body, self._head, self._source, chosen, recipe, self._how, arithmetic.seeded_generator(seed, _SOURCE)
        )
        present = torch.unique(self._source.labels[chosen.to(self._how.device)])
        return {
            "source_loss": result.loss,
            "source_accuracy": result.accuracy,
            "source_images": float(len(chosen)),
            "source_classes": float(len(present)),
            "source_steps": float(result.steps),
        }

    def _transfer(self, metrics: dict[str, float], seed: int, batch: int) -> list[Outcome]:
        kinds = [target.transfer for target in self._targets]
        source = copy.deepcopy(self._body) if "full-network" in kinds else self._body
        outcomes = []
        for target, (train, test) in zip(self._targets, self._images, strict=True):
            if target.transfer == "fixed-feature":
                logits, more = fit_linear_probe(
                    source, train, test, target.classes, self._train.probe_l2, self._how, batch
                )
            else:
                recipe = Recipe(
                    "fine-tuning",
                    self._train.finetune_epochs,
                    self._train.finetune_batch_size,
                    self._train.finetune_lr,
                    self._train,
                )
                # The same stream for every target: one more target, or another order, changes none of the others.
                with arithmetic.seeded_globals(self._how.device, arithmetic.derive_seed(seed, _HEAD)):
                    head = nn.Linear(self._head.in_features, target.classes).to(self._how.device)
                    _assign((self._body,), (source,))
                    logits, more = finetune(
                        self._body,
                        head,
                        train,
                        test,
                        recipe,
                        self._how,
                        batch,
                        arithmetic.seeded_generator(seed, _TARGET),
                    )
            outcomes.append(to_outcome(logits, test.labels, {**metrics, **more}))
        return outcomes

    def _fresh(self, seed: int, *, trial: bool = False) -> tuple[nn.Module, nn.Linear]:
        """A new network on the CPU, drawn from the seed alone: the mask has no part in it."""
        model, classes = self._network
        with arithmetic.seeded_globals(torch.device("cpu"), arithmetic.derive_seed(seed, _INIT)):
            return split_head(build_network(model, classes, self._source.channels, self._source.size, trial=trial))


def _assign(modules: Sequence[nn.Module], fresh: Sequence[nn.Module]) -> None:
    """Copy all parameters and buffers in place: no statistics, and no gradient, of an earlier model stays behind."""
    with torch.no_grad():
        for module, new in zip(modules, fresh, strict=True):
            for parameter, value in zip(module.parameters(), new.parameters(), strict=True):
                parameter.copy_(value)
                parameter.grad = None
            for buffer, state in zip(module.buffers(), new.buffers(), strict=True):
                buffer.copy_(state)
