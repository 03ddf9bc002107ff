"""What the schema registry's client is configured with, from ``SCHEMA_REGISTRY_<PROPERTY>``."""

import re
from collections.abc import Iterator, Mapping

from consumer.property_names import property_name, unknown_property

REGISTRY_DEFAULTS: dict[str, str | float] = {"timeout": 10.0}
"""Ours, which may be overridden, in seconds: without it the client waits for ever."""


def registry_property_of(variable: str) -> str | None:
    """The property that a ``SCHEMA_REGISTRY_`` variable sets; None when there is no such one."""
    if not variable.startswith(_PREFIX):
        return None
    name = property_name(variable.removeprefix(_PREFIX))
    return name if name in _KNOWN and variable.isupper() else None


def registry_configuration(variables: Mapping[str, str]) -> dict[str, str | float]:
    """The client's whole configuration; empty when there is no registry."""
    given = {
        name: _number(value) if name in _NUMBERS else value
        for variable, value in variables.items()
        if (name := registry_property_of(variable)) is not None
    }
    return REGISTRY_DEFAULTS | given if "url" in given else {}


def registry_problems(variables: Mapping[str, str]) -> list[str]:
    """What is wrong with the ``SCHEMA_REGISTRY_`` variables, one sentence each."""
    given: dict[str, str] = {}
    problems = []
    for variable, value in variables.items():
        if not variable.startswith(_PREFIX):
            continue
        if (name := registry_property_of(variable)) is None:
            problems.append(
                unknown_property(
                    variable, _PREFIX, names=_KNOWN, owner="the registry's client", hints=_HINTS
                )
            )
            continue
        given[name] = value
        if name in _NUMBERS and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value.strip()):
            problems.append(f"{variable} must be a number")
    return [*problems, *_mistakes(given)] if given else problems


def _mistakes(given: Mapping[str, str]) -> Iterator[str]:
    if "url" not in given:
        yield "SCHEMA_REGISTRY_URL must be set when another SCHEMA_REGISTRY_ variable is"
    for url in given.get("url", "http://").split(","):
        if not url.strip().startswith(("http://", "https://")):
            yield "SCHEMA_REGISTRY_URL must begin with http:// or https://"
        elif "@" in url:
            yield (
                "SCHEMA_REGISTRY_URL must not hold a user or password;"
                " SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO is the place for them"
            )
    if ":" not in given.get("basic.auth.user.info", ":"):
        yield "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO must be user:password"
    if "ssl.certificate.location" not in given and given.keys() & _WITH_CERTIFICATE:
        yield "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION must be set together with its key"


def _number(value: str) -> float:
    number = float(value)
    return int(number) if number.is_integer() else number


_PREFIX = "SCHEMA_REGISTRY_"
_NUMBERS = frozenset(
    {
        "cache.capacity",
        "cache.latest.ttl.sec",
        "max.retries",
        "retries.max.wait.ms",
        "retries.wait.ms",
        "timeout",
    }
)
_KNOWN = _NUMBERS | {
    "basic.auth.user.info",
    "bearer.auth.client.id",
    "bearer.auth.client.secret",
    "bearer.auth.credentials.source",
    "bearer.auth.identity.pool.id",
    "bearer.auth.issuer.endpoint.query",
    "bearer.auth.issuer.endpoint.url",
    "bearer.auth.logical.cluster",
    "bearer.auth.scope",
    "bearer.auth.token",
    "proxy",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "url",
}
_WITH_CERTIFICATE = {"ssl.key.location", "ssl.key.password"}
_HINTS = {"basic.auth.credentials.source": "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO alone is enough"}
