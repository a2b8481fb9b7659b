"""The check that a config's network exists and takes the images, and that its starting weights fit it.

It comes before anything is packed, written or submitted.

    python -P -m tui_influence.runs.network_check

It runs in a process of its own, which loads torch and the user's code; the command that asks does neither. The networks
of `NETWORKS` need no check unless they start from weights.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tui_influence.config.schema import Config, ModelSection
from tui_influence.errors import ConfigError
from tui_influence.networks import NETWORKS
from tui_influence.runs.datasets import image_shape
from tui_influence.runs.devices import worker_environment


def check_network(model: ModelSection, shape: tuple[int, int, int] | None = None) -> None:
    """Check a network of the user's own config; its code, if it is code, is executed.

    Args:
        model: the network.
        shape: classes, channels and side of the images; None where they are not known yet: then the network must be
            there, and is not built.

    Raises:
        ConfigError: there is no such network, it does not take such images, or the weights do not fit it.
    """
    if model.arch in NETWORKS and (model.weights is None or shape is None):
        return
    request = json.dumps({"model": model.model_dump(mode="json"), "shape": shape})
    answer = subprocess.run(
        [sys.executable, "-P", "-m", "tui_influence.runs.network_check"],
        input=request.encode(),
        capture_output=True,
        env=os.environ | worker_environment("cpu"),
        check=False,
    )
    try:
        result = json.loads(answer.stdout.splitlines()[-1])
        reason, details = str(result["reason"]), tuple(map(str, result["details"]))
    except (ValueError, IndexError, KeyError, TypeError):
        lines = answer.stderr.decode(errors="replace").strip().splitlines()
        reason = f'arch "{model.arch}" cannot be loaded: {lines[-1] if lines else "its process ended"}'
        details = ()
    if reason:
        refusal = ConfigError(reason)
        refusal.details = details
        raise refusal


def check_before_packing(config: Config) -> None:
    """Check a network, and that starting weights fit it, without its classes, of which any number will do.

    A user's code is left to later checks: it may need the size of the images, which is known once they are packed.

    Raises:
        ConfigError: there is no such network, or the weights do not fit it.
    """
    if config.model.is_user_code:
        return
    shape = None
    if config.model.weights is not None:
        side, channels = image_shape(config, trusted=True)
        shape = 2, channels, config.model.network_side(side)
    check_network(config.model, shape)


def main() -> int:
    """Check the network that stdin describes; print the reason why it cannot be used, or an empty one."""
    # here, because they load torch
    from tui_influence.training.networks import build_network, find_network
    from tui_influence.training.weights import read_weights

    request = json.loads(sys.stdin.buffer.read())
    model = ModelSection.model_validate(request["model"])
    sys.path.append(str(Path.cwd()))
    reason, details = "", tuple[str, ...]()
    try:
        if request["shape"] is None:
            find_network(model.arch)
        else:
            weights = read_weights(model, request["shape"][2])
            network = build_network(model, *request["shape"])
            if weights:
                weights.load_into(network)
    except ConfigError as error:
        reason, details = str(error), error.details
    print(json.dumps({"reason": reason, "details": details}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
