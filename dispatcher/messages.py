"""What is to be told of excursions, kept in the lake until it was sent.

    kept      under the name of what it says, before the excursions themselves are written
    written   the excursions, by which the next tick knows that there is nothing new to tell
    sent      to the topic of the rule's severity, one message for each rule: once a tick
    deleted

A run that dies after the first step leaves a message, and nobody knows whether its excursions were written. The next
tick sends what agrees with the table, and what it tells more about itself. The rest never stood, as readings that came
in between showed, and would never be taken back: it is withheld for an hour, in which a run that is still under way may
write it after all, and then deleted. A run that dies before the last step leaves a message that is sent twice, under
the same ids. None is lost.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from windrow.lake.layout import excursions_key, message_key
from windrow.lake.store import ObjectStore, PreconditionFailed, StoreError
from windrow.period import DAY_MS, HOUR_MS
from windrow.rules.changes import Change, ChangeKind
from windrow.rules.messages import Message, facts_of, fields_of, message_about
from windrow.rules.rows import ExcursionRow, UnreadableExcursions, decode_excursions
from windrow.rules.rule import Rule, Severity
from windrow.window import Window, windows_between

log = logging.getLogger(__name__)

WAITING_MAX = 256
"""Messages of earlier ticks that a tick reads; the others wait for later ticks."""
TOLD_WITHIN_MS = DAY_MS
"""What ended longer ago was found in history: it is in the table, and nobody is called for it."""


class Teller(Protocol):
    """Sends messages about excursions."""

    def tell(self, message: Message) -> None:
        """Send one message."""


WITHHELD_MS = HOUR_MS
"""How long a change of an earlier tick stays that the table contradicts: longer than any run goes on."""

ExcursionId = tuple[str, str, str, str]
"""What names an excursion of a rule: sensor, quantity, unit, beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A message as the lake has it: changes of one rule, of the windows from `first_ms` to `last_ms`, as JSON has them.

    tick_ms: the tick that kept it.
    """

    rule: str
    severity: str
    first_ms: int
    last_ms: int
    tick_ms: int
    changes: Sequence[Mapping[str, Any]]

    @property
    def key(self) -> str:
        """Where it is kept: the name of what it says."""
        ids = "\n".join(sorted(change["id"] for change in self.changes))
        return message_key(hashlib.blake2b(ids.encode(), digest_size=16).hexdigest())

    @property
    def body(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def windows(self) -> Sequence[Window]:
        return windows_between(self.first_ms, self.last_ms + 1)


@dataclass(slots=True, kw_only=True)
class Messages:
    """The messages of one tick; `waiting` are the keys of those that earlier ticks kept and did not send."""

    lake: ObjectStore
    results: ObjectStore
    teller: Teller | None
    scheduled_time_ms: int
    waiting: Iterable[str] = ()
    failed: list[str] = field(default_factory=list)
    """Why messages were not sent; they wait for the next tick."""
    _own: dict[str, _Kept] = field(default_factory=dict)
    _rows: dict[Window, tuple[ExcursionRow, ...]] = field(default_factory=dict)

    def keep(self, changes: Iterable[Change], rules: Mapping[str, Rule], windows: Sequence[Window]) -> None:
        """Put what is to be told of consecutive windows into the lake, an object for each rule.

        Without a teller nothing is.
        """
        by_rule: dict[str, list[Change]] = {}
        for change in changes:
            if self.teller is not None and change.row.rule in rules and self._is_news(change):
                by_rule.setdefault(change.row.rule, []).append(change)
        for name, of_rule in by_rule.items():
            kept = _Kept(
                rule=name,
                severity=rules[name].severity.value,
                first_ms=windows[0].start_ms,
                last_ms=windows[-1].start_ms,
                tick_ms=self.scheduled_time_ms,
                changes=[fields_of(rules[name], change) for change in of_rule],
            )
            self._put(kept)
            self._own[kept.key] = kept

    def send(self) -> None:
        """Send all that was kept, one message for each rule, and delete it; what fails waits for the next tick."""
        if self.teller is None:
            return
        own_ids = {
            (one.rule, excursion)
            for one in self._own.values()
            for change in one.changes
            for excursion in _excursions_of(change)
        }
        by_rule: dict[tuple[str, str], dict[str, Sequence[Mapping[str, Any]]]] = {}
        for key, one in self._earlier():
            if true := self._true_of(key, one, own_ids):
                by_rule.setdefault((one.rule, one.severity), {})[key] = true
        for key, one in self._own.items():
            by_rule.setdefault((one.rule, one.severity), {})[key] = one.changes
        for (rule, severity), of_rule in by_rule.items():
            told = {change["id"]: change for changes in of_rule.values() for change in changes}
            try:
                self.teller.tell(message_about(rule, Severity(severity), list(told.values())))
                self.lake.delete_all(sorted(of_rule))
            except StoreError as error:
                log.warning("a message of rule %s may be sent again: %s", rule, error)
            except Exception as error:
                log.exception("the message of rule %s was not sent", rule)
                self.failed.append(f"the message of rule {rule} was not sent: {type(error).__name__}: {error}")
        self._own.clear()
        self._rows.clear()

    def _earlier(self) -> Iterator[tuple[str, _Kept]]:
        """Yield the messages of earlier ticks by their keys, oldest first; those that are none are told in `failed`."""
        found: dict[str, _Kept] = {}
        for key in sorted(set(self.waiting) - self._own.keys())[:WAITING_MAX]:
            stored = self.lake.get(key)
            if stored is None:
                continue
            try:
                found[key] = _Kept(**json.loads(stored.body))
            except (ValueError, TypeError):
                log.exception("%s is no message", key)
                self.failed.append(f"{key} is no message")
        yield from sorted(found.items(), key=lambda item: (item[1].tick_ms, item[0]))

    def _true_of(
        self, key: str, one: _Kept, own_ids: Container[tuple[str, ExcursionId]]
    ) -> Sequence[Mapping[str, Any]]:
        """Return the changes of an earlier message that are to be told; what the table contradicts is withheld.

        A change of an excursion among `own_ids`, of which this tick tells what became of it, is told before that.
        """
        standing = self._standing(one)
        true: list[Mapping[str, Any]] = []
        contradicted: list[Mapping[str, Any]] = []
        for change in one.changes:
            excursion = _excursion_of(change)
            is_true = (one.rule, excursion) in own_ids or _agrees(change, standing.get(excursion))
            (true if is_true else contradicted).append(change)
        if contradicted and self.scheduled_time_ms - one.tick_ms > WITHHELD_MS:
            log.warning("%d changes of rule %s never stood and are not told", len(contradicted), one.rule)
            if not true:
                self.lake.delete_all([key])
        elif contradicted and true:
            self._put(dataclasses.replace(one, changes=contradicted))
        return true

    def _standing(self, one: _Kept) -> Mapping[ExcursionId, Mapping[str, Any]]:
        """Return the excursions of the rule in the windows of a message, each as its newest row there has it.

        Rows that cannot be read are worked out and told anew.
        """
        found: dict[ExcursionId, Mapping[str, Any]] = {}
        for window in one.windows:
            for row in self._rows_of(window):
                if row.rule == one.rule and row.has_rung:
                    facts = facts_of(row)
                    found[_excursion_of(facts)] = facts
        return found

    def _rows_of(self, window: Window) -> tuple[ExcursionRow, ...]:
        if window not in self._rows:
            stored = self.results.get(excursions_key(window))
            self._rows[window] = ()
            with suppress(UnreadableExcursions):
                self._rows[window] = decode_excursions(window.start_ms, stored.body) if stored else ()
        return self._rows[window]

    def _put(self, kept: _Kept) -> None:
        with suppress(PreconditionFailed):  # an earlier tick died between this and the next step
            self.lake.put(kept.key, kept.body, if_absent=True)

    def _is_news(self, change: Change) -> bool:
        is_correction = change.kind in (ChangeKind.CORRECTED, ChangeKind.WITHDRAWN)
        return is_correction or change.row.until_ms > self.scheduled_time_ms - TOLD_WITHIN_MS


def _excursion_of(facts: Mapping[str, Any]) -> ExcursionId:
    return facts["sensor_id"], facts["quantity"], facts["unit"], facts["began"]


def _excursions_of(change: Mapping[str, Any]) -> Iterator[ExcursionId]:
    """Yield the excursion that a change is about, and the one that it corrects."""
    yield _excursion_of(change)
    if "before" in change:
        yield _excursion_of(change["before"])


def _agrees(change: Mapping[str, Any], standing: Mapping[str, Any] | None) -> bool:
    """Tell whether a change says what stands; of what lasts only that it does, for its extreme goes on growing."""
    if change["change"] == ChangeKind.WITHDRAWN:
        return standing is None
    if standing is None:
        return False
    if change["ended"] is None or standing["ended"] is None:
        return bool(change["ended"] == standing["ended"])
    return all(change.get(name) == value for name, value in standing.items())
