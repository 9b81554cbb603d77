"""Plots of results, drawn by matplotlib, which is an optional extra (`pip install "windrow[plot]"`).

Rows with a time become lines, temperatures with bands of percentiles. Rows with a unique label become bars.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from windrow.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg")
LINES_MAX = 12
BARS_MAX = 40
PANELS_MAX = 6
# From outer to inner; a band is drawn if the result has both columns.
_BANDS = (("min_c", "max_c", 0.12), ("p05_c", "p95_c", 0.18), ("p25_c", "p75_c", 0.28))
_CENTRES = ("mean_c", "p50_c", "last_c")
_COLOUR = "#2563eb"


def plot_path(text: str) -> Path:
    """Return the path that `--plot` names; UsageError if nothing can be drawn to it."""
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot {text!r} is not a PNG or SVG file", hint="use a name that ends in .png or .svg")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--plot {text!r}: there is no folder {path.parent}", hint="create it, or name another file")
    try:
        import matplotlib  # noqa: F401, PLC0415 - only to see whether it is installed
    except ImportError as error:
        raise UsageError("--plot needs matplotlib", hint='run: pip install "windrow[plot]"') from error
    return path


def plot(frame: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draw `frame` to `path`; UsageError if it has no numbers."""
    from matplotlib import rc_context  # noqa: PLC0415 - optional, and slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    numbers = [str(name) for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name].dtype)]
    numbers = [name for name in numbers if str(frame[name].dtype) != "boolean"]
    if not numbers or frame.empty:
        raise UsageError("the result has nothing to draw", hint="select numbers, with a time or a name beside them")
    with rc_context({"svg.hashsalt": "windrow", "svg.fonttype": "none", "axes.axisbelow": True}):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        label = _label_of(frame)
        time = next((str(name) for name in frame.columns if str(frame[name].dtype) == "datetime64[ms, UTC]"), None)
        if label is not None and frame[label].is_unique and len(frame) > 1:
            _bars(figure.subplots(), frame.head(BARS_MAX), label, numbers)
        elif time is not None:
            _over_time(figure, frame, time, label, numbers)
        else:
            _bars(figure.subplots(), frame.head(BARS_MAX), label, numbers)
        figure.suptitle(title, fontsize=11)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}  # the same rows give the same file
        figure.savefig(path, dpi=120, metadata=metadata)


def _label_of(frame: pd.DataFrame) -> str | None:
    return next((str(name) for name in frame.columns if str(frame[name].dtype) == "str"), None)


def _over_time(figure: Any, frame: pd.DataFrame, time: str, label: str | None, numbers: Sequence[str]) -> None:
    """Draw all temperatures in one panel with bands, and every other number in a panel of its own below."""
    celsius = [name for name in numbers if name.endswith("_c")]
    others = [name for name in numbers if name not in celsius and name not in {"hour", "place"}]
    panels: list[list[str]] = ([celsius] if celsius else []) + [[name] for name in others]
    panels = panels[:1] if celsius and label is None and len(celsius) > 2 else panels[:PANELS_MAX]
    figure.set_size_inches(9, 2.2 + 2.3 * len(panels))
    drawn = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, names in zip(drawn, panels, strict=True):
        if label is not None:
            _line_per_label(axes, frame, time, label, names)
        elif len(names) > 1:
            _bands(axes, frame, time, names)
        else:
            axes.plot(frame[time], _floats(frame[names[0]]), color=_COLOUR, marker=".", markersize=4)
            axes.set_ylim(bottom=min(0, float(_floats(frame[names[0]]).min())))
        axes.set_ylabel("°C" if names[0].endswith("_c") else names[0].replace("_", " "))
        axes.grid(visible=True, alpha=0.25)
    drawn[-1].set_xlabel("UTC")


def _bands(axes: "Axes", frame: pd.DataFrame, time: str, names: Sequence[str]) -> None:
    instants = frame[time].to_numpy()
    for low, high, alpha in _BANDS:
        if low in names and high in names:
            label = f"{low.removesuffix('_c')} to {high.removesuffix('_c')}"
            lower, upper = _floats(frame[low]).to_numpy(), _floats(frame[high]).to_numpy()
            axes.fill_between(instants, lower, upper, color=_COLOUR, alpha=alpha, linewidth=0, label=label)
    centres = [name for name in _CENTRES if name in names] or list(names)
    for name in centres[:1] if centres[0] in _CENTRES else centres:
        axes.plot(frame[time], _floats(frame[name]), marker=".", markersize=4, label=name.removesuffix("_c"))
    axes.legend(loc="best", fontsize=8, framealpha=0.6)


def _line_per_label(axes: "Axes", frame: pd.DataFrame, time: str, label: str, names: Sequence[str]) -> None:
    """Draw one line for each of the first LINES_MAX labels, of the most telling number."""
    name = next((centre for centre in _CENTRES if centre in names), names[0])
    things = list(dict.fromkeys(frame[label]))
    for thing in things[:LINES_MAX]:
        rows = frame[frame[label] == thing]
        axes.plot(rows[time], _floats(rows[name]), linewidth=1, label=str(thing).replace("$", r"\$"))
    title = name if len(things) <= LINES_MAX else f"{name}, {LINES_MAX} of {len(things):,}"
    axes.legend(loc="best", fontsize=7, framealpha=0.6, title=title, title_fontsize=8)


def _bars(axes: "Axes", frame: pd.DataFrame, label: str | None, numbers: Sequence[str]) -> None:
    """Draw a bar per row, the first at the top."""
    useful = [name for name in numbers if name not in {"place", "hour"}] or list(numbers)
    name = next((name for name in useful if name.endswith("_c")), useful[0])
    places = range(len(frame))
    values = _floats(frame[name])
    axes.barh(places, values, color=_COLOUR)
    texts = [str(text).replace("$", r"\$") for text in frame[label]] if label else [str(place + 1) for place in places]
    axes.set_yticks(places, texts, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"{name.removesuffix('_c')}, °C" if name.endswith("_c") else name.replace("_", " "))
    axes.grid(visible=True, axis="x", alpha=0.25)


def _floats(column: "pd.Series[Any]") -> "pd.Series[float]":
    return column.astype("float64")
