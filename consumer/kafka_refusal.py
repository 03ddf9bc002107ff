"""A configuration that librdkafka does not take, said without what may be a secret in it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException


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
        named = re.search(r'property "([a-z0-9._]+)"', str(error))
        which = f"property {named[1]}" if named else "its properties together"
        raise KafkaRefuses(f"the Kafka {client} does not take {which} as set") from None
