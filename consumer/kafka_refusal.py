"""What librdkafka refuses or complains of, said without what may be a secret in it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException


class KafkaBroken(Exception):
    """The client cannot go on: it was fenced, or a callback of ours failed. The process ends."""


class KafkaRefuses(Exception):
    """librdkafka does not take the configuration."""


@contextmanager
def configuring(client: str) -> Iterator[None]:
    """librdkafka's own sentence quotes the value, which may be a secret: only names are told."""
    try:
        yield
    except KafkaException as error:
        name = refused_property(error)
        which = f"property {name}" if name else "its properties together"
        raise KafkaRefuses(f"the Kafka {client} does not take {which} as set") from None


def refused_property(error: Exception) -> str | None:
    """The property that a client could not be made with; None when librdkafka names none."""
    if "No provider for SASL mechanism" in str(error):
        return "sasl.mechanism"  # GSSAPI unless another one is set, which no wheel can
    named = re.search(
        r'property "([a-z0-9._]+)"|: `?([a-z]+(?:\.[a-z0-9]+)+)`? (?:failed|is)', str(error)
    )
    return named and (named[1] or named[2])


def in_words(error: KafkaError) -> str:
    """librdkafka's sentence on what it met. What an identity provider answered is left out, but for
    OAuth's own code (RFC 6749, 5.2): providers quote what they were sent, which is our secret."""
    said = error.str()
    if refuses_certificate(error):
        return f"a broker refuses our certificate: {said}"
    before, no_token, why = said.partition(_NO_TOKEN)
    if not no_token or _OUR_SIDE.match(why):
        return said
    code = next((code for code in _OAUTH_CODES if code in why), "something else than a token")
    return f"{before}{no_token}the token endpoint answers {code}"


def refuses_certificate(error: KafkaError) -> bool:
    """Whether the broker ended TLS for the sake of our certificate (RFC 8446, 6.2): 42 to 46, 48
    and 116. librdkafka hears of it only behind the handshake, and calls it a transport's error."""
    return re.search(r"SSL alert number (4[2-68]|116)\b", error.str()) is not None


_NO_TOKEN = "Failed to acquire SASL OAUTHBEARER token: "  # noqa: S105 - no secret
_OUR_SIDE = re.compile(
    r"(CONNECT tunnel failed|Failed to connect to|Couldn't connect|Could not|SSL"
    r"|error adding trust anchors|Must supply an unexpired token"
    r"|(Connection|Operation|Resolving) timed out)[^{\"]*$"
)
"""Words of librdkafka and of its HTTP library, and no answer of anybody."""
_OAUTH_CODES = (
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
)
