"""Local Hugging Face datasets, as the `datasets` library writes them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_datasets import NAMES, datasets, parquet, pixels, png, pyarrow, rows, source, source_section, target
from image_files import bomb, image_folder, save

from tui_influence.datasets import ImageShape, huggingface_tables, native_shape, thumbnails
from tui_influence.datasets.huggingface import HuggingfaceReader
from tui_influence.errors import DatasetError


def saved(path: Path, content: datasets.Dataset | datasets.DatasetDict, **options: Any) -> Path:
    content.save_to_disk(str(path), **options)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def in_shards(path: Path, content: datasets.Dataset) -> Path:
    (path / "data").mkdir(parents=True)
    for index in range(3):
        content.shard(3, index, contiguous=True).to_parquet(
            path / "data" / f"train-{index:05d}-of-00003.parquet", batch_size=2
        )
    return path


def in_file(path: Path, content: datasets.Dataset) -> Path:
    path.mkdir()
    content.to_parquet(path / "all.parquet", batch_size=3)
    return path / "all.parquet"


WRITERS: dict[str, Callable[[Path, datasets.Dataset], Path]] = {
    "save_to_disk": lambda path, content: saved(path, content),
    "save_to_disk in shards": lambda path, content: saved(path, content, num_shards=3),
    "save_to_disk of splits": lambda path, content: saved(path, datasets.DatasetDict(train=content)),
    "Parquet of the hub": lambda path, content: parquet(path, train=content),
    "Parquet in shards": in_shards,
    "one Parquet file": in_file,
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_images_labels_and_class_names_are_read(data: Path, cache: Path, write: Callable[..., Path]) -> None:
    path = write(data, rows(10))
    images = source(path, cache)
    assert np.array_equal(images.images, pixels(10))
    assert images.classes == NAMES
    assert images.labels.tolist() == [0, 1] * 5
    assert images.names[:3] == ("cat/0", "dog/1", "cat/2")
    assert native_shape(source_section(path)) == ImageShape(8, 3)
    for positions in ([9, 0, 5, 4], [3]):
        assert np.array_equal(thumbnails(source_section(path), "source", images, positions, 8), pixels(10)[positions])


def test_rows_are_read_at_any_position_of_many_blocks(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "ARROW_RECORD_BATCH_SIZE_FOR_IMAGE_DATASETS", 3)
    for path in (saved(data / "a", rows(20), num_shards=2), in_shards(data / "b", rows(20))):
        reader = HuggingfaceReader(str(path), None)
        tables = reader._contents.tables
        assert sum(len(table.block_starts) for table in tables) > 6
        for positions in (range(20), [2, 3, 11, 12, 19], [19, 0, 7, 6], range(5, 20)):
            assert [sample.content for sample in reader.samples(positions)] == [png(index) for index in positions]


def test_a_target_has_two_splits(data: Path, cache: Path) -> None:
    for number, path in enumerate(
        (
            saved(data / "saved", datasets.DatasetDict(train=rows(6), test=rows(4, 50), extra=rows(2))),
            parquet(data / "hub", train=rows(6), test=rows(4, 50), extra=rows(2)),
        )
    ):
        loaded = target(path, cache / str(number))
        assert np.array_equal(loaded.train.images, pixels(6))
        assert np.array_equal(loaded.test.images, pixels(4, 50))
        assert loaded.test.classes == NAMES
        assert np.array_equal(target(path, cache, test="extra").test.images, pixels(2))
        with pytest.raises(DatasetError, match=r"has no split dev \(it has: train, test, extra|extra, test, train\)"):
            target(path, cache, test="dev")


def test_a_class_without_images_is_left_out(data: Path, cache: Path) -> None:
    content = rows(9, names=("a", "b", "never", "c")).map(lambda row: {"label": 3} if row["label"] else {"label": 0})
    assert source(saved(data, content), cache).classes == ("a", "c")
    more = datasets.DatasetDict(train=rows(9, names=("a", "b", "never", "c")), test=content)
    with pytest.raises(DatasetError, match=r"training and test images differ \(only in training: b; only in test: c\)"):
        target(saved(data / "differ", more), cache)
    three = content.map(lambda row, index: {"label": 1} if index < 2 else row, with_indices=True)
    loaded = target(saved(data / "fewer", datasets.DatasetDict(train=three, test=content)), cache)
    assert loaded.test.classes == ("a", "b", "c")
    assert loaded.test.labels.tolist() == [0, 2] * 4 + [0]


def test_labels_without_names_are_their_own_names(data: Path, cache: Path) -> None:
    content = rows(6, names=None)
    numbers = content.remove_columns("label").add_column("label", [30, 4, 30, 4, -7, -7])
    assert source(saved(data / "a", numbers), cache).classes == ("-7", "4", "30")
    text = content.remove_columns("label").add_column("label", ["zebra", "ape", "zebra", "ape", "ant", "ant"])
    for path in (saved(data / "b", text, num_shards=2), parquet(data / "c", train=text)):
        images = source(path, cache)
        assert images.classes == ("ant", "ape", "zebra")
        assert images.labels.tolist() == [2, 1, 2, 1, 0, 0]


def test_parquet_of_other_programs_is_read(data: Path, cache: Path) -> None:
    """Bytes in a column of their own, labels as a dictionary, as of pandas' categories."""
    data.mkdir()
    table = pyarrow.table(
        {
            "x": pyarrow.array([png(index) for index in range(4)], pyarrow.binary()),
            "y": pyarrow.array(["b", "a", "b", "a"]).dictionary_encode(),
        }
    )
    pyarrow.parquet.write_table(table, data / "train.parquet")
    images = source(data, cache)
    assert np.array_equal(images.images, pixels(4))
    assert images.labels.tolist() == [1, 0, 1, 0]


