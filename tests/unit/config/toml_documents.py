"""TOML documents for hypothesis: every way of writing that TOML 1.0 has, with comments and blanks anywhere."""

import json
from typing import Any

from hypothesis import strategies as st

_BARE = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
_TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=8)
_NAMES = st.one_of(_BARE, _TEXT, st.sampled_from(["a.b", "#", "=", "[x]", '"', "'", "\t", "é", "漢字", ""]))
_SCALARS = st.sampled_from(
    [
        "1", "-7", "0x_f".replace("_", ""), "1_000", "+0.5e-3", "inf", "-nan", "true", "false", "1979-05-27T07:32:00Z",
        "1979-05-27 07:32:00.5", "07:32:00", "1979-05-27", "''", '""', "'a # b'", '"[x] = {"', '"\\"#\\u00e9\\n"',
        '"""\na "" b\n# c\n\\"" ]"""', "'''\nx '' ]\n'''", '"""a"""""', "'''''a'''''", '"""\\\n   b"""', "'C:\\x'",
    ]
)  # fmt: skip
_BLANK = st.sampled_from(["", " ", "\t", "  "])
_GAP = st.sampled_from(["", " ", "\n", " # , ] } = \n", "\n\n  # 'x\n"])
_LINE_END = st.sampled_from(["\n", "  \n", " # [a] = '''\n", "\n\n", '#"\n\n\t'])


@st.composite
def keys(draw: st.DrawFn, name: str) -> str:
    forms = [json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")]
    if name and all(char.isascii() and (char.isalnum() or char in "_-") for char in name):
        forms.append(name)
    if "'" not in name and name.isprintable():
        forms.append(f"'{name}'")
    return draw(st.sampled_from(forms))


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> str:
    shape = draw(st.sampled_from(["scalar", "scalar", "list", "table"])) if depth < 3 else "scalar"
    if shape == "list":
        items = draw(st.lists(values(depth + 1), max_size=3))
        parts = [draw(_GAP) + item + draw(_GAP) for item in items]
        comma = "," + draw(_GAP) if items and draw(st.booleans()) else draw(_GAP)
        return f"[{','.join(parts)}{comma}]"
    if shape == "table":
        names = draw(st.lists(_NAMES, max_size=3, unique=True))
        pairs = [draw(pair(name, depth + 1)) for name in names]
        return "{" + draw(_BLANK) + ",".join(pairs) + draw(_BLANK) + "}"
    return draw(_SCALARS)


@st.composite
def pair(draw: st.DrawFn, name: str, depth: int = 0) -> str:
    """Return `key = value`, the key sometimes dotted."""
    names = [name, *draw(st.lists(_NAMES, max_size=2))] if draw(st.booleans()) else [name]
    dotted = f"{draw(_BLANK)}.{draw(_BLANK)}".join([draw(keys(part)) for part in names])
    return f"{draw(_BLANK)}{dotted}{draw(_BLANK)}={draw(_BLANK)}{draw(values(depth))}{draw(_BLANK)}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Return a valid document: pairs, then sections and lists of sections, some with sections inside."""
    names = draw(st.lists(_NAMES, max_size=6, unique=True))
    cut = draw(st.integers(0, len(names)))
    text = draw(_LINE_END) + "".join(draw(pair(name)) + draw(_LINE_END) for name in names[:cut])
    for name in names[cut:]:
        is_list = draw(st.booleans())
        for _ in range(draw(st.integers(1, 3)) if is_list else 1):
            text += draw(_section([name], is_list))
            if draw(st.booleans()):
                text += draw(_section([name, draw(_NAMES) + "~"], draw(st.booleans())))
    return text


@st.composite
def _section(draw: st.DrawFn, path: list[str], is_list: bool) -> str:
    dotted = f"{draw(_BLANK)}.{draw(_BLANK)}".join([draw(keys(part)) for part in path])
    opening, closing = ("[[", "]]") if is_list else ("[", "]")
    inner = draw(st.lists(_NAMES.filter(lambda name: not name.endswith("~")), max_size=3, unique=True))
    lines = [draw(pair(name)) + draw(_LINE_END) for name in inner]
    return f"{draw(_BLANK)}{opening}{draw(_BLANK)}{dotted}{draw(_BLANK)}{closing}{draw(_LINE_END)}" + "".join(lines)


def paths(value: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of everything inside a document."""
    steps = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    found: list[tuple[str | int, ...]] = []
    for step, inner in steps:
        found += [(*prefix, step), *paths(inner, (*prefix, step))]
    return found
