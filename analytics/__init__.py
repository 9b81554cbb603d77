"""Questions about the results: SQL, plots, the dashboard, verification; and DataFrames in three lines.

    from windrow import connect

    results = connect("dev", region="eu-central-1")
    frame = results.fleet("-2h")

Columns have the dtypes listed in analytics.result. Rows of windows are indexed by the start of the window, in UTC.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analytics.library import Windrow
    from windrow import connect

__all__ = ["Windrow", "connect"]


if not TYPE_CHECKING:  # a type checker that saw it would accept any name

    def __getattr__(name: str) -> object:
        """Import the library when it is first used, so that commands which need no pandas start fast."""
        if name not in __all__:
            raise AttributeError(f"module 'analytics' has no attribute {name!r}")
        import windrow  # noqa: PLC0415

        return getattr(windrow, name)
