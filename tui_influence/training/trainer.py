"""Training of one model: (mask, seed) -> outputs on every target.

A network is trained on the source images of the mask, and transferred to each target by a linear probe or by
fine-tuning. Images are uint8, on the device or read while it computes, and every random choice comes from the row's
seed.
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
from tui_influence.training.device_images import DeviceImages, source_images
from tui_influence.training.device_memory import ImageMemory, available_memory, choose_streamed
from tui_influence.training.networks import build_network, split_head, try_body
from tui_influence.training.precision import catching_out_of_memory
from tui_influence.training.prior import ablate_source, group_shares, map_to_source
from tui_influence.training.step import Step, make_step
from tui_influence.training.training_loop import Recipe, fit
from tui_influence.training.transfer import (
    class_features,
    features,
    finetune,
    fit_linear_probe,
    nearest_source_classes,
    to_outcome,
)
from tui_influence.training.types import Labels, Outcome, OutOfMemory, SourceData, TargetData, TrainingFailed
from tui_influence.training.weights import read_weights

__all__ = ["OutOfMemory", "Outcome", "SourceData", "TargetData", "Trainer", "TrainingFailed"]

_INIT, _SOURCE, _HEAD, _TARGET = range(4)
_EVALUATION_BATCH = {"cpu": 256, "cuda": 2048, "mps": 2048}


class Trainer:
    """Trains models of a sweep one by one; the network stays on the device, and weights are drawn anew for each.

    Where the config names weights to start from, only a head for other classes is drawn.

    `image_memory` says whether images are held on the device or read during training, or does so for each image set:
    the source, and training and test images of each target.

    Attributes:
        streamed: whether each image set is read while the device computes.
        streamed_bytes: of the image sets that are read while the device computes.
        unrecorded: why steps on a GPU are not replayed as they were recorded; empty if all are, and elsewhere.

    Raises:
        ConfigError: the network does not exist or does not fit the images, or the weights do not fit the network.
        DeviceError: the device cannot be used.
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
        image_memory: ImageMemory | list[bool] = "auto",
    ) -> None:
        self._numerics = arithmetic.choose_numerics(device, train.precision, threads)
        self._train, self._groups = train, source.groups
        self._network = model, source.classes
        self._targets = list(targets)
        self._target_settings = [target.train or train for target in targets]
        torch_device = self._numerics.device
        side = model.network_side(source.images.shape[1])
        self._weights = read_weights(model, side)
        self._load_images(source, side, image_memory)
        with catching_out_of_memory("loading the network"):
            body, head = self._fresh(0, trial=True)
            for side in train.resolutions or ():
                try_body(body, model.arch, self._source.channels, side)
            layout = torch.channels_last
            self._body = body.to(torch_device, memory_format=layout)  # type: ignore[call-overload]
            self._head = head.to(torch_device)
            self._source_step = self._step(self._head, train)
            self._target_steps = [
                self._step(nn.Linear(head.in_features, target.classes).to(torch_device), settings)
                if target.transfer == "full-network"
                else None
                for target, settings in zip(self._targets, self._target_settings, strict=True)
            ]
        self.unrecorded = self._record_steps()

    def _record_steps(self) -> str:
        """Record the steps of usual batches on a GPU; return why some are not replayed, empty if all are."""
        source, train = self._source, self._train
        usual = [(self._source_step, len(source), train.batch_size, train.resolutions or (source.size,))]
        for settings, step, (known, _) in zip(self._target_settings, self._target_steps, self._images, strict=True):
            if step is not None:
                usual.append((step, len(known), settings.finetune_batch_size, (source.size,)))
        with arithmetic.repeatable(self._numerics):
            for step, images, batch, sides in usual:
                count = min(batch, images)
                for side in sides if count > 1 else ():
                    step.begin()
                    step.prepare((count, source.channels, side, side))
        return next((step.refusal for step, *_ in usual if step.refusal), "")

    def _step(self, head: nn.Linear, settings: TrainSection) -> Step:
        return make_step(self._body, head, settings, self._numerics)

    def _load_images(self, source: SourceData, side: int, setting: ImageMemory | list[bool]) -> None:
        parts = [(source.images, source.labels)]
        for target in self._targets:
            parts += [(target.train_images, target.train_labels), (target.test_images, target.test_labels)]
        sizes = [images.nbytes for images, _ in parts]
        device = self._numerics.device
        colours = self._weights.colours if self._weights else None

        def load(streamed: list[bool]) -> None:
            with catching_out_of_memory("loading the images"):
                self._source = source_images(
                    *parts[0], device, side, source.counts, streamed=streamed[0], colours=colours
                )
                of_targets = [
                    self._source.matching(*part, streamed=is_streamed)
                    for part, is_streamed in zip(parts[1:], streamed[1:], strict=True)
                ]
            self._images = list(zip(of_targets[::2], of_targets[1::2], strict=True))
            self.streamed = streamed
            self.streamed_bytes = sum(size for size, is_streamed in zip(sizes, streamed, strict=True) if is_streamed)

        is_full = False
        try:
            load(choose_streamed(sizes, available_memory(device), setting) if isinstance(setting, str) else setting)
        except OutOfMemory as error:
            if setting != "auto":
                hint = '; [compute] images = "streamed" reads them during training' if setting == "resident" else ""
                raise OutOfMemory(f"{error}{hint}") from error
            is_full = True
        if is_full:  # other workers of the device took the memory; after the handler, which holds what was loaded
            load([True] * len(sizes))

    @property
    def numerics(self) -> str:
        """Such as "cpu bf16 1 thread" or "cuda bf16 NVIDIA H200"; with equal numerics, outputs repeat bit for bit."""
        return str(self._numerics)

    def run(
        self,
        mask: NDArray[np.bool_],
        seed: int,
        evaluation_batch: int | None = None,
        *,
        map_classes: bool = False,
        is_prior: bool = False,
    ) -> list[Outcome]:
        """Train one model and transfer it to every target.

        The result depends on the mask, the seed, the kind of device and the number of threads alone.

        Args:
            mask: (K,) bool, the groups to train on.
            seed: of everything random.
            evaluation_batch: images at a time where nothing is trained; halved when memory runs out.
            map_classes: also return the source class that is predicted for each test image, and the one with the
                nearest mean feature; nothing else depends on it.
            is_prior: train for half the epochs or steps, and also return what the network says about each group.

        Returns:
            one outcome a target, in their order.

        Raises:
            TrainingFailed: a loss is not finite, or the mask has too few images.
            OutOfMemory: training does not fit on the device.
        """
        batch = evaluation_batch or _EVALUATION_BATCH[self._numerics.device.type]
        indices = torch.from_numpy(np.flatnonzero((self._groups < 0) | mask[self._groups]))
        with (
            arithmetic.repeatable(self._numerics),
            arithmetic.seeded_globals(self._numerics.device, seed),
            catching_out_of_memory("training"),
        ):
            metrics = self._pretrain(indices, seed, self._train.source_steps(len(indices), is_prior=is_prior))
            means = self._class_features(batch) if map_classes or is_prior else None
            mapped = [] if means is None else self._map_classes(means, batch)
            measures = self._measure_groups(batch) if is_prior else []
            outcomes = self._transfer(metrics, seed, batch)
        if mapped:
            outcomes = [
                replace(outcome, mapped=labels, nearest=nearest)
                for outcome, (labels, nearest) in zip(outcomes, mapped, strict=True)
            ]
        if measures:
            outcomes = [
                replace(outcome, mapping=mapping, ablation=ablation)
                for outcome, (mapping, ablation) in zip(outcomes, measures, strict=True)
            ]
        if is_prior and means is not None:  # they are of the source: once a model
            outcomes[0] = replace(outcomes[0], class_features=means.cpu().numpy())
        return outcomes

    def _class_features(self, batch: int) -> Tensor:
        """(S, d) mean feature of each source class."""
        return class_features(self._body, self._source, self._network[1], self._numerics, batch)

    def _map_classes(self, means: Tensor, batch: int) -> list[tuple[Labels, Labels]]:
        """(n,) source class by the source network's head, and by its features, for each target's test images."""
        tests = [test for _, test in self._images]
        labels = [self._source_logits(test, batch).argmax(1).cpu().numpy() for test in tests]
        nearest = nearest_source_classes(self._body, means, tests, self._numerics, batch)
        return list(zip(labels, nearest, strict=True))

    def _measure_groups(self, batch: int) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """(K, C) mapping and ablation of the source network, for each target."""
        measures = []
        shares = group_shares(self._source.labels.cpu(), torch.from_numpy(self._groups), self._network[1])
        for target, (train, test) in zip(self._targets, self._images, strict=True):
            train_logits, test_logits = self._source_logits(train, batch), self._source_logits(test, batch)
            labels, train_labels = (images.labels.to(test_logits.device) for images in (test, train))
            if target.is_estimated is not None:
                estimated = torch.from_numpy(target.is_estimated).to(labels.device)
                test_logits, labels = test_logits[estimated], labels[estimated]
            mapping = map_to_source(test_logits, labels, target.classes)
            ablation = ablate_source(train_logits, train_labels, test_logits, labels, target.classes)
            of_groups = [(shares @ values.cpu()).float().numpy() for values in (mapping, ablation)]
            measures.append((of_groups[0], of_groups[1]))
        return measures

    def _source_logits(self, pixels: DeviceImages, batch: int) -> Tensor:
        """(n, S) outputs of the source network."""
        return features(nn.Sequential(self._body, self._head), pixels, self._numerics, batch)

    def _pretrain(self, indices: Tensor, seed: int, steps: int) -> dict[str, float]:
        """Draw new weights from the seed and train them on some source images."""
        _assign((self._body, self._head), self._fresh(seed))
        settings = self._train
        recipe = Recipe(
            "source training", steps, settings.batch_size, settings.lr, settings, settings.resolutions or ()
        )
        result = fit(self._source_step, self._source, indices, recipe, arithmetic.seeded_generator(seed, _SOURCE))
        present = torch.unique(self._source.labels[indices.to(self._numerics.device)])
        return {
            "source_loss": result.loss,
            "source_accuracy": result.accuracy,
            "source_images": float(len(indices)),
            "source_classes": float(len(present)),
            "source_steps": float(result.steps),
        }

    def _transfer(self, metrics: dict[str, float], seed: int, batch: int) -> list[Outcome]:
        kinds = [target.transfer for target in self._targets]
        source = copy.deepcopy(self._body) if "full-network" in kinds else self._body
        outcomes = []
        of_targets = zip(self._targets, self._target_settings, self._target_steps, self._images, strict=True)
        for target, settings, step, (train, test) in of_targets:
            if step is None:
                logits, target_metrics = fit_linear_probe(
                    source, train, test, target.classes, settings.probe_l2, self._numerics, batch
                )
            else:
                recipe = Recipe(
                    "fine-tuning",
                    settings.finetune_steps(len(train.labels)),
                    settings.finetune_batch_size,
                    settings.finetune_lr,
                    settings,
                )
                # The same stream for every target: results do not depend on the other targets.
                with arithmetic.seeded_globals(self._numerics.device, arithmetic.derive_seed(seed, _HEAD)):
                    head = nn.Linear(self._head.in_features, target.classes)
                    _assign((step.network,), (nn.Sequential(source, head),))
                    logits, target_metrics = finetune(
                        step, train, test, recipe, batch, arithmetic.seeded_generator(seed, _TARGET)
                    )
            outcomes.append(to_outcome(logits, test.labels, {**metrics, **target_metrics}))
        return outcomes

    def _fresh(self, seed: int, *, trial: bool = False) -> tuple[nn.Module, nn.Linear]:
        """Return new weights on the CPU, the given ones or drawn from the seed alone: the mask plays no part."""
        model, classes = self._network
        with arithmetic.seeded_globals(torch.device("cpu"), arithmetic.derive_seed(seed, _INIT)):
            network = build_network(model, classes, self._source.channels, self._source.size, trial=trial)
        if self._weights:
            self._weights.load_into(network)
        return split_head(network)


def _assign(modules: Sequence[nn.Module], fresh: Sequence[nn.Module]) -> None:
    """Copy all parameters and buffers in place, and drop gradients."""
    with torch.no_grad():
        for module, new in zip(modules, fresh, strict=True):
            for parameter, value in zip(module.parameters(), new.parameters(), strict=True):
                parameter.copy_(value)
                parameter.grad = None
            for buffer, state in zip(module.buffers(), new.buffers(), strict=True):
                buffer.copy_(state)
