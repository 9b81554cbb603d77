"""The strict reader of payloads under a contract: what each becomes, a reading or a reason, as exact decimals say."""

from collections.abc import Iterator

from windrow.payloads.contract import Contract, Decoder, FieldTest, Framing, Kind, Quantity, Template
from windrow.payloads.senml import senml_records
from windrow.payloads.values import DecodedPayload, DecodedReading, milli_of, number_of
from windrow.reading import (
    READINGS_PER_RECORD_MAX,
    BadReading,
    Reason,
    check_sensor_id,
    check_sequence,
)
from windrow.wire.json.strict import PAYLOAD_BYTES_MAX, parse_reading
from windrow.wire.json.values import (
    JsonNumber,
    after_blanks,
    check_nesting,
    decode_utf8,
    integer_of,
    json_type,
    parse_value,
    parse_value_at,
)

# A record of the stream; one payload of several in it may have PAYLOAD_BYTES_MAX, as any other.
FRAME_BYTES_MAX = 1_048_576


def decode(contract: Contract, payload: bytes, *, arrival_ms: int) -> DecodedPayload:
    """Return what `payload`, of a record that arrived at `arrival_ms`, becomes; raises nothing.

    A bad part of a frame, of an array or of a payload's quantities does not affect its neighbours.
    """
    result = DecodedPayload()
    try:
        for where, text in _frames(contract.framing, payload):
            _check_number(result)
            try:
                _decode_value(contract, text, result, where=where, arrival_ms=arrival_ms)
            except BadReading as error:
                result.refuse(error, where)
    except BadReading as error:
        result.refuse(error, "")
    return result


def _frames(framing: Framing, payload: bytes) -> Iterator[tuple[str, object]]:
    """Yield the name and the text (bytes) or the parsed value of each payload in a frame; BadReading ends it."""
    bytes_max = PAYLOAD_BYTES_MAX if framing is Framing.OBJECT else FRAME_BYTES_MAX
    if len(payload) > bytes_max:
        raise BadReading(Reason.PAYLOAD_TOO_LONG, f"{len(payload)} bytes, at most {bytes_max}")
    match framing:
        case Framing.OBJECT:
            yield "", payload
        case Framing.LINES:
            lines = [(number, line) for number, line in enumerate(payload.split(b"\n"), 1) if line.strip()]
            yield from ((f"line {number}", line) for number, line in lines)
            if not lines:
                raise BadReading(Reason.NOT_JSON, "no line with a payload")
        case Framing.CONCATENATED:
            yield from _concatenated(decode_utf8(payload))
        case Framing.ARRAY:
            parsed = parse_value(payload)
            if not isinstance(parsed, list) or not parsed:
                raise BadReading(Reason.NOT_AN_OBJECT, f"an empty array, or a JSON {json_type(parsed)} and no array")
            yield from ((f"element {number}", element) for number, element in enumerate(parsed))


def _concatenated(text: str) -> Iterator[tuple[str, object]]:
    """Yield the values of `text`; behind one that is no JSON nothing more can be told apart."""
    number, at = 1, after_blanks(text, 0)
    while True:
        where = f"object {number}"
        try:
            value, following = parse_value_at(text, at)
        except BadReading as error:
            raise BadReading(error.reason, f"{where} and what follows: {error.detail}") from error
        yield where, value
        if following is None:
            return
        number, at = number + 1, following


def _decode_value(contract: Contract, text: object, result: DecodedPayload, *, where: str, arrival_ms: int) -> None:
    """Add what one payload, its bytes or the parsed value, becomes; BadReading if it is nothing as a whole."""
    if isinstance(text, bytes) and len(text) > PAYLOAD_BYTES_MAX:
        raise BadReading(Reason.PAYLOAD_TOO_LONG, f"{len(text)} bytes, at most {PAYLOAD_BYTES_MAX}")
    value = parse_value(text) if isinstance(text, bytes) else text
    check_nesting(value)
    kind = kind_of(contract, value)
    if kind is None:
        names = ", ".join(kind.name for kind in contract.kinds)
        raise BadReading(Reason.NO_CONTRACT, f"a JSON {json_type(value)} that is none of {names}")
    match kind.decoder:
        case Decoder.WINDROW if isinstance(text, bytes):
            reading = parse_reading(text)
            result.readings.append(
                DecodedReading(
                    reading.sensor_id, reading.quantity.name, reading.quantity.unit, reading.event_time_ms,
                    reading.sequence, reading.value_milli,
                )
            )  # fmt: skip
        case Decoder.SENML:
            senml_records(kind, value, result, where=where, arrival_ms=arrival_ms)
        case _:
            for name, element in _elements(kind, value, where):
                _check_number(result)
                try:
                    _decode_element(kind, element, value, result, where=name, arrival_ms=arrival_ms)
                except BadReading as error:
                    result.refuse(error, name)


