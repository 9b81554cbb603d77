"""Read Parquet with fastparquet, and print the rows as JSON; run by a Python that has it.

python fastparquet_read.py FILE...     prints a line a file: its rows, or an object with the `error`

This module imports nothing of windrow.
"""

import datetime
import decimal
import json
import sys
from typing import Any


def main(paths: list[str]) -> None:
    """Print the rows of each file."""
    import fastparquet  # noqa: PLC0415 - the test, which names this file, has none

    for path in paths:
        try:
            frame = fastparquet.ParquetFile(path).to_pandas()
            found: Any = [
                {name: plain(value) for name, value in zip(frame.columns, row, strict=True)}
                for row in frame.itertuples(index=False, name=None)
            ]
        except Exception as error:  # noqa: BLE001 - what it cannot read is what is asked
            found = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(found) + "\n")


def plain(value: Any) -> Any:
    """Return what JSON has no type for as text, and numpy's types as Python's."""
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


if __name__ == "__main__":
    main(sys.argv[1:])
