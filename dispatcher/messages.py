"""What is to be told of excursions, kept in the lake until it was sent.

    kept      under the name of what it says, before the excursions themselves are written
    written   the excursions, by which the next tick knows that there is nothing new to tell
    sent      to the topic of the rule's severity, one message for each rule: once a tick
    deleted

A run that dies after the first step leaves a message that the next tick sends. One that dies before the last leaves one
that is sent twice, under the same ids. None is lost.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from windrow.lake.layout import message_key
from windrow.lake.store import ObjectStore, PreconditionFailed, StoreError
from windrow.period import DAY_MS
from windrow.rules.changes import Change, ChangeKind
from windrow.rules.messages import Message, fields_of, message_about
from windrow.rules.rule import Rule, Severity

log = logging.getLogger(__name__)

WAITING_MAX = 256
"""Messages of earlier ticks that a tick reads; the others wait for later ticks."""
TOLD_WITHIN_MS = DAY_MS
"""What ended longer ago was found in history: it is in the table, and nobody is called for it."""


class Teller(Protocol):
    """Sends messages about excursions."""

    def tell(self, message: Message) -> None:
        """Send one message."""


@dataclass(slots=True, kw_only=True)
class Messages:
    """The messages of one tick; `waiting` are the keys of those that earlier ticks kept and did not send."""

    lake: ObjectStore
    teller: Teller | None
    scheduled_time_ms: int
    waiting: Iterable[str] = ()
    failed: list[str] = field(default_factory=list)
    """Why messages were not sent; they wait for the next tick."""
    _kept: dict[str, bytes] = field(default_factory=dict)

    def keep(self, changes: Iterable[Change], rules: Mapping[str, Rule]) -> None:
        """Put what is to be told into the lake, an object for each rule; without a teller nothing is."""
        by_rule: dict[str, list[Change]] = {}
        for change in changes:
            if self.teller is not None and change.row.rule in rules and self._is_news(change):
                by_rule.setdefault(change.row.rule, []).append(change)
        for name, of_rule in by_rule.items():
            told = [fields_of(rules[name], change) for change in of_rule]
            kept = {"rule": name, "severity": rules[name].severity.value, "changes": told}
            ids = "\n".join(sorted(change.change_id for change in of_rule))
            key = message_key(hashlib.blake2b(ids.encode(), digest_size=16).hexdigest())
            body = json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()
            with suppress(PreconditionFailed):  # an earlier tick died between this and the next step
                self.lake.put(key, body, if_absent=True)
            self._kept[key] = body

    def send(self) -> None:
        """Send all that was kept, one message for each rule, and delete it; what fails waits for the next tick."""
        if self.teller is None:
            return
        for key in sorted(set(self.waiting) - self._kept.keys())[:WAITING_MAX]:
            stored = self.lake.get(key)
            if stored is not None:
                self._kept[key] = stored.body
        by_rule: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
        for key, body in sorted(self._kept.items()):
            try:
                kept = json.loads(body)
                by_rule.setdefault((kept["rule"], kept["severity"]), {})[key] = kept["changes"]
            except (ValueError, KeyError, TypeError):
                log.exception("%s is no message", key)
                self.failed.append(f"{key} is no message")
        for (rule, severity), of_rule in by_rule.items():
            told = {change["id"]: change for key in of_rule for change in of_rule[key]}
            try:
                self.teller.tell(message_about(rule, Severity(severity), list(told.values())))
                self.lake.delete_all(sorted(of_rule))
            except StoreError as error:
                log.warning("a message of rule %s may be sent again: %s", rule, error)
            except Exception as error:
                log.exception("the message of rule %s was not sent", rule)
                self.failed.append(f"the message of rule {rule} was not sent: {type(error).__name__}: {error}")
        self._kept.clear()

    def _is_news(self, change: Change) -> bool:
        is_correction = change.kind in (ChangeKind.CORRECTED, ChangeKind.WITHDRAWN)
        return is_correction or change.row.until_ms > self.scheduled_time_ms - TOLD_WITHIN_MS
