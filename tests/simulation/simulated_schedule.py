"""The EventBridge rule that ticks the dispatcher.

Semantics, after the EventBridge user guide ("Creating a rule that runs on a schedule"; troubleshooting: "My rule ran
late", "my rule was triggered more than once"): a precision of one minute, at least once, now and then not at all; the
function is invoked asynchronously, so two runs may overlap, and the event carries the scheduled time.
"""

import json

from tests.simulation.faults import Chance
from tests.simulation.process import Process
from tests.simulation.simulated_lambda import Function, Log
from tests.simulation.virtual_time import Task, VirtualTime
from windrow.timestamps import format_rfc3339

PERIOD_MS = 300_000
OFFSET_MS = 120_000
LATE_MS_MAX = 1_800_000
PRECISION_MS = 60_000
DOUBLE_MS_MAX = 3_000
"""Doubles that overlap are worse than doubles that follow."""


class Schedule:
    """cron(2/5 * * * ? *): two minutes past every fifth minute, of UTC."""

    def __init__(self, function: Function, *, time: VirtualTime, chance: Chance, log: Log) -> None:
        self.runs = 0
        self._function = function
        self._time = time
        self._chance = chance
        self._log = log

    def next_ms(self, after_ms: int) -> int:
        """The first scheduled time after `after_ms`."""
        return (after_ms - OFFSET_MS) // PERIOD_MS * PERIOD_MS + PERIOD_MS + OFFSET_MS

    def run(self, until_ms: int) -> None:
        """Fire until `until_ms`, each time as late, as often and as reliably as chance has it; a task's work."""
        scheduled_ms = self.next_ms(self._time.now_ms)
        while scheduled_ms <= until_ms:
            self._time.sleep(max(0, scheduled_ms - self._time.now_ms))
            if not self._chance.happens("tick_missed"):
                late_ms = LATE_MS_MAX if self._chance.happens("tick_late") else PRECISION_MS
                late_ms = self._chance.random.randint(0, late_ms)
                self.fire(scheduled_ms, late_ms=late_ms)
                if self._chance.happens("tick_doubled"):
                    self.fire(scheduled_ms, late_ms=late_ms + self._chance.random.randint(0, DOUBLE_MS_MAX))
            else:
                self._log("tick", "-", f"{format_rfc3339(scheduled_ms)} missed")
            scheduled_ms += PERIOD_MS

    def fire(self, scheduled_ms: int, *, late_ms: int = 0) -> Task:
        """Invoke the function once for this scheduled time, `late_ms` from now; the task that does so."""
        event = json.dumps({"source": "aws.events", "time": format_rfc3339(scheduled_ms), "detail": {}}).encode()

        def run() -> None:
            self._time.sleep(late_ms)
            self.runs += 1
            returned = self._function.invoke(event)
            if returned.error:
                self._log("tick", "x", f"{format_rfc3339(scheduled_ms)}: {returned.error}")

        return self._time.spawn("schedule", run, Process(self._time, "schedule"))