def test_columns_are_chosen_by_name(data: Path, cache: Path) -> None:
    content = rows(4, names=None, other=[0, 1, 1, 0])
    path = saved(data, content)
    with pytest.raises(DatasetError, match="several columns that may be labels: set label to one of label, other"):
        source(path, cache)
    assert source(path, cache, label="other").labels.tolist() == [0, 1, 1, 0]
    with pytest.raises(DatasetError, match="has no column lable: set label to one of its columns: image, label, other"):
        source(path, cache, label="lable")
    with pytest.raises(DatasetError, match="column label holds int64, not images"):
        source(path, cache, image="label", label="other")
    with pytest.raises(DatasetError, match=r"column image holds struct.*; labels must be whole numbers or text"):
        source(path, cache, label="image")
    two = content.add_column("mask", [{"bytes": png(0), "path": None}] * 4).cast_column("mask", datasets.Image())
    with pytest.raises(DatasetError, match="several columns of images: set image to one of image, mask"):
        source(saved(data / "two", two), cache, label="other")


SPLIT_OF_FILE = {
    "data/train-00000-of-00001.parquet": "train",
    "data/train-00000-of-00001-4746b8785c874cc7.parquet": "train",
    "data/my-own_split-00000-of-00001.parquet": "my-own_split",
    "default/validation/0000.parquet": "validation",
    "x_dev.parquet": "validation",
    "testing.parquet": "test",
    "pictures.parquet": "train",
}


@pytest.mark.parametrize(("name", "split"), SPLIT_OF_FILE.items())
def test_the_name_of_a_parquet_file_says_its_split(data: Path, cache: Path, name: str, split: str) -> None:
    path = data / name
    path.parent.mkdir(parents=True)
    rows(2).to_parquet(path)
    assert len(source(data, cache, split=split)) == 2
    with pytest.raises(DatasetError, match=rf"has no split none \(it has: {split}\)"):
        source(data, cache, split="none")


def test_several_splits_and_several_configurations_need_a_choice(data: Path, cache: Path) -> None:
    parquet(data / "full", train=rows(2), test=rows(2))
    with pytest.raises(DatasetError, match="has several splits: set split to one of them: test, train"):
        source(data, cache)
    parquet(data / "small", train=rows(2))
    with pytest.raises(DatasetError, match="in several directories: set path to one of them: full/data, small/data"):
        source(data, cache, split="train")
    assert len(source(data / "small", cache)) == 2


