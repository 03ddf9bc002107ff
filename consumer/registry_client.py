"""The schema registry's client, made from settings, and made anew when its files change.

Its password may stand in a file, and its certificates always do. The library reads them once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka.schema_registry import SchemaRegistryClient

from consumer.egress_settings import is_this_host
from consumer.property_names import variable_part
from consumer.registry_settings import registry_property_of
from consumer.secret_files import Version, version
from consumer.settings import Settings

_FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")


def registry_client(configuration: Mapping[str, Any]) -> SchemaRegistryClient:
    """A client that has connected to nobody yet. Raises ValueError with a sentence."""
    problem: str
    try:
        client = SchemaRegistryClient(dict(configuration))
    except Exception as error:
        problem = _problem(configuration, error)
    else:
        if "proxy" not in configuration and all(map(is_this_host, _urls(configuration))):
            session: Any = client._rest_client.session
            session._mounts.clear()  # no proxy would reach us here; there is no public way to it
        return client
    # Outside the handler: the library's own text may quote a password.
    raise ValueError(problem)


class Configured(NamedTuple):
    """What a client is made with, and the state of the files that it would read."""

    properties: Mapping[str, Any]
    files: tuple[Version | None, ...]

    def __repr__(self) -> str:
        return f"<Configured {len(self.properties)} properties>"


class RegistryConfiguration:
    """The settings' properties of the registry, with what stands in the files now."""

    def __init__(self, settings: Settings) -> None:
        self._properties = settings.schema_registry
        self._secrets = {
            name: settings.rotating_secret(variable)
            for variable in settings.watched_files
            if (name := registry_property_of(variable)) is not None
        }

    def current(self) -> Configured:
        """Compare with what was current before, to know whether a client is out of date."""
        given = {name: secret.current() for name, secret in self._secrets.items()}
        read = {name: secret.get_secret_value() for name, secret in given.items() if secret}
        properties = {**self._properties, **read}
        paths = [Path(str(properties[name])) for name in _FILES if name in properties]
        return Configured(properties, tuple(map(version, paths)))


def _urls(configuration: Mapping[str, Any]) -> list[str]:
    return [url.strip() for url in str(configuration["url"]).split(",")]


def _problem(configuration: Mapping[str, Any], error: Exception) -> str:
    for name in _FILES:
        if name in configuration and not _is_readable(Path(str(configuration[name]))):
            return f"SCHEMA_REGISTRY_{variable_part(name)} must name a file that can be read"
    if "ssl.certificate.location" in configuration or "ssl.ca.location" in configuration:
        return (
            "the SCHEMA_REGISTRY_SSL_ variables do not fit together: look for a file without"
            " certificates, a key of another certificate, a password that does not open the key"
        )
    kind = type(error).__name__
    return f"the registry's client does not take the SCHEMA_REGISTRY_ variables ({kind})"


def _is_readable(path: Path) -> bool:
    if path.is_dir():
        return True
    try:
        with path.open("rb"):
            return True
    except (OSError, ValueError):
        return False
