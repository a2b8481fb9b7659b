"""`tinfl doctor`: what works on this machine and in this terminal, and why something does not."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tui_influence import __version__
from tui_influence.cli import output
from tui_influence.cli.options import Json
from tui_influence.errors import ConfigError

_SAFE_PILLOW = 13
_LOGIND = Path("/etc/systemd/logind.conf")


def doctor(json: Json = False) -> None:
    """Say what works here, and why something does not."""
    findings = [{"what": what, "ok": ok, "found": found} for what, ok, found in _findings()]
    if json:
        output.write_json(findings)
        return
    for finding in findings:
        output.line(f"{'✔' if finding['ok'] else '✘'} {finding['what']:<10} {finding['found']}")


def _findings() -> Iterator[tuple[str, bool, str]]:
    yield "tinfl", True, f"{__version__}, Python {sys.version.split()[0]}"
    yield _torch()
    yield _pillow()
    yield from _devices()
    yield _colours()
    yield _images()
    yield _term_image()
    yield _detaching()
    yield _cache()
    yield _keys()


def _torch() -> tuple[str, bool, str]:
    try:
        import torch
        import torchvision  # type: ignore[import-untyped,unused-ignore]
    except (ImportError, RuntimeError, OSError) as error:
        return "torch", False, f"does not import: {error}"
    return "torch", True, f"torch {torch.__version__}, torchvision {torchvision.__version__}"


def _pillow() -> tuple[str, bool, str]:
    """Whether the decoder of images, which may come from anywhere, is one without the hole that is known of it."""
    import PIL

    major = PIL.__version__.partition(".")[0]
    if major.isdecimal() and int(major) < _SAFE_PILLOW:
        hole = "a JPEG can write past its memory (CVE-2026-112403)"
        return "pillow", False, f"{PIL.__version__}: {hole}; remedy: pip install 'pillow>={_SAFE_PILLOW}'"
    return "pillow", True, PIL.__version__


def _devices() -> Iterator[tuple[str, bool, str]]:
    from tui_influence.runs.devices import cpu_cores, has_unusable_gpu, probe_cuda
    from tui_influence.training.precision import choose_numerics

    yield "cpu", True, f"{cpu_cores()} cores; a worker a core trains with {choose_numerics('cpu', 'auto', 1)}"
    probe = probe_cuda()
    for index, device in enumerate(probe.devices):
        room = f"{device.free / 2**30:.0f} of {device.total / 2**30:.0f} GiB free"
        yield f"cuda:{index}", not device.reason, device.reason or f"{device.name}, {room}"
    if not probe.devices:
        yield "cuda", not has_unusable_gpu(probe), f"no CUDA device ({probe.reason}); sweeps run on the CPU"


def _colours() -> tuple[str, bool, str]:
    if os.environ.get("NO_COLOR"):
        return "colours", True, "off: NO_COLOR is set"
    if os.environ.get("COLORTERM") in ("truecolor", "24bit"):
        return "colours", True, "24 bit"
    if "256" in os.environ.get("TERM", ""):
        why = "COLORTERM is not set; over SSH it often is not passed on: SendEnv COLORTERM, or say --color truecolor"
        return "colours", True, f"256 ({why})"
    return "colours", False, f"few: TERM is {os.environ.get('TERM') or 'not set'}"


def _images() -> tuple[str, bool, str]:
    from tui_influence.images.graphics import detect_protocol, library_problem

    found = detect_protocol(os.environ)
    if os.environ.get("NO_COLOR"):
        return "images", True, "shades without colour: NO_COLOR is set"
    if found.protocol is not None and not library_problem():
        return "images", True, f"`tinfl show` by the {found.protocol} protocol ({found.reason}), half blocks in the app"
    if not _colours()[1]:
        return "images", False, "shades without colour: half blocks need 256 colours"
    if found.protocol is not None:
        return "images", True, f"half blocks; the {found.protocol} protocol ({found.reason}) needs term-image"
    return "images", True, f"half blocks; not the terminal's own graphics: {found.reason}"


def _term_image() -> tuple[str, bool, str]:
    """Whether the terminal's own graphics can be written, by an extra."""
    from importlib.metadata import version

    from tui_influence.images.graphics import LIBRARY_REMEDY, library_problem

    if problem := library_problem():
        return "term-image", True, f"{problem}: no graphics of kitty and iTerm2; remedy: {LIBRARY_REMEDY}"
    return "term-image", True, version("term-image")


def _detaching() -> tuple[str, bool, str]:
    """Whether a background run outlives the login session."""
    if not shutil.which("loginctl") or not Path("/run/systemd/system").exists():
        return "detaching", True, "background runs survive the terminal and the logout"
    try:
        text = _LOGIND.read_text()
    except OSError:
        text = ""
    kills = any(line.replace(" ", "").lower() == "killuserprocesses=yes" for line in text.splitlines())
    user = os.environ.get("USER", "")
    if kills and not Path(f"/var/lib/systemd/linger/{user}").exists():
        return "detaching", False, "systemd ends background runs at logout; remedy: loginctl enable-linger"
    return "detaching", True, "background runs survive the terminal and the logout"


def _cache() -> tuple[str, bool, str]:
    from tui_influence.datasets import default_cache

    cache = default_cache()
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    usage = shutil.disk_usage(existing)
    ok = os.access(existing, os.W_OK)
    return "cache", ok, f"{cache}, {usage.free / 2**30:.0f} GiB free" + ("" if ok else ", not writable")


def _keys() -> tuple[str, bool, str]:
    """Whether the user's own keys are in order, and where they are."""
    from tui_influence.config.user import user_config_path
    from tui_influence.tui.keymap import user_keys

    path = user_config_path()
    try:
        changed = user_keys().changed
    except ConfigError as error:
        return "keys", False, str(error)
    if not changed:
        return "keys", True, f"the usual ones (`tinfl keys`); your own would be in {path}" if path else "the usual ones"
    return "keys", True, f"{len(changed)} of your own, from {path}"
