"""Versions of the stored formats: a release writes one version, and reads it and the one before.

So a deployment may change a format while objects of the old version are in flight, and functions may be updated one
after the other. An object that a release cannot read stays where it is and is reported, for a release that can.
"""


def readable(written: int) -> range:
    """Return the versions that a release reads if it writes version ``written``; versions count from 1."""
    return range(max(1, written - 1), written + 1)


def check_readable(found: object, *, written: int) -> None:
    """Raise ValueError unless a release that writes version ``written`` reads version ``found``."""
    versions = readable(written)
    if type(found) is not int or found not in versions:
        raise ValueError(f"format {found!r}, this release reads {' and '.join(map(str, versions))}")