def test_a_link_of_the_hub_s_cache_is_followed(data: Path, cache: Path) -> None:
    """A snapshot is links to the files in `blobs`."""
    parquet(data / "snapshots" / "1f2e", train=rows(2))
    (data / "blobs").mkdir()
    file = data / "snapshots" / "1f2e" / "data" / "train-00000-of-00001.parquet"
    shutil.move(file, data / "blobs" / "0a")
    file.symlink_to("../../../blobs/0a")
    assert len(source(data, cache)) == 2
    (data / "blobs" / "0b.incomplete").touch()
    with pytest.raises(DatasetError, match=r"has an interrupted download, 0b\.incomplete: complete it"):
        source(data / "snapshots" / "1f2e", cache)


def test_an_interrupted_download_is_an_error(data: Path, cache: Path) -> None:
    path = in_shards(data, rows(10))
    file = path / "data" / "train-00001-of-00003.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    damaged = r"train-00001-of-00003\.parquet is damaged, or its download was interrupted \(.+\)"
    with pytest.raises(DatasetError, match=damaged):
        source(path, cache)
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(DatasetError, match="is not the file but its pointer in Git LFS: run git lfs pull"):
        source(path, cache)
    file.unlink()
    with pytest.raises(DatasetError, match=r"lacks 1 file: train-00001-of-00003\.parquet; complete the download"):
        source(path, cache)
    file.write_bytes(whole)
    downloads = path / ".cache" / "huggingface" / "download" / "data"
    downloads.mkdir(parents=True)
    (downloads / "train-00001.incomplete").touch()
    with pytest.raises(DatasetError, match=r"has an interrupted download, train-00001\.incomplete"):
        source(path, cache)


@pytest.mark.parametrize("keep", [0, 1, 100, -4, -8, -2000])
def test_a_truncated_arrow_file_is_an_error(data: Path, cache: Path, keep: int) -> None:
    path = saved(data, rows(10))
    file = path / "data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=r"arrow is damaged, or its download was interrupted \(.+\): download or"):
        source(path, cache)


def test_damage_anywhere_is_an_error_or_an_unreadable_image(data: Path, tmp_path: Path) -> None:
    """Bytes are changed at random: every read ends with samples or with an error of one line."""
    rng = np.random.default_rng(0)
    ends = set()
    for number, path in enumerate((saved(data / "a", rows(6)), parquet(data / "b", train=rows(6)))):
        (file,) = (file for file in path.rglob("*") if file.suffix in {".arrow", ".parquet"})
        whole = np.frombuffer(file.read_bytes(), np.uint8)
        for _ in range(150):
            damaged = whole.copy()
            positions = (
                rng.integers(0, len(whole), 3) if rng.random() < 0.5 else [rng.integers(len(whole) - 900, len(whole))]
            )
            damaged[positions] = rng.integers(0, 256, len(positions))
            copy = tmp_path / f"copy{number}{file.suffix}"
            copy.write_bytes(damaged.tobytes())
            reader = HuggingfaceReader(str(copy), None)
            try:
                ends.add(str(len(list(reader.samples(range(reader.count()))))))
            except DatasetError as error:
                ends.add(str(error))
    assert "6" in ends
    assert len(ends) > 20
    assert not [end for end in ends if "\n" in end]


def test_compressed_arrow_and_other_arrow_files_are_refused(data: Path, cache: Path) -> None:
    path = saved(data, rows(4))
    file = path / "data-00000-of-00001.arrow"
    table = rows(4).data.table
    with pyarrow.ipc.new_stream(file, table.schema, options=pyarrow.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    with pytest.raises(DatasetError, match=r"arrow is compressed: save it again with save_to_disk"):
        source(path, cache)
    with pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DatasetError, match="is no Arrow stream, as save_to_disk writes: save it again"):
        source(path, cache)


@pytest.mark.parametrize("name", ["../secret.arrow", "/etc/passwd", "..", "", 3, None])
def test_a_saved_dataset_names_no_files_elsewhere(data: Path, cache: Path, name: object) -> None:
    path = saved(data / "inside", rows(4))
    shutil.copy(path / "data-00000-of-00001.arrow", data / "secret.arrow")
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(DatasetError, match=r"state\.json is damaged: no names of data files"):
        source(path, cache)
    (path / "dataset_dict.json").write_text(json.dumps({"splits": [name]}))
    with pytest.raises(DatasetError, match=r"dataset_dict\.json is damaged: no names of splits"):
        source(path, cache)


