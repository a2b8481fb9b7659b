"""`tinfl doctor`: a diagnosis of this machine and terminal, with remedies."""

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from tui_influence import __version__
from tui_influence.cli import output
from tui_influence.cli.options.starting import DoctorOptions
from tui_influence.config.user import user_config_path
from tui_influence.datasets import default_cache
from tui_influence.errors import ConfigError
from tui_influence.images.graphics import LIBRARY_REMEDY, detect_protocol, library_problem
from tui_influence.runs.devices import cpu_cores, has_unusable_gpu, mps_reason, probe_cuda
from tui_influence.text import printable
from tui_influence.tui.keymap import user_keys

_MIN_PILLOW = 13
"""First major version without CVE-2026-112403."""
_COLOUR_REMEDY = "remedy: set TERM=xterm-256color, or COLORTERM=truecolor, if your terminal has these colours"
_TORCH_REMEDY = "pip install --force-reinstall torch torchvision"
_LOGIND = Path("/etc/systemd/logind.conf")


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        check: its name.
        ok: whether it passed.
        detail: what is there, or the problem and the remedy.
    """

    check: str
    ok: bool
    detail: str


def doctor(options: DoctorOptions) -> None:
    """Run all checks and list the findings."""
    findings = list(_findings())
    if options.json:
        output.write_json([finding._asdict() for finding in findings])
        return
    for check, ok, detail in findings:
        output.write_line(f"{'✔' if ok else '✘'} {check:<10} {detail}")


def _findings() -> Iterator[Finding]:
    yield Finding("tinfl", True, f"{__version__}, Python {sys.version.split()[0]}")
    torch = _torch()
    yield torch
    yield _pillow()
    if torch.ok:
        yield from _devices()
    yield _colours()
    yield _images()
    yield _term_image()
    yield _detaching()
    yield _cache()
    yield _keys()


def _torch() -> Finding:
    try:
        import torch
        import torchvision  # type: ignore[import-untyped,unused-ignore]
    except (ImportError, RuntimeError, OSError) as error:
        problem = printable(str(error), 200)
        return Finding("torch", False, f"cannot be imported: {problem}; remedy: {_TORCH_REMEDY}")
    return Finding("torch", True, f"torch {torch.__version__}, torchvision {torchvision.__version__}")


def _pillow() -> Finding:
    """Check that the decoder of images, which may come from anywhere, has no known vulnerability."""
    import PIL

    major = PIL.__version__.partition(".")[0]
    if major.isdecimal() and int(major) < _MIN_PILLOW:
        problem = "a JPEG can write past its memory (CVE-2026-112403)"
        return Finding("pillow", False, f"{PIL.__version__}: {problem}; remedy: pip install 'pillow>={_MIN_PILLOW}'")
    return Finding("pillow", True, PIL.__version__)


def _devices() -> Iterator[Finding]:
    # Imported here, because it loads torch, which may be missing.
    from tui_influence.training.precision import choose_numerics

    yield Finding(
        "cpu", True, f"{cpu_cores()} cores; one worker per core trains with {choose_numerics('cpu', 'auto', 1)}"
    )
    probe = probe_cuda()
    for index, device in enumerate(probe.devices):
        memory = f"{device.free / 2**30:.0f} of {device.total / 2**30:.0f} GiB free"
        yield Finding(f"cuda:{index}", not device.reason, device.reason or f"{device.name}, {memory}")
    if not probe.devices:
        yield Finding("cuda", not has_unusable_gpu(probe), f"no CUDA device ({probe.reason}); sweeps run on the CPU")
    if sys.platform == "darwin":
        reason = mps_reason()
        yield Finding("mps", True, reason or 'torch can use the GPU of this Mac; sweeps do if devices = ["mps"]')


def _colours() -> Finding:
    if os.environ.get("NO_COLOR"):
        return Finding("colours", True, "off: NO_COLOR is set")
    if os.environ.get("COLORTERM") in ("truecolor", "24bit"):
        return Finding("colours", True, "24 bit")
    if "256" in os.environ.get("TERM", ""):
        problem = "COLORTERM is not set; over SSH: SendEnv COLORTERM, or use --color truecolor"
        return Finding("colours", True, f"256 ({problem})")
    return Finding("colours", False, f"few: TERM is {os.environ.get('TERM') or 'not set'}; {_COLOUR_REMEDY}")


def _images() -> Finding:
    detected = detect_protocol(os.environ)
    if os.environ.get("NO_COLOR"):
        return Finding("images", True, "shades without colour: NO_COLOR is set")
    if detected.protocol is not None and not library_problem():
        return Finding(
            "images",
            True,
            f"`tinfl show` uses the {detected.protocol} protocol ({detected.reason}), half blocks in the app",
        )
    if not _colours().ok:
        return Finding("images", False, f"shades without colour: half blocks need 256 colours; {_COLOUR_REMEDY}")
    if detected.protocol is not None:
        return Finding(
            "images", True, f"half blocks; the {detected.protocol} protocol ({detected.reason}) needs term-image"
        )
    return Finding("images", True, f"half blocks; no terminal graphics: {detected.reason}")


def _term_image() -> Finding:
    """Check for the extra that writes terminal graphics."""
    if problem := library_problem():
        return Finding("term-image", True, f"{problem}: no kitty or iTerm2 graphics; remedy: {LIBRARY_REMEDY}")
    return Finding("term-image", True, version("term-image"))


def _detaching() -> Finding:
    """Check that a background run outlives the login session."""
    if not shutil.which("loginctl") or not Path("/run/systemd/system").exists():
        return Finding("detaching", True, "background runs survive the terminal and the logout")
    try:
        text = _LOGIND.read_text()
    except OSError:
        text = ""
    kills = any(line.replace(" ", "").lower() == "killuserprocesses=yes" for line in text.splitlines())
    user = os.environ.get("USER", "")
    if kills and not Path(f"/var/lib/systemd/linger/{user}").exists():
        return Finding("detaching", False, "systemd ends background runs at logout; remedy: loginctl enable-linger")
    return Finding("detaching", True, "background runs survive the terminal and the logout")


def _cache() -> Finding:
    cache = default_cache()
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    usage = shutil.disk_usage(existing)
    ok = os.access(existing, os.W_OK)
    return Finding(
        "cache",
        ok,
        f"{cache}, {usage.free / 2**30:.0f} GiB free"
        + ("" if ok else ", not writable; remedy: set TINFL_CACHE to a directory that is"),
    )


def _keys() -> Finding:
    """Check the user config of the keys."""
    path = user_config_path()
    try:
        changed = user_keys().changed
    except ConfigError as error:
        return Finding("keys", False, str(error))
    if not changed:
        return Finding("keys", True, f"the defaults (`tinfl keys`); change them in {path}" if path else "the defaults")
    return Finding("keys", True, f"{len(changed)} changed in {path}")