def kind_of(contract: Contract, value: object) -> Kind | None:
    """Return the kind of a parsed payload: the first whose tests it passes; None if it is of none."""
    return next((kind for kind in contract.kinds if _is_of(kind, value)), None)


def _check_number(result: DecodedPayload) -> None:
    """Stop at more readings than a record may hold: memory is bounded whatever a payload claims."""
    if len(result.readings) + len(result.refusals) > READINGS_PER_RECORD_MAX:
        raise BadReading(Reason.TOO_MANY_READINGS, f"more than {READINGS_PER_RECORD_MAX} in one payload")


def _is_of(kind: Kind, value: object) -> bool:
    if kind.decoder is Decoder.SENML:
        return isinstance(value, list)
    return isinstance(value, dict) and all(_holds(test, value) for test in kind.tests)


def _holds(test: FieldTest, value: object) -> bool:
    found = test.path.find(value, value)
    if not test.exists:
        return found is None
    if test.equals is None:
        return found is not None
    return _as_text(found) == test.equals


def _elements(kind: Kind, value: object, where: str) -> list[tuple[str, object]]:
    if kind.each is None:
        return [(where, value)]
    found = kind.each.find(value, value)
    if not isinstance(found, list) or not found:
        raise BadReading(Reason.MISSING_FIELD, f"{kind.each.text} is no array with elements")
    if len(found) > READINGS_PER_RECORD_MAX:
        raise BadReading(Reason.TOO_MANY_READINGS, f"{len(found)} elements, at most {READINGS_PER_RECORD_MAX}")
    prefix = f"{where}, " if where else ""
    return [(f"{prefix}{kind.each.text}[{number}]", element) for number, element in enumerate(found)]


def _decode_element(
    kind: Kind, element: object, root: object, result: DecodedPayload, *, where: str, arrival_ms: int
) -> None:
    """Add the readings of one element, one of each quantity that it has; BadReading if it has none at all."""
    sensor_id = _sensor_id(kind.sensor_id, element, root)
    if kind.time is None:
        raise TypeError(f"the kind {kind.name} has no time")
    written = None if kind.time_path is None else _required(kind.time_path.find(element, root), kind.time_path.text)
    event_time_ms = kind.time.parse_ms(written, arrival_ms=arrival_ms)
    sequence = 0
    if kind.sequence is not None and (numbered := kind.sequence.find(element, root)) is not None:
        sequence = _sequence(numbered)
    is_any = False
    for quantity in kind.quantities:
        try:
            value = quantity.path.find(element, root)
            if value is None and not quantity.is_required:
                continue
            is_any = True
            milli = _milli(quantity, _required(value, quantity.path.text), element, root)
        except BadReading as error:
            result.refuse(error, f"{where}, {quantity.name}" if where else quantity.name)
            continue
        result.readings.append(DecodedReading(sensor_id, quantity.name, quantity.unit, event_time_ms, sequence, milli))
    if not is_any:
        raise BadReading(Reason.MISSING_FIELD, " and ".join(quantity.path.text for quantity in kind.quantities))


def _sensor_id(template: Template | None, element: object, root: object) -> str:
    if template is None:
        raise TypeError("a kind that is read by paths has a sensor id")
    parts = [template.texts[0]]
    for path, text in zip(template.paths, template.texts[1:], strict=True):
        found = _as_text(_required(path.find(element, root), path.text))
        if not found:
            raise BadReading(Reason.SENSOR_ID, f"{path.text} is no text with characters and no number")
        parts += [found, text]
    sensor_id = "".join(parts)
    check_sensor_id(sensor_id)
    return sensor_id


def _as_text(value: object) -> str | None:
    """Return a text as it is, a number as its digits, and true and false as JSON writes them; None of all else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else None


def _required(value: object, name: str) -> object:
    if value is None:
        raise BadReading(Reason.MISSING_FIELD, name)
    return value


def _sequence(value: object) -> int:
    if not isinstance(value, str):
        raise BadReading(Reason.SEQUENCE, f"a JSON {json_type(value)}, not an integer")
    if not value.isascii():
        raise BadReading(Reason.SEQUENCE, f"{ascii(value)[:40]} is not an integer")
    sequence = integer_of(JsonNumber(value), Reason.SEQUENCE)
    check_sequence(sequence)
    return sequence


def _milli(quantity: Quantity, value: object, element: object, root: object) -> int:
    if isinstance(value, str) and not isinstance(value, JsonNumber) and value.strip() in quantity.missing_texts:
        raise BadReading(Reason.MISSING_VALUE, f"{ascii(value)[:40]} says that there is none")
    number = number_of(value)
    linear, unit = quantity.map, quantity.source_unit
    if quantity.unit_path is not None and (named := quantity.unit_path.find(element, root)) is not None:
        if not isinstance(named, str) or named not in quantity.maps:
            raise BadReading(Reason.UNIT, f"{ascii(named)[:40]} is no unit of {quantity.name}")
        linear, unit = quantity.maps[named], named
    return milli_of(quantity, number, linear, written_as=f"{value} {unit}")
