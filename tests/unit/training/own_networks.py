"""Networks a user might bring: good ones and bad ones."""

import torch
from torch import nn


def good(classes, channels, resolution):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * resolution**2, 12), nn.ReLU(), nn.Linear(12, classes))


def lazy(classes, _channels, _resolution):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(12), nn.ReLU(), nn.LazyLinear(classes))


def with_dropout(classes, channels, resolution):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(channels * resolution**2, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, classes)
    )


def only_a_head(classes, channels, resolution):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * resolution**2, classes))


def no_linear(classes, channels, _resolution):
    return nn.Sequential(nn.Conv2d(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def softmax_at_the_end(classes, channels, resolution):
    return nn.Sequential(good(classes, channels, resolution), nn.Softmax(1))


def too_many_outputs(classes, channels, resolution):
    return good(classes + 1, channels, resolution)


def fails_when_built(_classes, _channels, _resolution):
    raise ValueError("first line\nsecond line")


def not_a_network(_classes, _channels, _resolution):
    return "network"


class FailsForward(nn.Module):
    def __init__(self, classes, channels, _resolution):
        super().__init__()
        self.head = nn.Linear(channels, classes)

    def forward(self, _x):
        raise RuntimeError("images are too small\nfor this")


class UnusedParameter(nn.Module):
    def __init__(self, classes, channels, resolution):
        super().__init__()
        self.unused = nn.Parameter(torch.ones(3, 3))
        self.body = nn.Linear(channels * resolution**2, 8)
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        return self.head(torch.relu(self.body(x.flatten(1))))
