"""Tables as data frames of pandas, polars and pyarrow, and as Parquet; each library is imported only for its own.

The only importer of these libraries, which are extras. Names are as they are, but for lone surrogates, which are not
valid Unicode. A number that is unknown is NaN in pandas and null in the others, as an empty cell is.
"""

from importlib import import_module
from io import BytesIO
from math import isnan
from typing import TYPE_CHECKING, Any

from tui_influence.errors import ConfigError
from tui_influence.export.result_table import ResultTable, Value, without_surrogates

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

FACTS_KEY = "tinfl"
"""Key of the facts in the metadata of an Arrow schema and of a Parquet file: a JSON object."""
_PACKAGES = {"pyarrow": "'tui-influence[parquet]'", "pyarrow.parquet": "'tui-influence[parquet]'"}
"""What pip is to install for a library, where that is not called like it."""


class MissingLibraryError(ConfigError, ImportError):
    """A library is not installed that a format needs."""


def pandas_frame(table: ResultTable) -> "pandas.DataFrame":
    """Return a table as a data frame of pandas, with the facts as its `attrs`.

    Raises:
        MissingLibraryError: pandas is not installed.
    """
    frame: pandas.DataFrame = _library("pandas", "a pandas data frame").DataFrame(_columns(table))
    frame.attrs.update(table.facts)
    return frame


def polars_frame(table: ResultTable) -> "polars.DataFrame":
    """Return a table as a data frame of polars.

    Raises:
        MissingLibraryError: polars is not installed.
    """
    library, columns = _library("polars", "a polars data frame"), _columns(table)
    types = {name: library.Float64 for name, values in columns.items() if _holds_floats(values)}
    known = {name: _without_nan(values) for name, values in columns.items()}
    frame: polars.DataFrame = library.DataFrame(known, schema_overrides=types)
    return frame


def arrow_table(table: ResultTable) -> "pyarrow.Table":
    """Return a table as one of pyarrow, with the facts in the metadata of its schema.

    Raises:
        MissingLibraryError: pyarrow is not installed.
    """
    arrow = _library("pyarrow", "an Arrow table")
    columns = {
        name: arrow.array(_without_nan(values), arrow.float64() if _holds_floats(values) else None)
        for name, values in _columns(table).items()
    }
    converted: pyarrow.Table = arrow.table(columns, metadata={FACTS_KEY: table.facts_json()})
    return converted


def parquet_bytes(table: ResultTable) -> bytes:
    """Return a table as the content of a Parquet file, with the facts in its metadata.

    Raises:
        MissingLibraryError: pyarrow is not installed.
    """
    parquet = _library("pyarrow.parquet", "Parquet")
    content = BytesIO()
    parquet.write_table(arrow_table(table), content)
    return content.getvalue()


def _columns(table: ResultTable) -> dict[str, list[Value]]:
    """Return the values of each column by its name; text is valid Unicode."""
    return {name: [_valid(row[index]) for row in table.rows] for index, name in enumerate(table.columns)}


def _valid(value: Value) -> Value:
    return without_surrogates(value) if isinstance(value, str) else value


def _holds_floats(values: list[Value]) -> bool:
    return any(isinstance(value, float) for value in values)


def _without_nan(values: list[Value]) -> list[Value]:
    return [None if isinstance(value, float) and isnan(value) else value for value in values]


def _library(name: str, purpose: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise MissingLibraryError(
            f"{purpose} needs {package}, which cannot be imported ({error}); pip install {_PACKAGES.get(name, package)}"
        ) from error
