"""The errors a user can cause, and the exit code each one means.

Every module raises these for what is the user's to mend: a path, a key, a disk that is full.
`cli.diagnostics` turns them into one line on stderr and an exit code; anything else that escapes is a bug.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What `tinfl` tells the shell."""

    OK = 0
    RUN_FAILED = 1
    USAGE = 2
    """A wrong option or a wrong config; nothing was started."""
    RESULTS = 3
    """A results directory that is missing, damaged, unwritable or from a newer version."""
    ALREADY_RUNNING = 4
    DEVICE = 5
    """A device that was asked for is not here."""
    INTERRUPTED = 130


class TinflError(Exception):
    """A problem with a one-line reason that its user can act on.

    Attributes:
        exit_code: what the shell is told.
        details: further lines, where one line cannot name everything.
    """

    exit_code = ExitCode.RUN_FAILED
    details: tuple[str, ...] = ()


class ConfigError(TinflError):
    """The config, or the command line, asks for something impossible."""

    exit_code = ExitCode.USAGE


class DatasetError(TinflError):
    """A dataset cannot be read as the config describes it."""

    exit_code = ExitCode.USAGE


class ResultsError(TinflError):
    """A results directory is missing, damaged, unwritable, or not ours."""

    exit_code = ExitCode.RESULTS


class AlreadyRunningError(TinflError):
    """Another supervisor owns the run."""

    exit_code = ExitCode.ALREADY_RUNNING


class DeviceError(TinflError):
    """A compute device is not available."""

    exit_code = ExitCode.DEVICE


class RunFailedError(TinflError):
    """The run could not do its work."""

    exit_code = ExitCode.RUN_FAILED
