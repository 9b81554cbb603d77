"""Whether the stream is reachable, and when to try it again if it is not."""

# Between attempts while the stream cannot be reached.
PROBE_SECONDS_MIN = 1.0
PROBE_SECONDS_MAX = 30.0


class Outage:
    """When to try a stream that is away: at gaps that double up to PROBE_SECONDS_MAX. Not thread-safe."""

    def __init__(self, *, is_away: bool, probe_seconds_min: float, now_seconds: float) -> None:
        """Start in or out of an outage; in one, the first attempt is due at once."""
        self.is_away = is_away
        self._probe_seconds_min = self._gap_seconds = probe_seconds_min
        self._probe_at_seconds = now_seconds

    def wait_seconds(self, now_seconds: float) -> float:
        """Return the time until the next attempt; 0 for now."""
        return max(0.0, self._probe_at_seconds - now_seconds)

    def record_failure(self, now_seconds: float) -> None:
        """Begin or go on with an outage, after a failed attempt."""
        self.is_away = True
        self._probe_at_seconds = now_seconds + self._gap_seconds
        self._gap_seconds = min(PROBE_SECONDS_MAX, self._gap_seconds * 2)

    def end(self) -> None:
        """End the outage: the stream has everything."""
        self.is_away, self._gap_seconds = False, self._probe_seconds_min
