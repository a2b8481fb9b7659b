"""Positions of the keys and values of a TOML document.

`tomllib` returns the values of a document without their positions. `locate_keys` walks the same text a second time and
records spans. It gets only text that `tomllib` has accepted, with `\\n` line ends, so it validates nothing: it has to
recognize strings, comments, brackets and keys, and need not interpret values.
"""

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Span = tuple[int, int]
"""Offsets of the first character and of the character after the last."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}", re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]*")
_BLANK = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t\n]|#[^\n]*)*")


@dataclass
class Node:
    """The position of a key, or of an item of a list, and of everything in it.

    `key` is the span of its name (in a header, the name within the brackets), `value` the span of its value, to the
    right of the equals sign. A table that has a header has no `value`; an item of a list has no `key`. What is not in
    the document, but set on the command line, has neither, and `setting`: the option as it was written.
    """

    key: Span | None = None
    value: Span | None = None
    children: dict[str, "Node"] = field(default_factory=dict)
    items: list["Node"] = field(default_factory=list)
    setting: str = ""

    @property
    def start(self) -> int | None:
        """Offset of the key, or else of the value."""
        span = self.key or self.value
        return span[0] if span else None

    @property
    def value_start(self) -> int | None:
        """Offset of the value, or else of the key."""
        span = self.value or self.key
        return span[0] if span else None

    def child(self, step: str | int) -> "Node | None":
        """Return the node one step down, if the document has it."""
        if isinstance(step, str):
            return self.children.get(step)
        return self.items[step] if 0 <= step < len(self.items) else None

    def find(self, path: Sequence[str | int]) -> "Node | None":
        """Return the node at `path`, if the document has it."""
        node: Node | None = self
        for step in path:
            node = node.child(step) if node else None
        return node


def locate_keys(text: str) -> Node:
    """Return the tree of positions of a valid TOML document.

    Args:
        text: text that `tomllib.loads` accepts, with `\\n` line ends.
    """
    return _Scanner(text).document()


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return the line and the column of an offset, both counted from 1, in characters."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = 0

    def document(self) -> Node:
        root = table = Node()
        self.skip_match(_BLANK_LINES)
        while self.offset < len(self.text):
            if self.next_is("["):
                table = self.header(root)
            else:
                self.pair(table)
            self.skip_match(_BLANK_LINES)
        return root

    def header(self, root: Node) -> Node:
        is_list = self.next_is("[[")
        self.offset += 2 if is_list else 1
        *parents, (name, span) = self.dotted_key()
        self.skip_match(_BLANK)
        self.offset += 2 if is_list else 1
        node = self.descend(root, parents)
        node = node.children.setdefault(name, Node())
        if is_list:
            node.key = node.key or span
            node.items.append(Node(key=span))
            return node.items[-1]
        node.key = span
        return node

    def pair(self, table: Node) -> None:
        *parents, (name, span) = self.dotted_key()
        self.skip_match(_BLANK)
        self.offset += 1
        self.skip_match(_BLANK)
        node = self.value()
        node.key = span
        self.descend(table, parents).children[name] = node

    def descend(self, node: Node, names: list[tuple[str, Span]]) -> Node:
        for name, span in names:
            node = node.children.setdefault(name, Node(key=span))
            if node.items:
                node = node.items[-1]
        return node

    def dotted_key(self) -> list[tuple[str, Span]]:
        parts = []
        while True:
            self.skip_match(_BLANK)
            start = self.offset
            pattern = {'"': _BASIC, "'": _LITERAL}.get(self.text[start : start + 1], _BARE)
            self.skip_match(pattern)
            raw = self.text[start : self.offset]
            name = raw if pattern is _BARE else next(iter(tomllib.loads(f"{raw} = 0")))
            parts.append((name, (start, self.offset)))
            self.skip_match(_BLANK)
            if not self.next_is("."):
                return parts
            self.offset += 1

    def value(self) -> Node:
        start = self.offset
        node = Node()
        if self.next_is("["):
            self.read_bracketed("]", lambda: node.items.append(self.value()))
        elif self.next_is("{"):
            self.read_bracketed("}", lambda: self.pair(node))
        else:
            self.scalar()
        node.value = (start, self.offset)
        return node

    def read_bracketed(self, closing: str, read_item: Callable[[], None]) -> None:
        """Read the items between brackets, with commas between them and blank lines and comments anywhere."""
        self.offset += 1
        self.skip_match(_BLANK_LINES)
        while not self.next_is(closing):
            if self.offset >= len(self.text):
                raise ValueError(f"no {closing} at the end")
            read_item()
            self.skip_match(_BLANK_LINES)
            if self.next_is(","):
                self.offset += 1
                self.skip_match(_BLANK_LINES)
        self.offset += 1

    def next_is(self, text: str) -> bool:
        return self.text.startswith(text, self.offset)

    def skip_match(self, pattern: re.Pattern[str]) -> None:
        """Move past the match of a pattern. Text that `tomllib` accepted always matches."""
        match = pattern.match(self.text, self.offset)
        if match is None:
            raise ValueError(f"not TOML at offset {self.offset}")
        self.offset = match.end()

    def scalar(self) -> None:
        for opening, pattern in (('"""', _LONG_BASIC), ("'''", _LONG_LITERAL), ('"', _BASIC), ("'", _LITERAL)):
            if self.next_is(opening):
                self.skip_match(pattern)
                return
        start = self.offset
        self.skip_match(_SCALAR)
        self.offset = start + len(self.text[start : self.offset].rstrip(" \t"))
