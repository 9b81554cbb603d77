"""Whether the stream is away, and when to try it again."""

# Between attempts while the stream is away.
PROBE_SECONDS_MIN = 1.0
PROBE_SECONDS_MAX = 30.0


class Absence:
    """Attempts at gaps that double, up to PROBE_SECONDS_MAX, for as long as the stream is away. Not thread-safe."""

    def __init__(self, *, is_away: bool, probe_seconds_min: float, now_seconds: float) -> None:
        """Away from the start, the stream is to be tried at once."""
        self.is_away = is_away
        self._probe_seconds_min = self._gap_seconds = probe_seconds_min
        self._probe_at_seconds = now_seconds

    def wait_seconds(self, now_seconds: float) -> float:
        """Until the next attempt; 0 for now."""
        return max(0.0, self._probe_at_seconds - now_seconds)

    def go_on(self, now_seconds: float) -> None:
        """An attempt failed, the first one or a later one."""
        self.is_away = True
        self._probe_at_seconds = now_seconds + self._gap_seconds
        self._gap_seconds = min(PROBE_SECONDS_MAX, self._gap_seconds * 2)

    def end(self) -> None:
        """The stream is back, and has everything."""
        self.is_away, self._gap_seconds = False, self._probe_seconds_min
