"""Tables as CSV, for spreadsheets, scripts and `pandas.read_csv`; the facts about them as JSON in a file beside it.

The bytes are the contract (golden files): UTF-8, `\\n` line ends, quotes as RFC 4180 has them, one header line, one
line a row; before them, only on request, the facts as `#` comment lines. A number is the shortest decimal that reads
back as the same float64, so that CSV and JSON agree to the last bit; NaN and infinities are empty cells. Names are
`text.spreadsheet_safe`: no formula, no control character.
"""

import csv
import re
from io import StringIO
from numbers import Integral
from pathlib import Path

from tui_influence.export.files import is_device, write_text_atomically
from tui_influence.export.result_table import ResultTable, Value
from tui_influence.render.numbers import finite
from tui_influence.text import printable, spreadsheet_safe

_LIVE_CELL = re.compile(r"""([,;|])(?=\s*["=+\-@])""")


def csv_text(table: ResultTable, *, comments: bool = False) -> str:
    """Return a table as the text of a CSV file.

    Args:
        table: it.
        comments: whether to begin with `#` lines of its facts; without them the header is the first line.
    """
    out = StringIO()
    if comments:
        out.writelines(f"# {key}: {_commented(str(value))}\n" for key, value in table.facts)
    # A reader that skips `#` comments also looks for them in unquoted cells ("C#" would lose its end).
    plain = csv.writer(out, lineterminator="\n")
    quoted = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(table.columns)
    for row in table.rows:
        cells = [_cell(value) for value in row]
        (quoted if any("#" in cell for cell in cells) else plain).writerow(cells)
    return out.getvalue()


def write_csv(path: Path, table: ResultTable, *, comments: bool = False) -> list[Path]:
    """Write a table as a CSV file, and its facts beside it; a device or pipe gets the table alone.

    Args:
        path: of the CSV file.
        table: it.
        comments: whether the CSV file begins with the facts, too.

    Returns:
        the paths written, the CSV file first.

    Raises:
        ResultsError: a file cannot be written.
    """
    files = {path: csv_text(table, comments=comments)}
    if not is_device(path):
        files[facts_path(path)] = table.facts_json()
    for file, text in files.items():
        write_text_atomically(file, text)
    return list(files)


def facts_path(path: Path) -> Path:
    """Return the path of the facts about the table in a CSV file: `ranking.meta.json` for `ranking.csv`."""
    name = path.name[: -len(".csv")] if path.suffix.lower() == ".csv" else path.name
    return path.with_name(f"{name}.meta.json")


def _commented(text: str) -> str:
    # A spreadsheet knows no comments: it splits them at commas, runs a part that is a formula, and takes one that
    # begins with a quote to go on over the following lines.
    return _LIVE_CELL.sub(r"\1'", printable(text))


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return spreadsheet_safe(value)
    if isinstance(value, Integral):
        return str(value)
    number = finite(value)
    return "" if number is None else repr(number)
