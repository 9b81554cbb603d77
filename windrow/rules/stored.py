"""The rules that a stage has stored in its lake, named by their digest, and the window from which they are in force."""

from contextlib import suppress
from dataclasses import dataclass

from windrow.errors import WindrowError
from windrow.lake.by_digest import content_of, digest_of, store_by_digest
from windrow.lake.layout import rules_key, rules_start_key
from windrow.lake.store import ObjectStore, PreconditionFailed
from windrow.rules.load import load_rules
from windrow.rules.rule import Rule
from windrow.timestamps import format_rfc3339, parse_rfc3339_ms
from windrow.window import Window

_HINT = "deploy the stage again with --rules"


@dataclass(frozen=True, slots=True)
class StoredRules:
    """Rules, and the digest of their file, in 64 hexadecimal digits."""

    digest: str
    rules: tuple[Rule, ...]


def store_rules(lake: ObjectStore, stored: bytes) -> str:
    """Write the text of a file of rules, and return its digest."""
    digest = digest_of(stored)
    store_by_digest(lake, rules_key(digest), stored)
    return digest


def rules_of(lake: ObjectStore, digest: str) -> StoredRules:
    """Read stored rules; WindrowError if they are not there, or are not what their name says."""
    text = content_of(lake, rules_key(digest), digest, hint=_HINT).decode()
    return StoredRules(digest, load_rules(text, name="stored rules"))


def first_window(lake: ObjectStore, digest: str, *, proposed: Window) -> Window:
    """Return the first window that these rules judge: the one proposed by the first tick that had them.

    It is written down once, so every tick answers alike. WindrowError if it is not to be read.
    """
    key = rules_start_key(digest)
    found = lake.get(key)
    if found is None:
        with suppress(PreconditionFailed):  # another tick was quicker
            lake.put(key, format_rfc3339(proposed.start_ms).encode(), if_absent=True)
            return proposed
        found = lake.get(key)
    try:
        if found is None:
            raise ValueError("it is gone again")
        return Window(parse_rfc3339_ms(found.body.decode()))
    except ValueError as error:
        raise WindrowError(f"{key} does not say from when on the rules are in force: {error}") from error
