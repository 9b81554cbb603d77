"""Who may upload by a token: a gateway, known by its client of the stage's user pool, and the sensors it writes for."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from windrow.lake.layout import GATEWAY_UPLOADS
from windrow.quantities import parts_of
from windrow.reading import Readings

SCOPE = "uploads/write"
"""The scope that a gateway's token needs: the resource server's identifier, and its scope."""
NAME_CHARACTERS_MAX = 64
PREFIXES_MAX = 16
PREFIX_CHARACTERS_MAX = 64
METADATA_BYTES_MAX = 1_900
"""All prefixes of a gateway, percent-encoded: they go into an object's metadata, of which S3 takes 2 KB."""
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{NAME_CHARACTERS_MAX}}}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway. sensors: prefixes, one of which the id of each of its sensors begins with; at least one."""

    name: str
    client: str
    sensors: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """How the keys of its objects begin; those of no other gateway do."""
        return f"{GATEWAY_UPLOADS}{self.name}/"

    def to_json(self) -> bytes:
        """Encode it."""
        fields = {"name": self.name, "client": self.client, "sensors": list(self.sensors)}
        return json.dumps(fields, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_json(cls, body: bytes) -> "Gateway":
        """Decode it; ValueError for bytes that are none."""
        try:
            fields = json.loads(body)
            name, client, sensors = fields["name"], fields["client"], tuple(fields["sensors"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a gateway: {error!r}") from error
        are_texts = all(isinstance(one, str) for one in (name, client, *sensors))
        if not are_texts or not is_gateway_name(name) or not sensors or "" in sensors:
            raise ValueError(f"not a gateway: {fields!r:.200}")
        return cls(name=name, client=client, sensors=sensors)


def is_gateway_name(name: str) -> bool:
    """Whether `name` may be one: 1 to 64 letters, digits, _ . and -, so that it is one part of a key."""
    return _NAME.fullmatch(name) is not None and name not in {".", ".."}


def foreign_sensor(readings: Readings, prefixes: Sequence[str] | None) -> str | None:
    """Return the least id of a sensor with readings that begins with none of the prefixes; None if there is none."""
    if prefixes is None:
        return None
    begins = tuple(prefix.encode() for prefix in prefixes)
    series = map(readings.sensor_ids.octets_at, np.unique(readings.sensor).tolist())
    return min((parts_of(one.decode())[0] for one in series if not one.startswith(begins)), default=None)
