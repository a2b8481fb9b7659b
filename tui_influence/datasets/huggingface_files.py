"""The files of a local Hugging Face dataset, by split: Arrow files of `save_to_disk`, or Parquet files.

Names alone decide which split a Parquet file belongs to, as in the `datasets` library: `train-00000-of-00002.parquet`,
`test.parquet`, `validation/0000.parquet`; a name that says nothing is `train`. Nothing is opened here but small JSON
files, and no code of a dataset is run.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tui_influence.datasets.errors import (
    abbreviate_list,
    directory_problem,
    interrupted_download,
    printable_path,
    reason_of,
)
from tui_influence.datasets.images import EXTENSIONS
from tui_influence.errors import DatasetError
from tui_influence.regular_files import read_regular
from tui_influence.text import pluralize, printable

PARQUET, ARROW = ".parquet", ".arrow"

Splits = Mapping[str, tuple[Path, ...]]
"""Files of each split, in order."""

_DEFAULT_SPLIT = "train"
_SHARD = re.compile(r"(?P<split>.+?)-(?P<index>\d{5})-of-(?P<count>\d{5})(?:-[0-9a-f]+)?")
_KEYWORDS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
_SEPARATORS = re.compile(r"[-._ \d]+")
_INCOMPLETE = ".incomplete"
_DOWNLOADS = Path(".cache", "huggingface", "download")
_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z"})
_MAX_JSON_BYTES = 16 << 20


def list_splits(path: Path) -> Splits:
    """Return the files of each split of a dataset: a Parquet or Arrow file, or a directory.

    Raises:
        DatasetError: it is not there, is not whole, or is laid out in another way.
    """
    if not path.is_dir():
        if not path.exists():
            raise DatasetError(f"{printable_path(path)} does not exist")
        if path.suffix.lower() not in {PARQUET, ARROW}:
            raise DatasetError(f"{printable_path(path)} is not a {PARQUET} or {ARROW} file")
        shard = _SHARD.fullmatch(path.stem)
        return {shard["split"] if shard else _split_of_words(path.stem) or _DEFAULT_SPLIT: (path,)}
    _refuse_incomplete(path)
    if (path / "dataset_dict.json").exists():
        names = _read_json(path / "dataset_dict.json").get("splits")
        if not isinstance(names, list) or not names or not all(map(_is_file_name, names)):
            raise DatasetError(f"{printable_path(path / 'dataset_dict.json')} is damaged: no names of splits")
        return {name: _saved_files(path / name) for name in names}
    if (path / "state.json").exists():
        return {_DEFAULT_SPLIT: _saved_files(path)}
    return _parquet_splits(path)


def choose_split(splits: Splits, name: str | None, display_name: str) -> tuple[Path, ...]:
    """Return the files of a split; the only one if no name is given.

    Raises:
        DatasetError: there is no such split, or there are several and no name.
    """
    names = abbreviate_list([printable(split) for split in splits], 8)
    if name is None:
        if len(splits) > 1:
            raise DatasetError(f"{display_name} has several splits: set split to one of them: {names}")
        name = next(iter(splits))
    if name not in splits:
        raise DatasetError(f"{display_name} has no split {printable(name)} (it has: {names})")
    return splits[name]


def _saved_files(folder: Path) -> tuple[Path, ...]:
    """Files of a directory that `Dataset.save_to_disk` has written."""
    state = _read_json(folder / "state.json")
    entries = state.get("_data_files")
    listed = entries if isinstance(entries, list) else []
    names: list[Any] = [entry.get("filename") for entry in listed if isinstance(entry, dict)]
    if not names or not all(map(_is_file_name, names)):
        raise DatasetError(f"{printable_path(folder / 'state.json')} is damaged: no names of data files")
    if state.get("_indices_data_files"):
        raise DatasetError(
            f"{printable_path(folder)} is a selection of rows, saved by an old version of datasets: "
            "load it and save it again with save_to_disk"
        )
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise _missing_files(folder, missing)
    return tuple(folder / name for name in names)


def _parquet_splits(root: Path) -> Splits:
    """Parquet files below a directory by split, all of one configuration."""
    splits: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
    others: list[Path] = []
    for file in _visible_files(root):
        if file.suffix.lower() == PARQUET:
            splits[_configuration_and_split(root, file)].append(file)
        else:
            others.append(file)
    if not splits:
        raise _no_tables(root, others)
    configurations = sorted({configuration for configuration, _ in splits})
    if len(configurations) > 1:
        names = [printable(str(configuration.relative_to(root))) for configuration in configurations]
        raise DatasetError(
            f"{printable_path(root)} has Parquet files in several directories: set path to one of them: "
            f"{abbreviate_list(names, 8)}"
        )
    for (_, split), files in splits.items():
        _require_every_shard(split, files)
    return {split: tuple(files) for (_, split), files in splits.items()}


def _configuration_and_split(root: Path, file: Path) -> tuple[Path, str]:
    """Directory of the configuration that a Parquet file belongs to, and its split."""
    shard = _SHARD.fullmatch(file.stem)
    if shard:
        return file.parent, shard["split"]
    split = _split_of_words(file.stem)
    if split is not None:
        return file.parent, split
    split = _split_of_words(file.parent.name) if file.parent != root else None
    return (file.parent, _DEFAULT_SPLIT) if split is None else (file.parent.parent, split)


def _split_of_words(name: str) -> str | None:
    """Split that a word in the name of a file or directory stands for."""
    return next((_KEYWORDS[word] for word in _SEPARATORS.split(name.lower()) if word in _KEYWORDS), None)


def _require_every_shard(split: str, files: Sequence[Path]) -> None:
    """Refuse a split of numbered files if a number is missing."""
    shards = [shard for file in files if (shard := _SHARD.fullmatch(file.stem))]
    if not shards:
        return
    count = max(int(shard["count"]) for shard in shards)
    present = {int(shard["index"]) for shard in shards}
    missing = [index for index in range(count) if index not in present]
    if missing:
        raise _missing_files(files[0].parent, [f"{split}-{index:05d}-of-{count:05d}{PARQUET}" for index in missing])


def _missing_files(folder: Path, names: Sequence[str]) -> DatasetError:
    listed = abbreviate_list([printable(name) for name in names])
    return DatasetError(
        f"{printable_path(folder)} lacks {pluralize(len(names), 'file')}: {listed}; complete the download or the copy"
    )


def _refuse_incomplete(root: Path) -> None:
    """Refuse a directory in which a download was interrupted."""
    blobs = root.parent.parent / "blobs" if root.parent.name == "snapshots" else None
    for folder in (root, root / "data", root / _DOWNLOADS, root / _DOWNLOADS / "data", blobs):
        for file in folder.glob(f"*{_INCOMPLETE}") if folder is not None else ():
            raise interrupted_download(printable_path(file.parent), file)


def _no_tables(root: Path, others: Sequence[Path]) -> DatasetError:
    """Return the error for a directory without Parquet files, with what it has instead."""
    head = f"{printable_path(root)} has no Parquet files and was not written by save_to_disk"
    suffixes = {file.suffix.lower() for file in others}
    if suffixes & EXTENSIONS:
        return DatasetError(f'{head}: it has image files, which kind = "folder" reads (one directory per class)')
    if ARROW in suffixes:
        return DatasetError(f"{head}: load it with datasets.load_dataset and write it with save_to_disk")
    if ".py" in suffixes:
        return DatasetError(
            f"{head}: it has a loading script, which is never run; run it yourself and write its dataset with "
            "save_to_disk"
        )
    if suffixes & _ARCHIVES:
        return DatasetError(f'{head}: it has archives; extract their images for kind = "folder"')
    return DatasetError(head)


def _visible_files(root: Path) -> Iterator[Path]:
    """Files below a directory in the order of their names, without hidden ones."""

    def fail(error: OSError) -> None:
        raise directory_problem(root, error) from error

    for folder, folders, names in os.walk(root, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _is_file_name(name: object) -> bool:
    """Whether a value is the name of a file in a directory, and leads nowhere else."""
    return isinstance(name, str) and name not in {"", ".", ".."} and "/" not in name and "\0" not in name


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(path, _MAX_JSON_BYTES))
    except OSError as error:
        raise directory_problem(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{printable_path(path)} is damaged: {reason_of(error)}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{printable_path(path)} is damaged: not an object")
    return content
