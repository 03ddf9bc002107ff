"""What Kafka's clients log in with, passed on to them when its files change.

A client keeps the connections that it has; the next one, after a broker's restart or an expired
login, is made with what was passed on last. Reaches SASL PLAIN and SCRAM: librdkafka takes no new
secret of other kinds while it runs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from consumer.kafka_settings import Client
from consumer.secret_files import RotatingSecret
from consumer.settings import Settings


class LogsIn(Protocol):
    """A client of the brokers that can be given other credentials."""

    def set_credentials(self, username: str, password: str) -> None: ...


class KafkaCredentials:
    """User and password of each client, and the clients. For one thread."""

    def __init__(self, *, settings: Settings, clients: Mapping[Client, Collection[LogsIn]]) -> None:
        """``clients`` of CONSUMER and of PRODUCER were made with these ``settings``."""
        configured = {
            Client.CONSUMER: settings.kafka_consumer,
            Client.PRODUCER: settings.kafka_producer,
        }
        self._logins = [
            (_Login.of(settings, client, configured[client]), takers)
            for client, takers in clients.items()
        ]

    def __repr__(self) -> str:
        return f"<KafkaCredentials of {len(self._logins)} kinds of client>"

    def pass_on(self) -> bool:
        """Give the clients what stands in the files now; whether that is something new."""
        changed = False
        for login, clients in self._logins:
            found = login.change()
            if found is None:
                continue
            changed = True
            for client in clients:
                client.set_credentials(*found)
        return changed


@dataclass(slots=True, kw_only=True)
class _Login:
    """User and password of one kind of client."""

    username: RotatingSecret
    password: RotatingSecret
    in_force: tuple[str | None, str | None] = field(repr=False)

    @classmethod
    def of(cls, settings: Settings, client: Client, configured: Mapping[str, str]) -> "_Login":
        return cls(
            username=_secret(settings, client, "SASL_USERNAME"),
            password=_secret(settings, client, "SASL_PASSWORD"),
            in_force=(configured.get("sasl.username"), configured.get("sasl.password")),
        )

    def change(self) -> tuple[str, str] | None:
        """Both, when one of them is another than before."""
        username, password = self.username.current(), self.password.current()
        if username is None or password is None:
            return None
        found = (username.get_secret_value(), password.get_secret_value())
        if found == self.in_force:
            return None
        self.in_force = found
        return found


def _secret(settings: Settings, client: Client, part: str) -> RotatingSecret:
    """What the client's own variable gives, else the one for every client."""
    own = settings.rotating_secret(client.value + part)
    return own if own.current() is not None else settings.rotating_secret(Client.ANY.value + part)
