"""A stage: one deployment of windrow, with its buckets, stream and functions, each opened when it is first used.

A function opens its own stage with `Stage.of_function`; everybody else finds one with `windrow.deployment.find_stage`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from windrow.aws.clients import Place, client
from windrow.errors import WindrowError
from windrow.lake.s3 import S3Store
from windrow.lifetimes import Lifetimes
from windrow.settings import Settings

if TYPE_CHECKING:
    from windrow.aws.functions import LambdaFunction
    from windrow.aws.kinesis import KinesisStream
    from windrow.aws.uploads import UploadClient
    from windrow.lake.uploads import UploadsBucket


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The names of a stage's resources, and the resources themselves.

    A name is empty where there is no such resource, or where a function is not told it. Opening a part makes no
    request. Nothing is opened twice, and parts may be used from several threads.
    """

    place: Place
    name: str
    stream_name: str
    lake_bucket: str
    results_bucket: str
    lateness_horizon_hours: int
    stream_retention_hours: int
    late_roll_minutes: int = 0
    partials_retention_days: int = 0
    failures_bucket: str = ""
    uploads_bucket: str = ""
    backfill_machine: str = ""
    consumer_function: str = ""
    dispatcher_function: str = ""
    database: str = ""
    workgroup: str = ""
    mode: str = ""
    silence_topic_arn: str = ""
    payload_contract: str = ""
    rules: str = ""
    makes_reports: bool = False
    info_topic_arn: str = ""
    warning_topic_arn: str = ""
    critical_topic_arn: str = ""
    is_live: bool = False
    live_topic_arn: str = ""
    iot_topic: str = ""
    iot_select: str = ""
    site_url: str = ""
    socket_url: str = ""
    site_bucket: str = ""
    user_pool: str = ""
    sign_in_client: str = ""
    sign_in_url: str = ""
    token_issuer: str = ""
    gateways_url: str = ""

    @classmethod
    def of_function(cls, environment: Mapping[str, str]) -> "Stage":
        """Return the stage that a function belongs to, from its environment (`os.environ`).

        WindrowError names a variable that is unset or wrong.
        """
        settings = Settings.from_environment(environment)
        return cls(
            place=Place.of_function(environment),
            name=settings.stage,
            stream_name=settings.stream_name,
            lake_bucket=settings.lake_bucket,
            results_bucket=settings.results_bucket,
            uploads_bucket=settings.uploads_bucket or "",
            consumer_function=settings.processor_function or "",
            payload_contract=settings.payload_contract or "",
            lateness_horizon_hours=settings.lateness_horizon_hours,
            stream_retention_hours=settings.stream_retention_hours,
            late_roll_minutes=settings.late_roll_minutes or 0,
            silence_topic_arn=settings.silence_topic_arn or "",
            rules=settings.rules or "",
            makes_reports=settings.makes_reports,
            info_topic_arn=settings.info_topic_arn or "",
            warning_topic_arn=settings.warning_topic_arn or "",
            critical_topic_arn=settings.critical_topic_arn or "",
            is_live=settings.is_live,
            live_topic_arn=settings.live_topic_arn or "",
            token_issuer=settings.token_issuer or "",
        )

    @cached_property
    def lake(self) -> S3Store:
        """The bucket of partials, quarantine and manifests."""
        return self._bucket(self.lake_bucket)

    @cached_property
    def results(self) -> S3Store:
        """The bucket of rows and lineages."""
        return self._bucket(self.results_bucket)

    @cached_property
    def failures(self) -> S3Store:
        """The bucket of batches that Lambda gave up."""
        return self._bucket(self.failures_bucket)

    @cached_property
    def uploads(self) -> "UploadsBucket":
        """The bucket of readings that come as objects."""
        from windrow.lake.uploads import UploadsBucket  # noqa: PLC0415 - most functions do without it

        return UploadsBucket(client("s3", self.place), self.uploads_bucket)

    @cached_property
    def upload_client(self) -> "UploadClient":
        """The same bucket for whoever uploads; WindrowError if the stage has none."""
        from windrow.aws.uploads import UploadClient  # noqa: PLC0415 - most functions do without it

        if not self.uploads_bucket:
            raise WindrowError(f"stage {self.name!r} has no uploads", hint="windrow deploy --set Uploads=bucket")
        return UploadClient.at(self.place, self.uploads_bucket)

    @cached_property
    def stream(self) -> "KinesisStream":
        """The stream of readings; WindrowError if the stage has none."""
        from windrow.aws.kinesis import KinesisStream  # noqa: PLC0415 - most functions do without it

        if not self.stream_name:
            raise WindrowError(
                f"stage {self.name!r} has no stream: readings come as uploads only",
                hint="windrow upload FILE; or deploy with --set StreamMode=PROVISIONED",
            )
        return KinesisStream.at(self.place, self.stream_name)

    @cached_property
    def consumer(self) -> "LambdaFunction":
        """The function that processes records: in fan-out mode the processor. A failed request is not repeated."""
        return self._function(self.consumer_function, repeats=False)

    @cached_property
    def dispatcher(self) -> "LambdaFunction":
        """The function that runs ticks."""
        return self._function(self.dispatcher_function, repeats=True)

    @property
    def lifetimes(self) -> Lifetimes:
        """How late a reading may arrive, how long the stream keeps it, and how often old windows are rolled for one."""
        return Lifetimes.of_hours(
            lateness_horizon_hours=self.lateness_horizon_hours,
            stream_retention_hours=self.stream_retention_hours,
            late_roll_minutes=self.late_roll_minutes,
        )

    def _bucket(self, name: str) -> S3Store:
        if not name:
            raise ValueError(f"stage {self.name!r} was opened without the name of that bucket")
        return S3Store(client("s3", self.place), name)

    def _function(self, name: str, *, repeats: bool) -> "LambdaFunction":
        from windrow.aws.functions import LambdaFunction  # noqa: PLC0415 - most functions do without it

        if not name:
            raise ValueError(f"stage {self.name!r} was opened without the name of that function")
        return LambdaFunction.at(self.place, name, repeats=repeats)
