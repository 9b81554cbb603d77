"""The environment of a function, as the template would set it."""

from windrow import settings
from windrow.settings import Settings


def environment_of(stage: Settings) -> dict[str, str]:
    """Return the variables that `Settings.from_environment` turns into an equal value."""
    environment = {
        settings.STAGE: stage.stage,
        settings.STREAM_NAME: stage.stream_name,
        settings.LAKE_BUCKET: stage.lake_bucket,
        settings.RESULTS_BUCKET: stage.results_bucket,
        settings.LATENESS_HORIZON_HOURS: str(stage.lateness_horizon_hours),
        settings.STREAM_RETENTION_HOURS: str(stage.stream_retention_hours),
    }
    if stage.late_roll_minutes is not None:
        environment[settings.LATE_ROLL_MINUTES] = str(stage.late_roll_minutes)
    if stage.payload_contract is not None:
        environment[settings.PAYLOAD_CONTRACT] = stage.payload_contract
    if stage.processor_function is not None:
        environment[settings.PROCESSOR_FUNCTION] = stage.processor_function
    if stage.uploads_bucket is not None:
        environment[settings.UPLOADS_BUCKET] = stage.uploads_bucket
    if stage.silence_topic_arn is not None:
        environment[settings.SILENCE_TOPIC_ARN] = stage.silence_topic_arn
    if stage.token_issuer is not None:
        environment[settings.TOKEN_ISSUER] = stage.token_issuer
    if stage.live_topic_arn is not None:
        environment[settings.LIVE_TOPIC_ARN] = stage.live_topic_arn
    if stage.is_live:
        environment[settings.LIVE] = settings.ON
    topics = {
        settings.RULES: stage.rules,
        settings.INFO_TOPIC_ARN: stage.info_topic_arn,
        settings.WARNING_TOPIC_ARN: stage.warning_topic_arn,
        settings.CRITICAL_TOPIC_ARN: stage.critical_topic_arn,
    }
    return environment | {name: value for name, value in topics.items() if value is not None}
