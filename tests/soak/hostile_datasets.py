"""Datasets that are damaged, odd or hostile: `tinfl check` reads each, or says in printable lines what is wrong."""

import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from tests.soak.hostile_results import Payload
from tests.soak.trials import Trial, prepare

Mutation = Callable[[Path, random.Random], None]
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM", "TIFF", "ICO")
_NAMES = (
    "a\nb", "\x1b[2J", "\u202ex", " ", "a" * 250, "-rf", "=1+1", "CON", "a,b", '"', "\udcff", ".hidden", "x\x07",
)  # fmt: skip


def attempt(directory: Path, rng: random.Random, variants: int = 10) -> Counter[str]:
    """Make datasets with a few mutations each, and check a config over each of them."""
    prepare()
    canary = directory / "executed"
    os.environ["CANARY"], cache = str(canary), os.environ.get("TINFL_CACHE")
    os.environ["TINFL_CACHE"] = str(directory / "cache")
    try:
        for number in range(variants):
            data = directory / f"data-{number}"
            kind = rng.choice(("folder", "npz"))
            config = _sound(data, kind, rng)
            mutations = rng.choices(_FOLDERS if kind == "folder" else _ARCHIVES, k=rng.randint(1, 3))
            for mutation in mutations:
                with suppress(FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError):
                    mutation(data, rng)
            problem = Trial(["check", str(config), "--no-time"]).problem()
            names = ", ".join(mutation.__name__ for mutation in mutations)
            assert not problem, f"{kind} {number} after {names}: {problem}"
            assert not canary.exists(), f"{kind} {number} after {names} executed something"
            shutil.rmtree(data, ignore_errors=True)
    finally:
        if cache is not None:
            os.environ["TINFL_CACHE"] = cache
    return Counter({"datasets": variants})


# --- sound data -------------------------------------------------------------------------------------------------------


def _sound(data: Path, kind: str, rng: random.Random) -> Path:
    """Write a source and a target that a sweep could train on, with a list of groups, and their config."""
    for part in ("source", "train", "test"):
        if kind == "folder":
            _write_folder(data / part, rng)
        else:
            data.mkdir(exist_ok=True)
            np.savez(
                data / f"{part}.npz", x=_pixels(rng, 9, 8, 8, 3), y=np.arange(9) % 3, classes=np.array(list("abc"))
            )
    names = [f"{label}/{n}.png" if kind == "folder" else f"{label}/{n * 3 + i}" for i, label in enumerate("abc")
             for n in range(3)]  # fmt: skip
    (data / "groups.csv").write_text("path,group\n" + "".join(f"{name},g{n % 4}\n" for n, name in enumerate(names)))
    suffix = "" if kind == "folder" else ".npz"
    groups = 'groups = "groups.csv"\n'.replace("groups.csv", str(data / "groups.csv")) if rng.random() < 0.3 else ""
    config = data / "sweep.toml"
    config.write_text(
        f'[run]\nname = "x"\n[source]\nkind = "{kind}"\npath = "{data}/source{suffix}"\n{groups}'
        f'on_bad_image = "{rng.choice(("error", "skip"))}"\n'
        f'[[target]]\nname = "t"\nkind = "{kind}"\ntrain = "{data}/train{suffix}"\ntest = "{data}/test{suffix}"\n'
        "[design]\nmodels = 4\nheldout = 2\nprior = 0\n[model]\nresolution = 8\n"
    )
    return config


def _write_folder(folder: Path, rng: random.Random) -> None:
    for label in "abc":
        (folder / label).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(_pixels(rng, 9, 8, 3)).save(folder / label / f"{number}.png")


