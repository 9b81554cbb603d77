"""Watches the buckets at every write for what must never be, not even for a moment."""

import json
from typing import Any

from dispatcher.report import TickReport
from tests.simulation.simulated_lambda import Log
from tests.simulation.simulated_s3 import Answer, Delete, Operation, Put, Refused, S3State
from windrow.lake.layout import AGGREGATES, BOOKMARKS, HELD, MARKERS, PARTIALS, QUARANTINE, UNIONS, WINDOWS


class Monitor:
    """Stands between everybody and S3; `faults` is what it saw."""

    def __init__(self, s3: S3State, *, results: str, lake: str, log: Log) -> None:
        self.faults: list[str] = []
        self.reports: list[TickReport] = []
        self.writes = 0
        self.revisions = 0
        self._results = results
        self._lake = lake
        self._log = log
        self._lineages: dict[str, dict[str, Any]] = {}
        self._s3 = s3
        self._apply = s3.apply
        s3.apply = self._watch  # type: ignore[method-assign]

    def _watch(self, operation: Operation) -> Answer:
        answer = self._apply(operation)
        if isinstance(operation, Put) and not isinstance(answer, Refused):
            self.writes += 1
            self._put(operation)
        elif isinstance(operation, Delete):
            self.writes += 1
            self._log("lake" if operation.bucket == self._lake else "results", "d", f"deleted {operation.key}")
        return answer

    def _put(self, put: Put) -> None:
        if put.bucket == self._lake:
            symbol = {PARTIALS: "p", MARKERS: "m", QUARANTINE: "q", BOOKMARKS: "b", UNIONS: "u", HELD: "h"}.get(
                put.key.partition("/")[0] + "/", "?"
            )
            self._log("lake", symbol, put.key)
            # A bookmark holds no reading, and is the one object of the lake that changes. A range of a united set is
            # written over what may be damaged under its name.
            if not put.if_absent and not put.key.startswith((BOOKMARKS, UNIONS, HELD)):
                self.faults.append(f"{put.key} was written without If-None-Match")
        elif put.bucket == self._results and put.key.startswith(WINDOWS):
            self._lineage(put)
        elif put.bucket == self._results:
            self._log("results", "r", f"{put.key} ({len(put.body)} bytes)")
            if put.key.startswith(AGGREGATES) and not put.if_absent and put.if_match is None:
                self.faults.append(f"{put.key} was written unconditionally")

    def _lineage(self, put: Put) -> None:
        lineage = json.loads(put.body)
        before = self._lineages.get(put.key)
        self._lineages[put.key] = lineage
        told = f"revision {lineage['revision']}, {lineage['readings']} readings of {lineage['partials']} partials"
        if lineage["readings"]:
            self._log("results", "l", f"{put.key}: {told}")
        if before is None:
            self.faults += [f"{put.key}: the first revision is {lineage['revision']}"] * (lineage["revision"] != 1)
            return
        is_same = before["rows_sha256"] == lineage["rows_sha256"]
        if lineage["revision"] != before["revision"] + (not is_same):
            said = "the same rows" if is_same else "other rows"
            self.faults.append(f"{put.key}: {said}, revision {before['revision']} became {lineage['revision']}")
        if lineage["readings"] < before["readings"] or set(before["digests"]) - set(lineage["digests"]):
            self.faults.append(f"{put.key}: shrank from {before['readings']} to {lineage['readings']} readings")
        if before["is_final"] and not lineage["is_final"]:
            self.faults.append(f"{put.key}: is no longer final")
        self.revisions += not is_same

    def begin(self) -> None:
        """Take the lineages that are there for those that this was told of."""
        stored = self._s3.buckets.get(self._results, {})
        self._lineages = {key: json.loads(one.body) for key, one in stored.items() if key.startswith(WINDOWS)}

    def forget(self, key: str) -> None:
        """Somebody deleted this lineage: its history begins anew."""
        self._lineages.pop(key, None)
