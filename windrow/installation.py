"""What is installed: the distribution windrow, or the part of it that gateways need, but never both.

They have modules of the same names in the same folder: the one installed last has overwritten the other, and removing
either breaks what is left.
"""

from pathlib import Path

from windrow.errors import WindrowError

WHOLE = "windrow"
PRODUCER_ONLY = "windrow-producer"
_METADATA = ".dist-info"


def refuse_both(folder: Path | None = None) -> None:
    """Raise WindrowError if both distributions are installed in `folder`, by default where this module is."""
    folder = folder or Path(__file__).resolve().parents[1]
    # The name of a metadata folder is the normalized name, the version, and .dist-info (PyPA, "Recording installed
    # projects"). importlib.metadata would tell the same, at the price of importing a parser of e-mails.
    try:
        names = {found.name.split("-", 1)[0] for found in folder.iterdir() if found.name.endswith(_METADATA)}
    except OSError:  # modules in a zip or in one executable file: nobody has installed two distributions there
        return
    if {WHOLE, PRODUCER_ONLY.replace("-", "_")} <= names:
        raise WindrowError(
            f"{WHOLE} and {PRODUCER_ONLY} are both installed in {folder}, and overwrite each other's files",
            hint=f"remove both, then install one: pip uninstall {WHOLE} {PRODUCER_ONLY}",
        )


def missing_here(name: str) -> ImportError:
    """Return the error for a name of `windrow` whose home is not installed."""
    return ImportError(f"windrow.{name} is in the distribution {WHOLE}, and only {PRODUCER_ONLY} is installed here")