def test_missing_and_odd_files_of_a_saved_dataset(data: Path, cache: Path) -> None:
    path = saved(data, rows(6), num_shards=2)
    state = (path / "state.json").read_text()
    (path / "state.json").write_text(json.dumps(json.loads(state) | {"_indices_data_files": [{"filename": "i.arrow"}]}))
    with pytest.raises(DatasetError, match="is a selection of rows, saved by an old version of datasets"):
        source(path, cache)
    (path / "state.json").write_text("[" * 100_000)
    with pytest.raises(DatasetError, match=r"state\.json is damaged: "):
        source(path, cache)
    (path / "state.json").write_text(state)
    file = path / "data-00001-of-00002.arrow"
    file.unlink()
    with pytest.raises(DatasetError, match=r"lacks 1 file: data-00001-of-00002\.arrow; complete"):
        source(path, cache)
    os.mkfifo(file)
    with pytest.raises(DatasetError, match=r"cannot read .*arrow: not a regular file"):
        source(path, cache)


def test_a_directory_of_another_layout_is_described(data: Path, cache: Path) -> None:
    head = "has no Parquet files and was not written by save_to_disk"
    data.mkdir()
    with pytest.raises(DatasetError, match=rf"{head}$"):
        source(data, cache)
    for name, message in [
        ("a.zip", 'it has archives; extract their images for kind = "folder"'),
        ("load.py", "it has a loading script, which is never run"),
        ("x-train.arrow", "load it with datasets.load_dataset and write it with save_to_disk"),
    ]:
        (data / name).write_text("raise SystemExit")
        with pytest.raises(DatasetError, match=f"{head}: {message}"):
            source(data, cache)
    image_folder(data / "train")
    with pytest.raises(DatasetError, match=f'{head}: it has image files, which kind = "folder" reads'):
        source(data, cache)
    with pytest.raises(DatasetError, match=r"load\.py is not a \.parquet or \.arrow file"):
        source(data / "load.py", cache)
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        source(data / "nowhere", cache)


def test_urls_and_paths_are_no_images(data: Path, cache: Path) -> None:
    text = rows(4).remove_columns("image").add_column("picture", [f"https://x.org/{index}.jpg" for index in range(4)])
    for settings in ({}, {"image": "picture"}):
        with pytest.raises(DatasetError, match="column picture holds text, such as URLs or paths, not images: tinfl"):
            source(saved(data / str(len(settings)), text), cache, **settings)
    with pytest.raises(DatasetError, match=r"has no column of images \(its columns: label\)"):
        source(parquet(data / "none", train=text.remove_columns("picture")), cache)
    secret = save(data / "secret.png", pixels(1)[0])
    content = {"image": [{"bytes": None, "path": str(secret)}] * 4, "label": [0, 1] * 2}
    schema = rows(1).features.arrow_schema
    pyarrow.parquet.write_table(pyarrow.table(content, schema), data / "train.parquet")
    with pytest.raises(DatasetError, match=r"4 unreadable images .*: cat/0 \(not in the dataset: it has no bytes"):
        source(data / "train.parquet", cache)


def test_rows_without_labels_are_an_error(data: Path, cache: Path) -> None:
    content = rows(4)
    schema = content.features.arrow_schema
    images = content.data.column("image").combine_chunks()
    for number, (labels, message) in enumerate(
        [
            ([-1] * 4, "has no labels in every row: column label is -1 there; choose a labelled split"),
            ([0, 1, 5, 1], "has no labels in 1 of 4 rows: column label is outside its 2 classes, such as 5 there"),
            ([0, None, None, 1], "has no labels in 2 of 4 rows: column label is empty there"),
        ]
    ):
        path = data.parent / f"{number}.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"image": images, "label": labels}, schema), path)
        with pytest.raises(DatasetError, match=message):
            source(path, cache)
    with pytest.raises(DatasetError, match=r"has no labels: no column of whole numbers or text \(its columns: image\)"):
        source(saved(data, content.remove_columns("label")), cache)
    with pytest.raises(DatasetError, match="has no images: it has no rows"):
        source(parquet(data / "empty", train=content.select([])), cache)
    with pytest.raises(DatasetError, match="has 1 class: at least 2 are needed"):
        source(saved(data / "single", content.select([0, 2])), cache)


