"""A receipt: what became of one uploaded object, for whoever uploaded it.

It follows from the object alone, and from the stage's contract and horizon: a second delivery of the object's event
writes the same receipt again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from windrow.lake.layout import receipt_key
from windrow.lake.uploads import location_of
from windrow.reading import Reason
from windrow.timestamps import format_rfc3339, parse_rfc3339_ms
from windrow.window import Window

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one version of a key, of so many bytes as it was stored.

    form: what it held, "" if that could not be told. readings: how many count, each distinct one once. duplicates: how
    many more repeat one in the same object. rejected: payloads that do not count, by reason. windows: those that the
    readings belong to, ascending. refusal: why the object as a whole does not count, "" if it does.
    """

    bucket: str
    key: str
    version: str
    written_ms: int
    size_bytes: int
    form: str
    readings: int
    duplicates: int
    rejected: Mapping[Reason, int]
    windows: tuple[Window, ...]
    refusal: str = ""

    @property
    def lake_key(self) -> str:
        """The receipt's key in the lake."""
        return key_of_receipt(location_of(self.bucket, self.key, self.version))

    def to_json(self) -> bytes:
        """Encode it, the same way every time."""
        fields = {
            "bucket": self.bucket,
            "key": self.key,
            "version": self.version,
            "written_time": format_rfc3339(self.written_ms),
            "bytes": self.size_bytes,
            "form": self.form,
            "readings": self.readings,
            "duplicates": self.duplicates,
            "rejected": {str(reason): count for reason, count in self.rejected.items()},
            "windows": [format_rfc3339(window.start_ms) for window in self.windows],
            "refusal": self.refusal,
        }
        return json.dumps(fields, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_json(cls, body: bytes) -> "Receipt":
        """Decode it; ValueError for bytes that are none."""
        try:
            fields: dict[str, Any] = json.loads(body)
            return cls(
                bucket=fields["bucket"],
                key=fields["key"],
                version=fields["version"],
                written_ms=parse_rfc3339_ms(fields["written_time"]),
                size_bytes=int(fields["bytes"]),
                form=fields["form"],
                readings=int(fields["readings"]),
                duplicates=int(fields["duplicates"]),
                rejected={Reason(reason): int(count) for reason, count in fields["rejected"].items()},
                windows=tuple(Window(parse_rfc3339_ms(start)) for start in fields["windows"]),
                refusal=fields["refusal"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a receipt: {error!r}") from error


def key_of_receipt(location: str) -> str:
    """Return the key in the lake of the receipt of an object, given its `location_of`."""
    return receipt_key(hashlib.sha256(location.encode()).hexdigest()[: 2 * _DIGEST_BYTES])
