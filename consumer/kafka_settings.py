"""What librdkafka is configured with, from variables.

``KAFKA_<PROPERTY>`` is any property of librdkafka, ``KAFKA_CONSUMER_<PROPERTY>`` and
``KAFKA_PRODUCER_<PROPERTY>`` are for one client only. Nothing here looks at the environment itself.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from consumer.librdkafka_properties import ALIASES, CONSUMER_ONLY, PRODUCER_ONLY, SHARED
from consumer.property_names import property_name, unknown_property, variable_part

CONSUMER_DEFAULTS = {
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "max.poll.interval.ms": "300000",
    "partition.assignment.strategy": "cooperative-sticky",
    "queued.max.messages.kbytes": "16384",
}
"""Ours, which may be overridden. What librdkafka prefetches counts among the memory's limits."""

PRODUCER_DEFAULTS = {
    "linger.ms": "5",
    "message.max.bytes": "100000000",
    "partitioner": "murmur2_random",
}
"""Ours, which may be overridden. The size is far above any topic's, so that a dead letter is
refused by the broker, which names it, and not by the client; the partitioner is Java's."""

CONSUMER_FIXED = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "enable.partition.eof": "true",
}
PRODUCER_FIXED = {"acks": "all", "enable.idempotence": "true"}
"""What the promises rest on: another value is refused."""


class Client(Enum):
    """Which of librdkafka's clients a variable is for; the value stands in the variable's name."""

    CONSUMER = "KAFKA_CONSUMER_"
    PRODUCER = "KAFKA_PRODUCER_"
    ANY = "KAFKA_"


class Property(NamedTuple):
    """What a ``KAFKA_`` variable sets."""

    client: Client
    name: str


def property_of(variable: str) -> Property | None:
    """The property that a ``KAFKA_`` variable sets; None when librdkafka knows no such one."""
    client = next((client for client in Client if variable.startswith(client.value)), None)
    if client is None:
        return None
    name = property_name(variable.removeprefix(client.value))
    return Property(client, name) if name in _KNOWN and variable.isupper() else None


def common_configuration(variables: Mapping[str, str]) -> dict[str, str]:
    """What every client of librdkafka gets, an admin client for example: the operator's alone."""
    return _asking_for_tokens(_set_by(variables, Client.ANY, SHARED))


def consumer_configuration(variables: Mapping[str, str], group_id: str) -> dict[str, str]:
    """The consumer's whole configuration."""
    given = _overlay(
        _set_by(variables, Client.ANY, SHARED | CONSUMER_ONLY),
        _set_by(variables, Client.CONSUMER, SHARED | CONSUMER_ONLY),
    )
    defaults = dict(CONSUMER_DEFAULTS)
    if _has_broker_side_assignor(given):
        del defaults["partition.assignment.strategy"]
    own = CONSUMER_FIXED | {"group.id": group_id}
    return _asking_for_tokens(_overlay(_overlay(defaults, given), own))


def connection_only(configuration: Mapping[str, str]) -> dict[str, str]:
    """What makes the connection, without what only a consumer or a producer needs."""
    return {
        name: value
        for name, value in configuration.items()
        if name in SHARED and name != "message.max.bytes"  # differs, and says nothing of it
    }


def without_membership(configuration: Mapping[str, str]) -> dict[str, str]:
    """A consumer's configuration for a client that looks on and never joins the group."""
    return {name: value for name, value in configuration.items() if name not in _MEMBERSHIP}


def producer_configuration(variables: Mapping[str, str]) -> dict[str, str]:
    """The dead-letter producer's whole configuration."""
    given = _overlay(
        _set_by(variables, Client.ANY, SHARED | PRODUCER_ONLY),
        _set_by(variables, Client.PRODUCER, SHARED | PRODUCER_ONLY),
    )
    return _asking_for_tokens(_overlay(_overlay(PRODUCER_DEFAULTS, given), PRODUCER_FIXED))


def max_poll_interval(variables: Mapping[str, str]) -> tuple[str, int] | None:
    """The variable for ``max.poll.interval.ms`` and its milliseconds; None when it is no number."""
    name = "max.poll.interval.ms"
    set_by = [client.value + variable_part(name) for client in (Client.CONSUMER, Client.ANY)]
    variable = next((variable for variable in set_by if variable in variables), set_by[-1])
    value = variables.get(variable, CONSUMER_DEFAULTS[name]).strip()
    return (variable, int(value)) if value.isascii() and value.isdecimal() else None


