"""The settings of a run, read once: fields of ours, Kafka's and the schema registry's properties.

The command line wins over the environment, that over the settings file, that over the defaults.
``CONVERSIONS_<FIELD>`` sets a field of ``setting_fields``; ``KAFKA_…`` and ``SCHEMA_REGISTRY_…``
set the properties of the two clients.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pydantic import PrivateAttr, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
)

from consumer.egress_settings import egress_problems, is_this_host
from consumer.kafka_settings import (
    common_configuration,
    consumer_configuration,
    kafka_problems,
    max_poll_interval,
    producer_configuration,
    property_of,
)
from consumer.property_names import is_secret
from consumer.registry_settings import (
    registry_configuration,
    registry_problems,
    registry_property_of,
)
from consumer.secret_files import RotatingSecret, read_secret_file
from consumer.setting_fields import PREFIX, SECRETS, Fields, shown, variable_of
from consumer.variables import NONE_SET, Variables, gather
from consumer.wording import did_you_mean, sentences

__all__ = ["Settings", "SettingsError", "describe", "load_settings", "read_secret_file"]


class SettingsError(Exception):
    """Settings that cannot be used; ``str`` gives one sentence a line, and no secret in any."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(Fields):
    """All settings, checked. Made by ``load_settings``; direct arguments do in tests."""

    _variables: Variables = PrivateAttr(default=NONE_SET)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the gathered variables: the process's environment is never looked at."""
        arguments = dict(init_settings())
        gathered = arguments.pop("gathered", NONE_SET)
        return InitSettingsSource(settings_cls, arguments), _Gathered(settings_cls, gathered)

    @property
    def kafka_common(self) -> dict[str, str]:
        """librdkafka's configuration for clients that are neither of the two, such as admin."""
        return common_configuration(self._variables.values)

    @property
    def kafka_consumer(self) -> dict[str, str]:
        """librdkafka's configuration for the consumer, complete."""
        return consumer_configuration(self._variables.values, self.group_id)

    @property
    def kafka_producer(self) -> dict[str, str]:
        """librdkafka's configuration for the dead-letter producer, complete."""
        return producer_configuration(self._variables.values)

    @property
    def schema_registry(self) -> dict[str, str | float]:
        """Configuration of the registry's client, complete; empty when there is no registry."""
        return registry_configuration(self._variables.values)

    @property
    def watched_files(self) -> dict[str, Path]:
        """By variable, the file that its value was read from: it may change while we run."""
        return dict(self._variables.files)

    def rotating_secret(self, variable: str) -> RotatingSecret:
        """The value of a variable, read again when it came from a file and that changes."""
        value = getattr(self, variable.removeprefix(PREFIX).lower(), None)
        if variable in self._variables.values:
            value = SecretStr(self._variables.values[variable])
        return RotatingSecret(value=value, path=self._variables.files.get(variable))

    def require_kafka(self) -> None:
        """Raise ``SettingsError`` unless brokers are named."""
        if self.kafka_common.keys().isdisjoint(("bootstrap.servers", "metadata.broker.list")):
            raise SettingsError(("KAFKA_BOOTSTRAP_SERVERS must be set",))

    def require_destinations(self) -> None:
        """Raise ``SettingsError`` unless there is a destination and, without a file, its token."""
        if self.destinations_file is None and self.pixel_id is None:
            either = f"{PREFIX}DESTINATIONS_FILE or {PREFIX}PIXEL_ID must be set"
            raise SettingsError((either,))
        if self.destinations_file is None and self.access_token is None:
            token = f"{PREFIX}ACCESS_TOKEN or {PREFIX}ACCESS_TOKEN_FILE must be set"
            raise SettingsError((f"{token} when {PREFIX}PIXEL_ID is",))

    def masked(self) -> dict[str, str]:
        """What is in force, by variable, for a log line: of a secret only that it is set."""
        ours = {
            variable_of(name): "set" if isinstance(value, SecretStr) else shown(value)
            for name, value in self
            if value is not None
        }
        theirs = {
            variable: "set" if is_secret(variable) else value
            for variable, value in self._variables.values.items()
            if not variable.startswith(PREFIX)
        }
        return ours | theirs

    @property
    def fingerprint(self) -> str:
        """Short and the same for the same settings, secrets left out: do all members agree?"""
        lines = sorted(f"{name}={value}" for name, value in self.masked().items())
        return sha256("\n".join(lines).encode()).hexdigest()[:8]


