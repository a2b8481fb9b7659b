"""Errors that a user can correct, and their exit codes.

Every module raises these for problems such as a wrong path, a wrong key or a full disk. `cli.diagnostics` turns them
into one line on stderr and an exit code; any other exception that escapes is a bug.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `tinfl`."""

    OK = 0
    RUN_FAILED = 1
    USAGE = 2
    """A wrong option or a wrong config; nothing was started."""
    RESULTS = 3
    """The results directory is missing, damaged, unwritable or from a newer version."""
    ALREADY_RUNNING = 4
    DEVICE = 5
    """A requested device is not available."""
    INTERRUPTED = 130


class TinflError(Exception):
    """A problem with a one-line reason that the user can act on.

    Attributes:
        exit_code: exit code of the command.
        details: further lines, if one line cannot name everything.
    """

    exit_code = ExitCode.RUN_FAILED
    details: tuple[str, ...] = ()


class ConfigError(TinflError):
    """The config or the command line requests something impossible."""

    exit_code = ExitCode.USAGE


class DatasetError(TinflError):
    """A dataset cannot be read as the config describes it."""

    exit_code = ExitCode.USAGE


class ResultsError(TinflError):
    """A results directory is missing, damaged, unwritable, or not one of tinfl."""

    exit_code = ExitCode.RESULTS


class AlreadyRunningError(TinflError):
    """Another supervisor owns the run."""

    exit_code = ExitCode.ALREADY_RUNNING


class DeviceError(TinflError):
    """A compute device is not available."""

    exit_code = ExitCode.DEVICE


class RunFailedError(TinflError):
    """The run failed."""

    exit_code = ExitCode.RUN_FAILED


def first_line(error: BaseException) -> str:
    """Return the first line of any error, or its kind if it has no text; those of torch have advice below."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
