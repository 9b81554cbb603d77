"""Ready-made contracts, in the form in which a stage writes its own; `use = "telegraf"` takes one."""

_WINDROW = """
[[payload]]
name = "windrow"
decoder = "windrow"
"""

# RFC 8428; the units are those of its section 12.1.
_SENML = """
[[payload]]
name = "senml"
decoder = "senml"
[payload.quantity.temperature]
unit = "Cel"
[payload.quantity.humidity]
unit = "%RH"
to = "%"
[payload.quantity.pressure]
unit = "Pa"
to = "hPa"
"""

# data_format = "json" of Telegraf: a metric an object, or a batch under `metrics`; `timestamp` is in s, ms, us
# or ns, as json_timestamp_units says. The tag `device` is the id; a stage with another one says so.
_TELEGRAF_KIND = """
sensor_id = "tags.device"
time = { path = "timestamp", form = "epoch" }
[payload.quantity.temperature]
path = "fields.temperature"
unit = "C"
[payload.quantity.humidity]
path = "fields.humidity"
unit = "%"
"""
_TELEGRAF = f"""
framing = "lines"
[[payload]]
name = "telegraf-batch"
when = [{{ path = "metrics" }}]
each = "metrics"
{_TELEGRAF_KIND}
[[payload]]
name = "telegraf"
when = [{{ path = "fields" }}]
{_TELEGRAF_KIND}
"""

# What SELECT *, topic(2) AS device, timestamp() AS ts FROM 'devices/+/readings' hands on.
_AWS_IOT = """
[[payload]]
name = "aws-iot"
when = [{ path = "device" }, { path = "ts" }]
sensor_id = "device"
time = { path = "ts", form = "epoch_ms" }
[payload.quantity.temperature]
path = "temperature"
unit = "C"
[payload.quantity.humidity]
path = "humidity"
unit = "%"
"""

# ChirpStack 4, event "up", marshalled as JSON; `object` is what the device profile's codec makes of the bytes.
_CHIRPSTACK = """
[[payload]]
name = "chirpstack"
when = [{ path = "deviceInfo.devEui" }, { path = "object" }]
sensor_id = "deviceInfo.devEui"
time = { path = "time", form = "rfc3339" }
sequence = "fCnt"
[payload.quantity.temperature]
path = "object.temperature"
unit = "C"
[payload.quantity.humidity]
path = "object.humidity"
unit = "%"
"""

# The Things Stack 3, uplink messages; `received_at` is when the network server had it.
_THINGS_STACK = """
[[payload]]
name = "the-things-stack"
when = [{ path = "end_device_ids.device_id" }, { path = "uplink_message.decoded_payload" }]
sensor_id = "end_device_ids.device_id"
time = { path = "received_at", form = "rfc3339" }
sequence = "uplink_message.f_cnt"
[payload.quantity.temperature]
path = "uplink_message.decoded_payload.temperature || uplink_message.decoded_payload.Temperature"
unit = "C"
[payload.quantity.humidity]
path = "uplink_message.decoded_payload.humidity || uplink_message.decoded_payload.Humidity"
unit = "%"
"""

READY_MADE = {
    "windrow": _WINDROW,
    "senml": _SENML,
    "telegraf": _TELEGRAF,
    "aws-iot": _AWS_IOT,
    "chirpstack": _CHIRPSTACK,
    "the-things-stack": _THINGS_STACK,
}
"""The text of each ready-made contract by its name."""