def kafka_problems(variables: Mapping[str, str], group_id: str | None) -> list[str]:
    """What is wrong with the ``KAFKA_`` variables, one sentence each.

    ``group_id`` is that of our own setting; None when that is wrong itself.
    """
    problems: list[str] = []
    for variable, value in variables.items():
        if variable.startswith(Client.ANY.value):
            problems += _kafka_problem(variable, value, group_id)
    if max_poll_interval(variables) is None:
        problems.append("KAFKA_MAX_POLL_INTERVAL_MS must be a whole number of milliseconds")
    consumer = consumer_configuration(variables, group_id or "")
    if _tokenless(consumer) or _tokenless(producer_configuration(variables)):
        problems.append(
            "KAFKA_SASL_OAUTHBEARER_METHOD must be oidc when the mechanism is OAUTHBEARER"
        )
    if _has_broker_side_assignor(consumer):
        problems += [
            f"{variable} must be left out with KAFKA_GROUP_PROTOCOL=consumer: {why}"
            for variable in variables
            if (found := property_of(variable)) and (why := _NOT_WITH_PROTOCOL.get(found.name))
        ]
    return problems


def _kafka_problem(variable: str, value: str, group_id: str | None) -> Iterator[str]:
    found = property_of(variable)
    if found is None:
        prefix = next(client.value for client in Client if variable.startswith(client.value))
        yield unknown_property(variable, prefix, names=_KNOWN, owner="librdkafka", hints=_ELSEWHERE)
        return
    if found.client is Client.CONSUMER and found.name in PRODUCER_ONLY:
        yield _other_client(variable, found.name, Client.PRODUCER)
    elif found.client is Client.PRODUCER and found.name in CONSUMER_ONLY:
        yield _other_client(variable, found.name, Client.CONSUMER)
    elif why := _NEVER.get(found.name):
        yield f"{variable} must be left out: {why}"
    elif found.name == "group.id":
        if group_id is not None and value != group_id:
            yield f"{variable} must be left out: CONVERSIONS_GROUP_ID names the group"
    elif (fixed := _FIXED.get(_first_name(found.name))) and value.lower() not in _SAME[fixed]:
        yield f"{variable} must be {fixed} or left out: that no record is lost rests on it"


def _other_client(variable: str, name: str, client: Client) -> str:
    belongs = client.value + variable_part(name)
    return f"{variable} sets a property of the {client.name.lower()}; set {belongs} instead"


def _set_by(variables: Mapping[str, str], client: Client, among: frozenset[str]) -> dict[str, str]:
    return {
        found.name: value
        for variable, value in variables.items()
        if (found := property_of(variable)) and found.client is client and found.name in among
    }


def _overlay(below: Mapping[str, str], above: Mapping[str, str]) -> dict[str, str]:
    """Both, where ``above`` also replaces what has the same meaning under another name."""
    replaced = {_first_name(name) for name in above}
    kept = {name: value for name, value in below.items() if _first_name(name) not in replaced}
    return kept | dict(above)


def _first_name(name: str) -> str:
    return ALIASES.get(name, name)


def _asking_for_tokens(configuration: dict[str, str]) -> dict[str, str]:
    """With librdkafka's own search for the system's certificates, unless some are named: its HTTP
    library looks in one place only, which most distributions do not have."""
    if configuration.get("sasl.oauthbearer.method") != "oidc" or "https.ca.pem" in configuration:
        return configuration
    return {"https.ca.location": "probe"} | configuration


def _tokenless(configuration: Mapping[str, str]) -> bool:
    """Whether the mechanism is OAUTHBEARER and nobody would ever fetch a token."""
    mechanisms = {configuration.get("sasl.mechanism"), configuration.get("sasl.mechanisms")}
    unsecured = configuration.get("enable.sasl.oauthbearer.unsecure.jwt", "").lower()
    if "OAUTHBEARER" not in mechanisms or unsecured in _SAME["true"]:
        return False
    return configuration.get("sasl.oauthbearer.method", "").lower() != "oidc"


def _has_broker_side_assignor(configuration: Mapping[str, str]) -> bool:
    return configuration.get("group.protocol", "").lower() == "consumer"


_KNOWN = SHARED | CONSUMER_ONLY | PRODUCER_ONLY

_FIXED = {_first_name(name): value for name, value in (CONSUMER_FIXED | PRODUCER_FIXED).items()}
_SAME = {"true": ("true", "t", "1"), "false": ("false", "f", "0"), "all": ("all", "-1")}
_NEVER = {
    "delivery.report.only.error": "every dead letter waits for its report",
    "transactional.id": "replay alone uses transactions, under an id of its own",
}
_MEMBERSHIP = {"group.instance.id", "group.protocol", "group.remote.assignor"}
_NOT_WITH_PROTOCOL = {
    "group.protocol.type": "librdkafka refuses it",
    "heartbeat.interval.ms": "the brokers decide it",
    "partition.assignment.strategy": "KAFKA_GROUP_REMOTE_ASSIGNOR takes its place",
    "session.timeout.ms": "the brokers decide it",
}
_ELSEWHERE = {
    "sasl.jaas.config": "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD take its place",
    "ssl.truststore.location": "KAFKA_SSL_CA_LOCATION takes its place, with a PEM file",
}
"""Properties of the Java clients that people bring along."""
