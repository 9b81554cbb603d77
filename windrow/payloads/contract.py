"""A payload contract as values: which payloads it means, and where their readings are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from windrow.payloads.paths import Path
from windrow.payloads.times import TimeForm
from windrow.payloads.units import LinearMap


class Framing(StrEnum):
    """How payloads lie in a record of the stream."""

    OBJECT = "object"  # one JSON value a record
    LINES = "lines"  # one a line; empty lines are none
    CONCATENATED = "concatenated"  # one behind the other
    ARRAY = "array"  # the elements of one array


class Decoder(StrEnum):
    """What reads a kind of payload: its paths, or a format that needs more than paths."""

    PATHS = "paths"
    WINDROW = "windrow"
    SENML = "senml"


@dataclass(frozen=True)
class Template:
    """An id of several fields: texts[0] + paths[0] + texts[1] + ..., with one more text than paths."""

    texts: tuple[str, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class FieldTest:
    """What a payload must have to be of a kind: a value at `path`; one that is `equals`, if that is given.

    Numbers are compared as they are written. Not `exists`: no value there.
    """

    path: Path
    equals: str | None = None
    exists: bool = True


@dataclass(frozen=True)
class Quantity:
    """Where one quantity's value is, and what it means in thousandths of `unit`.

    source_unit: the unit of the value where nothing else says it; unit_path: where the payload says it, `maps` then
    gives each name's map. missing: values by which a device says that it has none. Bounds are thousandths, inclusive.
    """

    name: str
    unit: str
    path: Path
    source_unit: str
    map: LinearMap
    maps: Mapping[str, LinearMap] = field(default_factory=dict)
    unit_path: Path | None = None
    missing_numbers: frozenset[Fraction] = frozenset()
    missing_texts: frozenset[str] = frozenset()
    min_milli: int = -(2**31)
    max_milli: int = 2**31 - 1
    is_required: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of payload. `each` is the path to the array of its elements; None if the payload is the element."""

    name: str
    decoder: Decoder
    tests: tuple[FieldTest, ...] = ()
    each: Path | None = None
    sensor_id: Template | None = None
    time: TimeForm | None = None
    time_path: Path | None = None
    sequence: Path | None = None
    quantities: tuple[Quantity, ...] = ()


@dataclass(frozen=True)
class Contract:
    """What a stage's payloads mean: of the kinds, the first whose tests a payload passes reads it."""

    framing: Framing
    kinds: tuple[Kind, ...]
