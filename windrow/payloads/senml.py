"""SenML packs (RFC 8428): records that inherit base fields, and name their unit themselves."""

from collections.abc import Mapping
from fractions import Fraction

from windrow.payloads.contract import Kind
from windrow.payloads.values import DecodedPayload, DecodedReading, milli_of, number_of
from windrow.reading import BadReading, Reason, check_event_time_ms, check_sensor_id
from windrow.wire.json.values import JsonNumber, json_type

# Section 4.5.3: a time below 2**28 is seconds from now, and now is the arrival, so that a replay reads the same.
RELATIVE_BELOW_S = 2**28
RELATIVE_BELOW_MS = RELATIVE_BELOW_S * 1000
_VERSION_MAX = 10  # section 4.4


def senml_records(kind: Kind, pack: object, result: DecodedPayload, *, where: str, arrival_ms: int) -> None:
    """Add the readings of a pack; a record of a unit that no quantity has is none of ours. BadReading if all are."""
    if not isinstance(pack, list):
        raise BadReading(Reason.NOT_AN_OBJECT, f"a JSON {json_type(pack)}, not a SenML pack")
    before = len(result.readings) + len(result.refusals)
    base: dict[str, object] = {}
    for number, record in enumerate(pack):
        name = f"{where}, record {number}" if where else f"record {number}"
        try:
            if not isinstance(record, dict):
                raise BadReading(Reason.NOT_AN_OBJECT, f"a JSON {json_type(record)}, not a SenML record")
            base.update({key: value for key, value in record.items() if key in {"bn", "bt", "bu", "bv", "bver"}})
            _check_understood(record, base)
            reading = _reading(kind, base, record, arrival_ms=arrival_ms)
        except BadReading as error:
            result.refuse(error, name)
            continue
        if reading is not None:
            result.readings.append(reading)
    if len(result.readings) + len(result.refusals) == before:
        units = ", ".join(sorted({quantity.source_unit for quantity in kind.quantities}))
        raise BadReading(Reason.MISSING_FIELD, f"no record with a value in {units}")


def _check_understood(record: Mapping[str, object], base: Mapping[str, object]) -> None:
    """Refuse what must not be read without being understood: another version, a field that ends with `_`."""
    version = base.get("bver", JsonNumber("10"))
    if not isinstance(version, JsonNumber) or number_of(version) > _VERSION_MAX:
        raise BadReading(Reason.VALUE, f"SenML version {ascii(version)[:20]}, at most {_VERSION_MAX}")
    unknown = next((key for key in record if key.endswith("_")), None)
    if unknown is not None:
        raise BadReading(Reason.VALUE, f"the field {ascii(unknown)[:40]} must be understood, and is not")


def _reading(
    kind: Kind, base: Mapping[str, object], record: Mapping[str, object], *, arrival_ms: int
) -> DecodedReading | None:
    """Return the reading of a resolved record; None if it has no value, or one of a unit that is none of ours."""
    unit = record.get("u", base.get("bu"))
    if "v" not in record and ("bv" not in base or any(key in record for key in ("vs", "vb", "vd", "s"))):
        return None
    quantity = next((one for one in kind.quantities if isinstance(unit, str) and unit in one.maps), None)
    if quantity is None or not isinstance(unit, str):
        return None
    sensor_id = _text(base.get("bn", "")) + _text(record.get("n", ""))
    check_sensor_id(sensor_id)
    value = _number(record.get("v")) + _number(base.get("bv"))
    time_s = _number(record.get("t")) + _number(base.get("bt"))
    event_time_ms = round(time_s * 1000) + (arrival_ms if time_s < RELATIVE_BELOW_S else 0)
    check_event_time_ms(event_time_ms)
    milli = milli_of(quantity, value, quantity.maps[unit], written_as=f"{_brief(value)} {unit}")
    return DecodedReading(sensor_id, quantity.name, quantity.unit, event_time_ms, 0, milli)


def _text(value: object) -> str:
    if not isinstance(value, str) or isinstance(value, JsonNumber):
        raise BadReading(Reason.SENSOR_ID, f"a JSON {json_type(value)}, not a name")
    return value


def _number(value: object) -> Fraction:
    """Return an exact number; nothing is 0. Both of a sum are numbers, never texts."""
    if value is None:
        return Fraction(0)
    if not isinstance(value, JsonNumber):
        raise BadReading(Reason.VALUE, f"a JSON {json_type(value)}, not a number")
    return number_of(value)


def _brief(value: Fraction) -> str:
    return str(float(value)) if abs(value) < 10**15 else "a number beyond 10**15"
