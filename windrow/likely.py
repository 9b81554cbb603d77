"""Names that somebody may have meant, among those that there are."""

from collections.abc import Collection

LIKELY_MAX = 3
ALIKE_MIN = 0.6
"""The least similarity, of difflib's 0 to 1, at which a name is suggested."""


def likely(wanted: str, known: Collection[str]) -> list[str]:
    """Return at most LIKELY_MAX of the `known` names, the likeliest first: `wanted` in another case, or a part of it.

    If there are none, those that are written alike.
    """
    folded = wanted.casefold()
    inside = [name for name in known if folded and folded in name.casefold()]
    if inside:
        return sorted(inside, key=lambda name: (len(name), name))[:LIKELY_MAX]
    import difflib  # noqa: PLC0415 - only where something is misspelled

    by_folded = {name.casefold(): name for name in sorted(known)}
    alike = difflib.get_close_matches(folded, by_folded, n=LIKELY_MAX, cutoff=ALIKE_MIN)
    return [by_folded[name] for name in alike]


def did_you_mean(names: Collection[str]) -> str:
    """Return the question whether one of `names` was meant, the likeliest first; empty if there are none."""
    return f"did you mean {' or '.join(names)}?" if names else ""


def suggestion(wanted: str, known: Collection[str]) -> str:
    """Return what may have been meant among the `known` names; all of them if nothing is like it."""
    return did_you_mean(likely(wanted, known)) or f"one of: {', '.join(known)}"