def load_settings(
    environ: Mapping[str, str], overrides: Mapping[str, Any] = MappingProxyType({})
) -> Settings:
    """The settings from the command line (``overrides``), ``environ``, settings file and defaults.

    ``overrides`` go by field (``topic``) or variable (``KAFKA_BOOTSTRAP_SERVERS``), and None means
    not given. Raises ``SettingsError`` with every problem at once.
    """
    variables = gather(environ, overrides, names_a_file=_names_a_file)
    problems = [*variables.problems, *_unknown(variables.values)]
    settings: Settings | None = None
    gathered: dict[str, Any] = {"gathered": variables}
    try:
        settings = Settings(**gathered)
    except ValidationError as error:
        problems += sentences(error, Settings, variable_of)
    problems += kafka_problems(variables.values, settings.group_id if settings else None)
    problems += registry_problems(variables.values)
    problems += egress_problems(environ)
    if settings is not None:
        settings._variables = variables
        problems += [*_contradictions(settings), *_impatient(settings, variables.values)]
    if problems or settings is None:
        raise SettingsError(tuple(problems))
    return settings


def describe() -> list[tuple[str, str, str]]:
    """Of each variable of ours: its name, its default (empty if none) and what it does."""
    return [
        (
            variable_of(name),
            "" if field.default is None else shown(field.default),
            str(field.description),
        )
        for name, field in Settings.model_fields.items()
    ]


class _Gathered(PydanticBaseSettingsSource):
    """What ``load_settings`` gathered, as pydantic-settings' source of values."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Variables) -> None:
        super().__init__(settings_cls)
        self._values = variables.values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value, the field's name, and that the value is no JSON."""
        value = self._values.get(variable_of(field_name))
        # pydantic-settings can be told to log what its sources give: a secret must be none by then.
        return SecretStr(value) if value and field_name in SECRETS else value, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every value that was given, by field."""
        fields = self.settings_cls.model_fields.items()
        found = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: value for name, value in found.items() if value is not None}


def _names_a_file(name: str) -> bool:
    """Whether ``name`` (``…_FILE``) gives a variable through a file; some just end that way."""
    variable = name.removesuffix("_FILE")
    if name.startswith("KAFKA_"):
        return property_of(name) is None and property_of(variable) is not None
    if name.startswith(PREFIX):
        return variable.removeprefix(PREFIX).lower() in SECRETS
    return registry_property_of(variable) is not None


def _unknown(variables: Mapping[str, str]) -> Iterator[str]:
    """Names that are neither ours nor one of the clients' (which are looked at elsewhere)."""
    names = [*Settings.model_fields, *(f"{name}_file" for name in SECRETS)]
    known = {name.upper(): variable_of(name) for name in names}
    for variable in variables:
        if variable in known.values() or variable.startswith(("KAFKA_", "SCHEMA_REGISTRY_")):
            continue
        meant = variable.upper().removeprefix(PREFIX)
        if meant.endswith("_FILE") and meant.removesuffix("_FILE") in known:
            yield f"{variable} is no setting; a file of its own is for secrets only"
        else:
            yield f"{variable} is no setting{did_you_mean(meant, known)}"


def _contradictions(settings: Settings) -> Iterator[str]:
    """Settings that are fine alone and not together."""
    if settings.topic == settings.dlq_topic:
        yield f"{PREFIX}DLQ_TOPIC must be another topic than {PREFIX}TOPIC"
    if settings.destinations_file is not None and settings.pixel_id is not None:
        yield f"{PREFIX}PIXEL_ID must be left out when {PREFIX}DESTINATIONS_FILE is set"
    if settings.schemas_dir is not None and not settings.schemas_dir.is_dir():
        yield f"{PREFIX}SCHEMAS_DIR must be a folder that exists"
    if not (_is_private(settings.graph_url) or settings.graph_url_insecure):
        yield (
            f"{PREFIX}GRAPH_URL must begin with https:// unless it is on this host"
            f" or {PREFIX}GRAPH_URL_INSECURE is true"
        )


def _impatient(settings: Settings, variables: Mapping[str, str]) -> Iterator[str]:
    """Times that would have the group or the orchestrator end us in the middle of a drain."""
    both = settings.grace_seconds + settings.request_timeout_seconds
    grace, timeout = f"{PREFIX}GRACE_SECONDS", f"{PREFIX}REQUEST_TIMEOUT_SECONDS"
    if settings.liveness_seconds <= both:
        yield f"{PREFIX}LIVENESS_SECONDS must be more than {grace} and {timeout} together"
    if (found := max_poll_interval(variables)) is None:
        return
    poll, poll_seconds = found[0], found[1] / 1000
    if both >= poll_seconds:
        yield f"{grace} and {timeout} together must be less than {poll}"
    if settings.grace_seconds >= poll_seconds / 2:
        yield f"{grace} must be less than half of {poll}"


def _is_private(url: str) -> bool:
    """Whether nobody between us and the server can read along: TLS, or the server on this host."""
    return urlsplit(url).scheme == "https" or is_this_host(url)
