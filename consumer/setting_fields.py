"""Every setting: its name, its default, one sentence on what it does, and what it may be.

A default has its home here and nowhere else.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    StringConstraints,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from consumer.wording import Must

PREFIX = "CONVERSIONS_"
MIB = 1024 * 1024
REFRESH_SECONDS_MIN = 600
"""Meta wants to be asked for quality a few times a day."""
CURRENCIES_MAX = 10
"""Each is a series for every destination and event name."""
TOKEN_CHECK_SECONDS_MIN = 60
"""Each question counts against the limits of its token."""


def _check_secret(secret: SecretStr) -> SecretStr:
    if not is_token(secret.get_secret_value()):
        raise ValueError
    return secret


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain or parts.port == 0:
        raise ValueError
    return url.rstrip("/")


def _never_or(seconds_min: float) -> AfterValidator:
    def check(seconds: float) -> float:
        if seconds != 0 and seconds < seconds_min:
            raise ValueError
        return seconds

    return AfterValidator(check)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _currencies(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # The table is a large one, and the command line begins without it.
    from consumer.wire_values import currency  # noqa: PLC0415

    given = [each for each in value.split(",") if each.strip()]
    codes = tuple(dict.fromkeys(currency(each) for each in given))
    if None in codes or len(codes) > CURRENCIES_MAX:
        raise ValueError
    return codes


Topic = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$"),
    Must("a Kafka topic: up to 249 letters, digits, dots, dashes and underscores"),
]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=255),
    Must("a name of up to 255 characters"),
]
Digits = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern="^[0-9]{1,32}$"),
    Must("the digits of a pixel's id"),
]
TestCode = Annotated[
    str, StringConstraints(pattern="^[A-Za-z0-9_-]{1,64}$"), Must("a code such as TEST12345")
]
Secret = Annotated[
    SecretStr,
    AfterValidator(_check_secret),
    Must("one line of printable characters without spaces"),
]
File = Annotated[Path, Must("the path of a file")]
Folder = Annotated[Path, Must("the path of a folder")]
Url = Annotated[
    str,
    AfterValidator(_check_url),
    Must("an address like https://graph.facebook.com, without user, query and fragment"),
]
Version = Annotated[
    str, StringConstraints(pattern=r"^v[0-9]+\.[0-9]+$"), Must("a version such as v26.0")
]
Switch = Annotated[bool, Must("true or false")]
Count = Annotated[int, Field(ge=1), Must("a whole number of at least 1")]
WindowEvents = Annotated[
    int, Field(ge=1, le=1000), Must("a whole number from 1 to 1000, which is Meta's limit")
]
Parallel = Annotated[int, Field(ge=1, le=100), Must("a whole number from 1 to 100")]
Port = Annotated[int, Field(ge=0, le=65535), Must("a port from 0 to 65535")]
Seconds = Annotated[
    float, Field(gt=0, allow_inf_nan=False), Must("a number of seconds greater than 0")
]
Share = Annotated[
    float,
    Field(gt=0, le=1, allow_inf_nan=False),
    Must("a share above 0 and at most 1, such as 0.5 for a half"),
]
GuardEvents = Annotated[int, Field(ge=10, le=1_000_000), Must("a whole number from 10 to 1000000")]
RetentionDays = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False),
    Must("0, which is without limit, or a number of days"),
]
Refresh = Annotated[
    float,
    _never_or(REFRESH_SECONDS_MIN),
    Field(allow_inf_nan=False),
    Must("0, which is off, or a number of seconds of at least 600"),
]
CheckEvery = Annotated[
    float,
    _never_or(TOKEN_CHECK_SECONDS_MIN),
    Field(allow_inf_nan=False),
    Must("0, which is off, or a number of seconds of at least 60"),
]
Size = Annotated[ByteSize, Field(ge=1), Must("a size such as 4MiB, or a number of bytes above 0")]
Currencies = Annotated[
    tuple[str, ...],
    BeforeValidator(_currencies),
    Must("up to 10 currencies of ISO 4217, with commas between them, such as USD,EUR"),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(_lower),
    Must("debug, info, warning or error"),
]
LogFormat = Annotated[
    Literal["auto", "console", "json"], BeforeValidator(_lower), Must("auto, console or json")
]


class Fields(BaseSettings):
    """The settings of ours; ``consumer.settings.Settings`` adds what others define."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    settings_file: File | None = Field(
        default=None,
        description="YAML file with any of these variables; the environment wins over it.",
    )
    topic: Topic = Field(
        default="conversions.events", description="Topic that the events are read from."
    )
    group_id: Name = Field(
        default="conversions-consumer", description="Consumer group to be a member of."
    )
    dlq_topic: Topic = Field(
        default="conversions.events.dlq", description="Topic for dead letters."
    )
    dlq_key_file: File | None = Field(
        default=None,
        description="File of lines `key-id: key` with which dead letters are sealed; the first key"
        " seals, every one opens.",
    )
    dlq_retention_days_max: RetentionDays = Field(
        default=30.0,
        description="Days that dead letters may be kept at most, by which `check` judges their"
        " topic; 0 is without limit.",
    )
    destinations_file: File | None = Field(
        default=None, description="YAML list of destinations, read again whenever it changes."
    )
    schemas_dir: Folder | None = Field(
        default=None,
        description="Folder of .avsc files for records written without a schema registry.",
    )
    pixel_id: Digits | None = Field(
        default=None, description="The one pixel to send to, where there is no destinations file."
    )
    access_token: Secret | None = Field(
        default=None,
        description="Token for every destination that names no accessTokenFile of its own.",
    )
    app_secret: Secret | None = Field(
        default=None,
        description="Secret of the Meta app, with which each call proves that it has it.",
    )
    test_code: TestCode | None = Field(
        default=None,
        description="Test event code for every event of this run, whatever else is given.",
    )
    graph_url: Url = Field(
        default="https://graph.facebook.com",
        description="Address of the Graph API or its emulator.",
    )
    graph_version: Version = Field(default="v26.0", description="Version of the Graph API to call.")
    graph_url_insecure: Switch = Field(
        default=False, description="Allow plain http to another host than this one, for tests."
    )
    window_events: WindowEvents = Field(
        default=1000, description="Events at which a window closes and becomes one request."
    )
    window_seconds: Seconds = Field(
        default=1.0,
        description="Seconds after which a window closes, unless all requests that may be are out.",
    )
    window_bytes: Size = Field(
        default=ByteSize(4 * MIB), description="Bytes of JSON at which a window closes."
    )
    in_flight_events: Count = Field(
        default=20_000, description="Events that may be read and not settled."
    )
    in_flight_bytes: Size = Field(
        default=ByteSize(256 * MIB),
        description="Bytes that may be read and not settled, with those of the JSON made of them.",
    )
    requests_per_destination: Parallel = Field(
        default=8, description="Requests that may be under way to one destination."
    )
    uncommitted_records: Count = Field(
        default=200_000, description="Records that delivery may run ahead of a partition's commit."
    )
    uncommitted_seconds: Seconds = Field(
        default=3600.0, description="Seconds that delivery may run ahead of a partition's commit."
    )
    commit_seconds: Seconds = Field(default=1.0, description="Seconds from one commit to the next.")
    request_timeout_seconds: Seconds = Field(
        default=20.0, description="Seconds that one request to Meta may take."
    )
    grace_seconds: Seconds = Field(
        default=30.0,
        description="Seconds for finishing what is open when partitions leave or we stop.",
    )
    liveness_seconds: Seconds = Field(
        default=120.0, description="Age of the loop's heartbeat, in seconds, at which /livez fails."
    )
    isolation_requests: Count = Field(
        default=100, description="Requests for finding the bad events of one refused batch."
    )
    spill_after_seconds: Seconds = Field(
        default=300.0,
        description="Seconds after which a halted destination gives way on shared partitions.",
    )
    guard_share: Share = Field(
        default=0.5,
        description="Share of a destination's last events that are rejected for one reason of ours,"
        " above which the guard raises its alarm; 1 is never.",
    )
    guard_events: GuardEvents = Field(
        default=1000, description="Events of a destination that the guard looks back at."
    )
    guard_pauses: Switch = Field(
        default=False,
        description="Whether the guard holds what is rejected during an alarm, and so pauses the"
        " destination, instead of dead-lettering it.",
    )
    quality_refresh_seconds: Refresh = Field(
        default=0.0,
        description="Seconds from one look at Meta's Event Match Quality to the next; 0 is never.",
    )
    token_check_seconds: CheckEvery = Field(
        default=3600.0,
        description="Seconds from one question to Meta for the state of each access token to the"
        " next; 0 is never.",
    )
    value_currencies: Currencies = Field(
        default=(),
        description="Currencies, such as USD,EUR, whose values of accepted events are added up in"
        " `conversions_value_total`; at most 10.",
    )
    metrics_host: Name = Field(
        default="127.0.0.1", description="Address that metrics and probes are served on."
    )
    metrics_port: Port = Field(
        default=9108, description="Port that metrics and probes are served on; 0 takes a free one."
    )
    log_level: LogLevel = Field(default="info", description="Least important log lines to write.")
    log_format: LogFormat = Field(
        default="auto", description="Form of log lines; auto is console on a terminal, else json."
    )
    traces: Switch = Field(
        default=False,
        description="Send OpenTelemetry spans of batches to a collector, as the `OTEL_` variables"
        " say; needs the extra `otel`.",
    )


def is_token(text: str) -> bool:
    """Whether ``text`` can be a token. An HTTP library would quote anything else in its error."""
    return re.fullmatch("[!-~]+", text) is not None


def shown(value: object) -> str:
    """A value as one would write it in the environment."""
    if isinstance(value, ByteSize):
        return f"{value // MIB}MiB" if value % MIB == 0 else str(int(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def variable_of(field: str) -> str:
    """The variable that sets a field."""
    return PREFIX + field.upper()


SECRETS = frozenset(
    name for name, field in Fields.model_fields.items() if field.annotation == Secret | None
)
"""The fields that may be given as ``<NAME>_FILE``."""