def _pixels(rng: random.Random, *shape: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.random.default_rng(rng.randrange(2**32)).integers(0, 256, shape, dtype=np.uint8)


# --- folders ----------------------------------------------------------------------------------------------------------


def _some_image(data: Path, rng: random.Random) -> Path:
    return data / rng.choice(("source", "train", "test")) / rng.choice("abc") / f"{rng.randrange(3)}.png"


def damaged_image(data: Path, rng: random.Random) -> None:
    """Cut an image short, flip bits of it, or write another format under its name."""
    path = _some_image(data, rng)
    if path.exists() and not path.is_file():  # by an earlier mutation
        return
    content = bytearray(_encoded(rng))
    for _ in range(rng.randrange(8)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.5 else content)


def odd_image(data: Path, rng: random.Random) -> None:
    """Write an image of an unusual mode, size or number of frames."""
    mode = rng.choice(("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F", "HSV", "LAB"))
    size = rng.choice(((1, 1), (1, 5000), (5000, 1), (3000, 3000), (7, 11)))
    image = Image.new(mode, size)
    path = _some_image(data, rng)
    with suppress(OSError, ValueError, KeyError):
        path.unlink()
        image.save(path, rng.choice(_FORMATS))


def declared_size(data: Path, rng: random.Random) -> None:
    """Write an image whose header declares far more pixels than it has."""
    width, height = rng.choice(((2**31 - 1, 2**31 - 1), (100_000, 100_000), (9000, 9000), (0, 0), (2**31 - 1, 1)))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path = _some_image(data, rng)
    path.unlink()
    path.write_bytes(content)


def odd_name(data: Path, rng: random.Random) -> None:
    """Give an image or a class a name that would move a terminal's cursor."""
    path = _some_image(data, rng)
    path = path if rng.random() < 0.5 else path.parent
    path.rename(path.with_name(os.fsdecode(os.fsencode(rng.choice(_NAMES)))))


def no_image(data: Path, rng: random.Random) -> None:
    """Put something that is no regular file where an image or a class is expected."""
    path = _some_image(data, rng)
    kind = rng.randrange(6)
    if kind < 3:
        path.unlink()
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(rng.choice(("/dev/zero", "/nowhere", path.name, "/dev/stdin")))
    elif kind == 2:
        path.mkdir()
    elif kind == 3:
        path.parent.joinpath("loop").symlink_to("..")
    elif kind == 4:
        shutil.rmtree(path.parent)
        path.parent.write_bytes(b"x")
    else:
        deep = path.parent
        with suppress(OSError):
            for _ in range(rng.choice((50, 400))):
                deep = deep / "dddddddd"
                deep.mkdir()


def odd_list(data: Path, rng: random.Random) -> None:
    """Spoil the list of groups."""
    path = data / "groups.csv"
    if not path.is_file():  # by an earlier mutation
        return
    text = path.read_text(errors="replace")
    path.unlink()
    content = rng.choice((
        "path,group,group\n", "path\n", "", "\x00", 'path,group\n"a/0.png', text * 2, text.replace(",", ";"),
        text + "a/0.png", text.replace("g1", "\u202e"), "path,group\n" + "x" * 500_000 + ",1\n",
        "path,group\n\x1b[2J,\x1b]0;x\x07\n",
    ))  # fmt: skip
    kind = rng.randrange(5)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to("/dev/zero")
    elif kind == 2:
        path.write_bytes(text.encode("utf-16"))
    else:
        path.write_text(content)


def _encoded(rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_pixels(rng, 9, 8, 3)).save(buffer, rng.choice(_FORMATS[:7]))
    return buffer.getvalue()


# --- archives ---------------------------------------------------------------------------------------------------------


def damaged_archive(data: Path, rng: random.Random) -> None:
    """Cut an archive short, or flip bits of it."""
    path = _some_archive(data, rng)
    content = bytearray(path.read_bytes())
    for _ in range(rng.randrange(1, 20) * bool(content)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.3 else content)


def odd_member(data: Path, rng: random.Random) -> None:
    """Replace an array of an archive by one of another type, shape or header, or by objects."""
    path = _some_archive(data, rng)
    members: dict[str, bytes] = {}
    with suppress(zipfile.BadZipFile, zlib.error, OSError), zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice([*members, "x.npy"])
    buffer = io.BytesIO()
    kind = rng.randrange(8)
    if kind == 0:
        np.save(buffer, np.array([Payload()], dtype=object), allow_pickle=True)
    elif kind == 1:
        buffer.write(pickle.dumps(Payload()))
    elif kind == 2:
        np.save(buffer, np.zeros((9,) * rng.randint(0, 5), dtype=rng.choice(("u1", "f8", "i8", "?", "U5", "M8[s]"))))
    elif kind == 3:
        np.save(buffer, np.array(["\x1b[2J", "a\nb", "a"] * 3))
    elif kind == 4:
        np.save(buffer, np.array([-1, 2**62, 0] * 3))
    elif kind == 5:
        text = json.dumps({"x": "[" * 5000}).encode()
        buffer.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
    elif kind == 6:
        shape = rng.choice(
            ("(1000000000000, 8, 8, 3)", "(-9, 8, 8, 3)", "(9, 8, 8, 10**9)", "()", "(" * 200 + ")" * 200)
        )
        text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
        buffer.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(999))
    if kind == 7:
        members.pop(name, None)
    else:
        members[name] = buffer.getvalue()
    with zipfile.ZipFile(path, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def bomb(data: Path, rng: random.Random) -> None:
    """Let a small archive declare gigabytes of zeros."""
    path = _some_archive(data, rng)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_2_0(
            file, {"descr": "|u1", "fortran_order": rng.random() < 0.5, "shape": (2000, 100, 100, 3)}
        )
        for _ in range(60):
            file.write(bytes(1_000_000))


def no_archive(data: Path, rng: random.Random) -> None:
    """Put something that is no regular file where an archive is expected."""
    path = _some_archive(data, rng)
    path.unlink()
    kind = rng.randrange(5)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(rng.choice(("/dev/zero", "/nowhere", path.name)))
    elif kind == 2:
        path.mkdir()
    elif kind == 3:
        path.write_bytes(b"")
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)


def _some_archive(data: Path, rng: random.Random) -> Path:
    """Return one that an earlier mutation has not made something else: a pipe would be waited for."""
    archives = [data / f"{name}.npz" for name in ("source", "train", "test")]
    archives = [path for path in archives if path.is_file() and path.stat().st_size < 1 << 24]
    if not archives:
        raise FileNotFoundError
    return rng.choice(archives)


_FOLDERS: tuple[Mutation, ...] = (
    damaged_image, damaged_image, odd_image, declared_size, odd_name, no_image, odd_list,
)  # fmt: skip
_ARCHIVES: tuple[Mutation, ...] = (damaged_archive, odd_member, odd_member, bomb, no_archive, odd_list)
