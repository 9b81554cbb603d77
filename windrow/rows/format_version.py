"""Versions of what is stored: a release writes one, and reads that and the one before.

So a deployment may change a format while objects of the old one are in flight, and functions may be updated one after
the other. What a release cannot read stays where it is, is reported, and is read by the release that can.
"""


def readable(written: int) -> range:
    """The versions that a release reads which writes version ``written``; they count from 1."""
    return range(max(1, written - 1), written + 1)


def check_readable(found: object, *, written: int) -> None:
    """ValueError unless a release that writes version ``written`` reads version ``found``."""
    versions = readable(written)
    if type(found) is not int or found not in versions:
        raise ValueError(f"format {found!r}, this version reads {' and '.join(map(str, versions))}")
