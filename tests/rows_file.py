"""The rows of a window as the bytes of one object, for tests and benches that need no file."""

import io

from windrow.rows.rollup import Rollup
from windrow.rows.rollup_parquet import write_rows


def encode_rollup(rollup: Rollup) -> bytes:
    """Return the Parquet bytes of `rollup`; the same rows give the same bytes with one version of arro3."""
    body = io.BytesIO()
    write_rows(rollup.start_ms, [rollup], body)
    return body.getvalue()
