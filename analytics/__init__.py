"""Answers from the results: SQL, tables, plots, verification; and, as a library, DataFrames in three lines.

    from windrow import connect

    windrow = connect("dev", region="eu-central-1")
    frame = windrow.fleet("-2h")

Every column comes in a proper dtype (see analytics.result); rows of windows are indexed by their start, in UTC.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analytics.library import Windrow, connect

__all__ = ["Windrow", "connect"]


def __getattr__(name: str) -> Any:
    """The library, imported when it is used: the command's other parts do without pandas and boto3."""
    if name not in __all__:
        raise AttributeError(f"module 'analytics' has no attribute {name!r}")
    from analytics import library  # noqa: PLC0415

    return getattr(library, name)
