"""Folders of images, one sub-directory per class (the ImageFolder layout).

Classes and images are in the order of their names. Hidden files and directories, and files whose extension is not an
image's, are ignored; links are followed, each directory once a class, so a link that leads back is harmless.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from tui_influence.config.schema import FolderSource, FolderTarget
from tui_influence.datasets.base import ImageShape, Labels, Part, Sample, check_classes, require_every_class
from tui_influence.datasets.errors import abbreviate_list, directory_problem, printable_path
from tui_influence.datasets.images import EXTENSIONS, first_shape
from tui_influence.errors import DatasetError
from tui_influence.regular_files import expand_home
from tui_influence.text import pluralize, printable

_IGNORED_DIRECTORIES = frozenset({"__MACOSX"})
_DirectoryId = tuple[int, int]


@dataclass(frozen=True)
class _ImageFile:
    """An image file: its path below the root, with `/`, and its size and time, which change when it does."""

    name: str
    size: int
    mtime_ns: int


def open_reader(section: FolderSource | FolderTarget, part: Part, *, trusted: bool) -> "FolderReader":
    """Return the reader of the directory of one part."""
    if isinstance(section, FolderSource):
        return FolderReader(section.path)
    return FolderReader(section.train if part == "train" else section.test)


class FolderReader:
    """Reader of the images below one directory."""

    def __init__(self, path: str) -> None:
        self.root = expand_home(path)
        self.display_name = printable_path(path)

    def stamp(self) -> str:
        """Hash of the root and of every image's path, size and time."""
        digest = hashlib.sha256(os.fsencode(os.path.realpath(self.root)))
        for files in self._listing.values():
            for file in files:
                digest.update(b"\0%s\0%d %d" % (os.fsencode(file.name), file.size, file.mtime_ns))
        return digest.hexdigest()

    @property
    def declared_classes(self) -> tuple[str, ...]:
        """Names of the class directories."""
        return tuple(self._listing)

    def shape(self) -> ImageShape:
        """Shape of the first image that can be read; the rest of the directory is not read."""
        files = (file for folder in _class_folders(self.root) for file in _image_files(self.root, folder))
        return first_shape((Sample(file.name, 0, self.root / file.name) for file in files), self.display_name)

    def count(self) -> int:
        """Number of image files."""
        return len(self._files)

    def samples(self, positions: Sequence[int]) -> Iterator[Sample]:
        """Images, which are in the order of their classes."""
        for position in positions:
            label, file = self._files[position]
            yield Sample(file.name, label, self.root / file.name)

    def finalize_labels(self, labels: Labels) -> tuple[tuple[str, ...], Labels]:
        """Return the class directories, each of which must have a readable image."""
        require_every_class(self.display_name, self.declared_classes, labels)
        return self.declared_classes, labels

    def find(self, names: Iterable[str]) -> Iterator[Sample]:
        """Images by their path below the root."""
        for name in names:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise DatasetError(f"{printable(name)} is not an image of {self.display_name}")
            yield Sample(name, 0, self.root / path)

    @cached_property
    def _files(self) -> list[tuple[int, _ImageFile]]:
        """Label and file of each image."""
        return [(label, file) for label, files in enumerate(self._listing.values()) for file in files]

    @cached_property
    def _listing(self) -> dict[str, list[_ImageFile]]:
        folders = _class_folders(self.root)
        if not folders:
            loose_images = sum(1 for _ in _image_files(self.root, self.root))
            hint = f"; it has {pluralize(loose_images, 'image')} itself" if loose_images else ""
            raise DatasetError(f"{self.display_name} has no class folders (one sub-directory per class){hint}")
        check_classes(self.display_name, tuple(folder.name for folder in folders))
        listing = {folder.name: list(_image_files(self.root, folder)) for folder in folders}
        empty = [printable(name) for name, files in listing.items() if not files]
        if empty:
            folders_text = "an empty class folder" if len(empty) == 1 else f"{len(empty)} empty class folders"
            raise DatasetError(f"{self.display_name} has {folders_text} (no images in it): {abbreviate_list(empty)}")
        return listing


def tree_stamp(root: Path, marker: str) -> str:
    """Hash of path, size and time of every file below `root`, except in directories that have a file `marker`."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(root)))
    for path, stat in sorted(_files(root, set(), marker), key=lambda entry: os.fsencode(entry[0])):
        digest.update(b"\0%s\0%d %d" % (os.fsencode(path), stat[0], stat[1]))
    return digest.hexdigest()


def files_stamp(files: Sequence[Path]) -> str:
    """Return a hash of path, size and time of files.

    Raises:
        DatasetError: one of them is not there.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            stat = file.stat()
        except OSError as error:
            raise directory_problem(file, error) from error
        digest.update(b"\0%s\0%d %d" % (os.fsencode(os.path.realpath(file)), stat.st_size, stat.st_mtime_ns))
    return digest.hexdigest()


def _class_folders(root: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(root) if _is_directory(entry)]


def _image_files(root: Path, folder: Path) -> Iterator[_ImageFile]:
    """Image files below a class directory, in order."""
    start = len(str(root).rstrip("/")) + 1
    visited = {_directory_id(root)} if folder != root else set()
    for path, (size, mtime_ns) in _files(folder, visited, None, descend=folder != root):
        if os.path.splitext(path)[1].lower() in EXTENSIONS:  # noqa: PTH122 - a million paths need no objects
            yield _ImageFile(path[start:], size, mtime_ns)


def _files(
    folder: Path, visited: set[_DirectoryId], marker: str | None, *, descend: bool = True
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Path, size and time (in ns) of the files below a directory, each directory once, without hidden files."""
    # A stack, as directories may be a thousand levels deep.
    pending = [iter(_unvisited_entries(folder, visited, marker))]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
        elif _is_directory(entry):
            if descend:
                pending.append(iter(_unvisited_entries(Path(entry.path), visited, marker)))
        else:
            yield entry.path, _size_and_time(entry)


def _unvisited_entries(folder: Path, visited: set[_DirectoryId], marker: str | None) -> list[os.DirEntry[str]]:
    """Entries of a directory; none if it was visited before, or has a file `marker`."""
    identity = _directory_id(folder)
    if identity in visited:
        return []
    visited.add(identity)
    entries = _entries(folder)
    if marker is not None and any(entry.name == marker for entry in entries):
        return []
    return entries


def _size_and_time(entry: os.DirEntry[str]) -> tuple[int, int]:
    try:
        stat = entry.stat()
    except OSError:
        return -1, -1  # a broken link: reading it gives the error
    return stat.st_size, stat.st_mtime_ns


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of a directory that are not hidden, in the order of their names."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise directory_problem(folder, error) from error


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir() and entry.name not in _IGNORED_DIRECTORIES
    except OSError:
        return False


def _directory_id(folder: Path) -> _DirectoryId:
    try:
        stat = folder.stat()
    except OSError as error:
        raise directory_problem(folder, error) from error
    return stat.st_dev, stat.st_ino
