"""Files that Kafka's clients read when they are made, and never again: certificates, keys, secrets.

librdkafka has no way to be given others while it runs, but for SASL's user and password
(``kafka_credentials``). So all that can be done is to say that a restart is due.
"""

from pathlib import Path

from consumer.kafka_settings import property_of
from consumer.property_names import variable_part
from consumer.secret_files import Version, version
from consumer.settings import Settings

_READ_ONCE = (
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.crl.location",
    "ssl.key.location",
    "ssl.keystore.location",
)
_PASSED_ON = ("sasl.username", "sasl.password")


class KafkaFiles:
    """The files of one member, by the variables that name them. For one thread."""

    def __init__(self, settings: Settings) -> None:
        self._paths = {
            variable: path
            for variable, path in settings.watched_files.items()
            if (found := property_of(variable)) and found.name not in _PASSED_ON
        }
        for configured in (settings.kafka_consumer, settings.kafka_producer):
            for name in _READ_ONCE:
                if name in configured:
                    self._paths[f"KAFKA_{variable_part(name)}"] = Path(configured[name])
        self._seen = self._versions()

    def __repr__(self) -> str:
        return f"<KafkaFiles {sorted(self._paths)}>"

    def changed(self) -> list[str]:
        """The variables whose files are others than at the last look; one that is gone is on its
        way to be replaced."""
        now = self._versions()
        found = [name for name, seen in self._seen.items() if now[name] not in (seen, None)]
        self._seen |= {name: now[name] for name in found}
        return found

    def _versions(self) -> dict[str, Version | None]:
        return {variable: version(path) for variable, path in self._paths.items()}
