"""Names and small tables in a given number of cells.

Widths are terminal cells, not characters: a CJK letter takes two. `fit` is the only way a name gets into a table.
"""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from tui_influence.text import printable


def plain(text: str, ascii: bool) -> str:
    r"""Return `text` as it may be shown; with `ascii`, other characters as escapes (`\u4e2d`)."""
    safe = printable(text)
    if not ascii:
        return safe
    return safe.replace("…", "...").encode("ascii", "backslashreplace").decode("ascii")


def fit(text: str, cells: int, *, ellipsis: str = "…", right: bool = False) -> str:
    """Return `text` in exactly `cells` cells: padded, or cut with an ellipsis."""
    text = cut(text, cells, ellipsis)
    padding = " " * (cells - cell_len(text))
    return padding + text if right else text + padding


def cut(text: str, cells: int, ellipsis: str = "…") -> str:
    """Return `text` in at most `cells` cells, with an ellipsis if that is not all of it."""
    # A letter may carry marks that take no cell; a few are writing, a thousand are not.
    limit = 4 * cells + 8
    if len(text) <= limit and cell_len(text) <= cells:
        return text
    ellipsis = ellipsis[:cells]
    head = text[:limit]
    while head and cell_len(head) > cells - len(ellipsis):
        head = head[:-1]
    return head.rstrip() + ellipsis


def unbroken(parts: Sequence[Text], gap: int) -> Text:
    """Return cells with blanks between them, as a line that is never broken."""
    line = Text(" " * gap).join(parts)
    line.no_wrap, line.overflow = True, "crop"
    return line


def small_table(header: Sequence[Text], rows: Sequence[Sequence[Text]], left: int = 0) -> list[Text]:
    """Return cells as lines that line up: the first `left` columns to the left, the others to the right."""
    widths = [max(row[column].cell_len for row in [header, *rows]) for column in range(len(header))]
    return [
        unbroken(
            [
                Text(fit(cell.plain, width, right=column >= left), style=cell.style)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ],
            gap=2,
        )
        for row in [header, *rows]
    ]
