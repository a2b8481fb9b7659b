"""Tables of a result: named columns of plain values, and facts about the whole. Every file format is made from them.

The formats: CSV (`export.csv`), data frames and Parquet (`export.data_frame`), HTML, Markdown and LaTeX
(`export.markup`). Importing this loads no library.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

Value = str | int | float | bool | None
"""Text as it is, a number (NaN where it is unknown), or None where a cell is empty."""
Fact = tuple[str, str | int]
"""A key and a value that describe a table."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class ResultTable:
    """A table.

    Attributes:
        facts: that describe it: the run, its question, the meaning of its numbers.
        columns: their names.
        rows: of one value for each column.
    """

    facts: tuple[Fact, ...]
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Value]]

    def facts_json(self) -> str:
        """Return the facts as one JSON object, indented, with a final line end; a lone surrogate is the text `\\udcff`.

        Strict parsers reject lone surrogates, which come from file names that are not UTF-8.
        """
        facts = {key: without_surrogates(value) if isinstance(value, str) else value for key, value in self.facts}
        return json.dumps(facts, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def without_surrogates(text: str) -> str:
    r"""Return `text` as valid Unicode: a lone surrogate becomes its escape, such as `\udcff`."""
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
