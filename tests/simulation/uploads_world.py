"""Gateways that upload, a bucket, its events, a queue and the uploads function; each may fail as it does on AWS.

    gateway ── put (unheard, away) ──▶ bucket ── event (lost, twice, late) ──▶ queue ── batches, unordered ──▶ function
                                         │ overwritten, hidden                   ▲ five times, then dead ╳ killed
                                         └──────────────────── sweep ────────────┘

A seed decides everything. In the end the storm is over: gateways flush, the queue is emptied, the sweep runs.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from random import Random
from types import ModuleType, SimpleNamespace

import urllib3

import windrow.lake.gateway_api
from processors.puts import Deadline, Puts
from processors.upload_event import UploadRef
from producers.sender import Wire
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.simulated_s3 import Answer, Crash, Operation, Put, S3State, SimulatedStore
from tests.uploading import UploadsInMemory
from windrow.errors import WindrowError
from windrow.lake.gateway_api import GatewayCredentials
from windrow.lake.layout import GATEWAY_UPLOADS, PARTIALS, RECEIPTS, UPLOADS, parse_partial_key
from windrow.lake.receipt import Receipt, key_of_receipt
from windrow.lake.store import StoreError
from windrow.lake.uploads import location_of
from windrow.reading import Reading, Readings
from windrow.rows.partial_parquet import decode_partial
from windrow.window import WINDOW_MS
from windrow.wire.json.encode import encode_readings

START_MS = 1_795_169_100_000
"""2026-11-20T10:05Z, the start of a window."""
HOUR_MS = 3_600_000
ATTEMPTS_MAX = 5
"""As the queue's maxReceiveCount."""
GATEWAYS, ROUNDS = 3, 6
_PUTS = Puts(1)  # one after another, so that a seed decides where a fault falls