def test_files_must_agree_on_the_classes(data: Path, cache: Path) -> None:
    data.mkdir()
    rows(2).to_parquet(data / "train-00000-of-00002.parquet")
    second = data / "train-00001-of-00002.parquet"
    rows(2, names=("dog", "cat")).to_parquet(second)
    with pytest.raises(DatasetError, match="the classes of column label are not those of"):
        source(data, cache)
    rows(2).remove_columns("label").to_parquet(second)
    with pytest.raises(DatasetError, match=r"train-00001-of-00002\.parquet has no column label: set label to one of"):
        source(data, cache)


def test_bytes_are_checked_as_files_are(data: Path, tmp_path: Path, cache: Path) -> None:
    bomb(tmp_path / "bomb.png")
    tiff = save(tmp_path / "x.tif", pixels(1)[0]).read_bytes()
    contents = [png(0), png(1), (tmp_path / "bomb.png").read_bytes(), tiff, b"", png(2)[:-30], b"no image"]
    content = datasets.Dataset.from_dict(
        {"image": [{"bytes": item, "path": None} for item in contents], "label": [0, 1, 0, 1, 0, 1, 0]},
        datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(NAMES))}),
    )
    path = parquet(data, train=content)
    with pytest.raises(DatasetError, match="5 unreadable images in") as caught:
        source(path, cache)
    reasons = [line.split(" (", 1)[1].rstrip(")") for line in caught.value.details]  # type: ignore[attr-defined]
    assert reasons[0].startswith("decompression bomb")
    assert reasons[1:] == [
        "not an image of a supported format",
        "empty file",
        reasons[3],
        "not an image of a supported format",
    ]
    images = source(path, cache, on_bad_image="skip")
    assert np.array_equal(images.images, pixels(2))
    assert len(images.skipped) == 5


def test_the_stamp_changes_with_the_files_and_the_columns(data: Path) -> None:
    path = parquet(data, train=rows(4), test=rows(4))

    def stamp(**settings: str) -> str:
        return HuggingfaceReader(str(path), "train", **settings).stamp()

    before = stamp()
    assert stamp() == before
    assert stamp(label="other") != before
    assert stamp(image="other") != before
    os.utime(path / "data" / "test-00000-of-00001.parquet", ns=(1, 1))
    assert stamp() == before
    os.utime(path / "data" / "train-00000-of-00001.parquet", ns=(1, 1))
    assert stamp() != before


def test_the_second_load_needs_no_pyarrow(data: Path, cache: Path) -> None:
    source(saved(data, rows(4)), cache)
    script = (
        "import sys; from pathlib import Path; sys.modules['pyarrow'] = None\n"
        "from tui_influence.config.schema import HuggingfaceSource\n"
        "from tui_influence.datasets import load_source\n"
        f"section = HuggingfaceSource(kind='huggingface', path={str(data)!r})\n"
        f"assert len(load_source(section, seed=0, resolution=8, channels=3, cache=Path({str(cache)!r}))) == 4\n"
        "try: load_source(section, seed=0, resolution=9, channels=3, cache=Path('unused'))\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.startswith('kind = "huggingface" needs pyarrow (')
    assert done.stdout.endswith("): pip install pyarrow\n")


def test_few_images_are_in_memory_at_a_time(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row group is read a few rows at a time, and fewer if they are large."""
    path = parquet(data, train=rows(100))
    (table,) = HuggingfaceReader(str(path), None)._contents.tables
    assert [len(values) for _, values in table.read("image", "bytes", 0, 16)] == [16] * 6 + [4]
    monkeypatch.setattr(huggingface_tables, "_MAX_BATCH_BYTES", 5 * len(png(0)))
    assert max(len(values) for _, values in table.read("image", "bytes", 0, 16)) <= 5


def test_a_file_with_fewer_rows_than_it_declares_is_an_error(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(data, train=rows(4))
    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", lambda *_, **__: iter(()))
    with pytest.raises(DatasetError, match=r"is damaged.*\(it has fewer rows than it declares\)"):
        source(path, cache)
