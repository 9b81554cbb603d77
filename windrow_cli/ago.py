"""How long ago, or in how long, in the words of people."""

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def ago(instant_ms: int, *, now_ms: int) -> str:
    """Return `instant_ms` as seen from `now_ms`, such as "3 min ago", "in 2 h" or "now"; rounded down."""
    length_ms = abs(now_ms - instant_ms)
    for unit, unit_ms in _UNITS:
        if length_ms >= unit_ms:
            spelled = f"{length_ms // unit_ms:,} {unit}"
            return f"{spelled} ago" if instant_ms < now_ms else f"in {spelled}"
    return "now"