class Weather:
    """How likely each fault is; in calm none happens."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.is_calm = False

    def strikes(self, probability: float) -> bool:
        """Whether a fault happens now."""
        return not self.is_calm and self.chance.random() < probability


class Bucket(UploadsInMemory):
    """The uploads bucket, which tells of every new version: never, once or twice, and not at once."""

    def __init__(self, weather: Weather, queue: list[tuple[UploadRef, int]]) -> None:
        super().__init__()
        self._weather = weather
        self._queue = queue
        self.now_ms = START_MS

    def put_once(self, key: str, body: bytes, *, content_type: str) -> str | None:
        """Store an object unless the key is taken; the request or its answer may be lost."""
        if self._weather.strikes(0.1):
            raise WindrowError("nothing answers")
        is_taken = any(one.key == key for one in self.stored) and key not in self.hidden
        version = None if is_taken else self.store(key, body, content_type)
        if self._weather.strikes(0.15):
            raise WindrowError("no answer in time")
        return version

    def store(self, key: str, body: bytes, content_type: str = "", *, is_lost: float = 0.15) -> str:
        """Store an object whatever was there, and tell of it; the event is lost with this probability."""
        stored = self.put(key, body, at_ms=self.now_ms, content_type=content_type)
        for _ in range(0 if self._weather.strikes(is_lost) else 2 if self._weather.strikes(0.15) else 1):
            self._queue.append((UploadRef(key, stored.version), 0))
        return stored.version


class Door:
    """The user pool, the API and the bucket as a gateway with a token meets them: `send` answers as urllib3 does.

    A token ends at any time, and a request to store an object may be too old when it is used.
    """

    def __init__(self, weather: Weather, bucket: Bucket, name: str) -> None:
        self._weather = weather
        self._bucket = bucket
        self._prefix = f"{GATEWAY_UPLOADS}{name}/"
        self._signed: dict[str, tuple[str, str]] = {}
        self._tokens = 0
        self.refused = 0

    def send(self, method: str, url: str, *, body: bytes, headers: Mapping[str, str], **_: object) -> SimpleNamespace:
        """Answer one request, whose answer may be lost."""
        if self._weather.strikes(0.05):
            raise urllib3.exceptions.HTTPError("nothing answers")
        status, answer = self._answer(method, url, body, headers)
        self.refused += status in {401, 403}
        headers = {"ETag": '"e"'} if method == "PUT" else {}
        return SimpleNamespace(status=status, data=json.dumps(answer).encode(), headers=headers)

    def _answer(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, object]:
        if url.endswith("/token"):
            self._tokens += 1
            return 200, {"access_token": f"t{self._tokens}"}
        if method == "POST":
            if self._weather.strikes(0.2):
                self._tokens += 1  # what was given before is worth nothing
            if headers["Authorization"] != f"Bearer t{self._tokens}":
                return 401, {"detail": "expired"}
            asked = json.loads(body)
            key, url = f"{self._prefix}{asked['sha256'][:32]}", f"https://bucket/{len(self._signed)}"
            self._signed[url] = key, asked["sha256"]
            return 200, {"key": key, "method": "PUT", "url": url, "headers": {"Content-Type": asked["content_type"]}}
        key, sha256 = self._signed[url]
        if self._weather.strikes(0.1) or hashlib.sha256(body).hexdigest() != sha256:
            return 403, "too old, or not what was announced"
        try:
            version = self._bucket.put_once(key, body, content_type=headers["Content-Type"])
        except WindrowError as error:
            raise urllib3.exceptions.HTTPError(str(error)) from error
        return (200 if version else 412), ""


class World:
    """All of it, with the code under test in three modules: `uploads`, the function's, `uploader`, the gateways', and
    `gateway_api`, of those that go by a token: every third one.
    """

    def __init__(
        self,
        seed: int,
        *,
        uploads: ModuleType,
        uploader: ModuleType,
        gateway_api: ModuleType = windrow.lake.gateway_api,
        gateways: int = GATEWAYS,
    ) -> None:
        self.chance = Random(seed)
        self.weather = Weather(self.chance)
        self.queue: list[tuple[UploadRef, int]] = []
        self.dead: list[UploadRef] = []
        self.bucket = Bucket(self.weather, self.queue)
        self.state = S3State()
        self.unearned: list[str] = []
        self.forgotten: list[UploadRef] = []
        self.ever_hidden: set[str] = set()
        self.killed = 0
        self._is_hurried = False
        self.is_dead = False
        self._uploads = uploads
        self._uploader = uploader
        self._gateway_api = gateway_api
        self.doors = {number: Door(self.weather, self.bucket, f"g{number}") for number in range(2, gateways, 3)}
        self._credentials = GatewayCredentials(
            name="g",
            url="https://api",
            token_url="https://pool/token",
            client_id="c",
            client_secret="s",
            sensors=("g",),
        )
        self.acknowledged: set[Reading] = set()
        self.sent: set[Reading] = set()
        self.gateways = [self._new_gateway(number) for number in range(gateways)]
        self._held: list[list[Reading]] = [[] for _ in self.gateways]

    # ---- gateways ----------------------------------------------------------------------------------------------------

    def _new_gateway(self, number: int):  # type: ignore[no-untyped-def]
        wire = Wire.BLOCKS if number % 2 else Wire.JSON
        target = self.bucket
        if number in self.doors:
            target = self._gateway_api.GatewayApi(self._credentials, send=self.doors[number].send)
        return self._uploader.Uploader(target, name=f"g{number}", wire=wire, object_readings_max=7)

    def _some_readings(self, number: int) -> list[Reading]:
        count = self.chance.randrange(1, 12)
        return [
            Reading(
                f"g{number}-{self.chance.randrange(2)}",
                self.bucket.now_ms - self.chance.randrange(3 * WINDOW_MS),
                self.chance.randrange(2),
                20_000 + self.chance.randrange(3),
            )
            for _ in range(count)
        ]

    def gateway_turn(self, number: int) -> None:
        """Take some readings and flush; a gateway that is killed sends what it holds again, in other objects."""
        some = self._some_readings(number)
        self._held[number] += some
        self.sent |= set(some)
        gateway = self.gateways[number]
        try:
            gateway.send(Readings.of(some))
            gateway.flush()
        except WindrowError:
            if self.weather.strikes(0.5):
                gateway.discard()
                again = list(self._held[number])
                self.chance.shuffle(again)
                self.gateways[number] = self._new_gateway(number)
                self._resend(number, again)
            return
        self._acknowledge(number)

    def _resend(self, number: int, readings: Sequence[Reading]) -> None:
        try:
            self.gateways[number].send(Readings.of(readings))
            self.gateways[number].flush()
        except WindrowError:
            return
        self._acknowledge(number)

    def _acknowledge(self, number: int) -> None:
        self.acknowledged |= set(self._held[number])
        self._held[number] = []

    def rude_turn(self) -> None:
        """Somebody hides an object, or writes another one under its key, which the bucket keeps as a version."""
        if not self.bucket.stored:
            return
        key = self.chance.choice(self.bucket.stored).key
        if self.weather.strikes(0.3):
            self.bucket.delete(key)
            self.ever_hidden.add(key)
        for _ in range(2 if self.weather.strikes(0.3) else 0):
            some = self._some_readings(9)
            self.sent |= set(some)
            self.acknowledged |= set(some)
            self.bucket.store(f"{UPLOADS}rude", b"\n".join(encode_readings(Readings.of(some))), is_lost=0.4)

    # ---- function ----------------------------------------------------------------------------------------------------

    def perform(self, operation: Operation) -> Answer:
        """One request to the lake: it may fail, or be the last of its process; and receipts must be earned."""
        if self.is_dead:
            raise Crash
        if self.weather.strikes(0.02):
            raise StoreError("503 SlowDown")
        is_last = self.weather.strikes(0.03)
        if is_last and self.chance.random() < 0.5:
            self.is_dead = True
            raise Crash
        if isinstance(operation, Put) and operation.key.startswith(RECEIPTS):
            self._check_receipt(operation)
        answer = self.state.apply(operation)
        if is_last:
            self.is_dead = True
            raise Crash
        return answer

    def _check_receipt(self, operation: Put) -> None:
        """Note a receipt that is written before there is a partial of each of its windows."""
        body = operation.body if isinstance(operation.body, bytes) else operation.body.read()
        receipt = Receipt.from_json(body)
        stored = self.state.buckets.get("lake", {})
        windows = {parse_partial_key(key).window for key in stored if key.startswith(PARTIALS)}
        if not windows.issuperset(receipt.windows):
            self.unearned.append(receipt.key)

    def function_turn(self) -> None:
        """Process a batch of what is in the queue, in any order."""
        self.chance.shuffle(self.queue)
        batch = [self.queue.pop() for _ in range(min(len(self.queue), self.chance.randrange(1, 6)))]
        left = self._invoke([ref for ref, _ in batch])
        for ref, attempts in batch:
            if ref not in left:
                self._check_done(ref)
            elif attempts + 1 < ATTEMPTS_MAX:
                self.queue.append((ref, attempts + 1))
            else:
                self.dead.append(ref)

    def _check_done(self, ref: UploadRef) -> None:
        """Note an object whose message is done, and that has no receipt."""
        location = location_of(self.bucket.name, ref.key, str(ref.version))
        if key_of_receipt(location) not in self.receipts():
            self.forgotten.append(ref)

    def _invoke(self, refs: Sequence[UploadRef]) -> set[UploadRef]:
        """Return the objects whose messages come again: all of them if the function fails, as the handler has it."""
        self.is_dead = False
        left_ms = [60_000] * self.chance.randrange(2, 12) if self.weather.strikes(0.3) else []
        deadline = Deadline(lambda: left_ms.pop() if left_ms else 60_000 if not self._is_hurried else 2_000)
        self._is_hurried = bool(left_ms)
        try:
            result = self._consumer().process(refs, deadline=deadline, now_ms=self.bucket.now_ms + 60_000)
        except (Crash, StoreError):
            self.killed += 1
            return set(refs)
        return {*result.unprocessed, *(ref for ref, _ in result.unreadable)}

    def _consumer(self):  # type: ignore[no-untyped-def]
        return self._uploads.UploadsConsumer(
            source=self.bucket,
            lake=SimulatedStore(self.perform, "lake"),
            horizon_ms=LATENESS_HORIZON_MS,
            puts=_PUTS,
            group_readings_max=self.chance.choice([1, 10, 1_000]),
        )

    # ---- the run -----------------------------------------------------------------------------------------------------

    def run(self, rounds: int = ROUNDS) -> "World":
        """Let the storm rage, then be calm until nothing is left to do."""
        for _ in range(rounds):
            for number in range(len(self.gateways)):
                self.gateway_turn(number)
            self.rude_turn()
            self.function_turn()
            self.bucket.now_ms += self.chance.randrange(WINDOW_MS)
        self.weather.is_calm = True
        for number in range(len(self.gateways)):
            self._resend(number, [])
        self.stuck = [number for number, held in enumerate(self._held) if held]
        while self.queue:
            self.function_turn()
        now_ms = self.bucket.now_ms + HOUR_MS
        self.is_dead = False
        consumer = self._consumer()
        consumer.process(
            consumer.without_receipt(now_ms=now_ms, oldest_ms=START_MS),
            deadline=Deadline(lambda: 60_000),
            now_ms=now_ms,
        )
        self.lost = consumer.without_receipt(now_ms=now_ms, oldest_ms=START_MS)
        return self

    def readings(self) -> set[Reading]:
        """The union of all partials."""
        stored = self.state.buckets.get("lake", {})
        return {
            one for key in stored if key.startswith(PARTIALS) for one in decode_partial(stored[key].body)[0].readings
        }

    def receipts(self) -> dict[str, bytes]:
        """The receipts by key."""
        return {key: one.body for key, one in self.state.buckets.get("lake", {}).items() if key.startswith(RECEIPTS)}
