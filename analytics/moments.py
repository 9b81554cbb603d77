"""Moments as Python programs have them, for the ends of a range: text, datetimes, pandas' and numpy's timestamps."""

import datetime

import numpy as np
import pandas as pd

from windrow.errors import UsageError
from windrow.timestamps import format_rfc3339

Moment = str | datetime.datetime | np.datetime64
"""An instant. A pandas Timestamp is a datetime; numpy's datetime64 is in UTC; text as in a query: RFC 3339, "-2h"."""


def moment_text(moment: Moment | None, *, name: str) -> str | None:
    """Return `moment` as RFC 3339, rounded up to the millisecond, which selects the same windows; text as it is.

    UsageError naming the argument if it has no time zone, is missing (NaT), or is no moment.
    """
    if moment is None or isinstance(moment, str):
        return moment
    if not isinstance(moment, (datetime.datetime, np.datetime64)):
        raise UsageError(
            f"{name} is a {type(moment).__name__}, not a time", hint='give a datetime with a time zone, or text: "-2h"'
        )
    stamp = pd.Timestamp(moment)
    if pd.isna(stamp):
        raise UsageError(f"{name} is NaT, not a time", hint="leave it out, or give a time")
    if isinstance(moment, np.datetime64):
        stamp = stamp.tz_localize("UTC")
    if stamp.tzinfo is None:
        raise UsageError(
            f"{name} {stamp} has no time zone, so it is not one instant",
            hint='say which: pd.Timestamp(..., tz="UTC"), datetime(..., tzinfo=UTC), or .astimezone() for local time',
        )
    # Not in nanoseconds, as `value` is: they end in 2262.
    microseconds = int(stamp.as_unit("us").asm8.view("i8")) + bool(stamp.nanosecond)
    return format_rfc3339(-(-microseconds // 1_000))
