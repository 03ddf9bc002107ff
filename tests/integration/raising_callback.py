"""``conversions run`` with a callback of librdkafka's that raises now and then.

librdkafka's statistics callback is used, because the product itself sets none: an exception out of
it ends ``consume`` after records were dequeued, which are then gone.
"""

import itertools
import logging
import threading
from collections.abc import Mapping
from typing import Any

import consumer.member
from consumer.cli import main
from consumer.kafka import KafkaSource

_calls = itertools.count(1)
_closing = threading.Event()


class RaisingSource(KafkaSource):
    """Raises out of every third call of the statistics callback."""

    def __init__(self, *, configuration: Mapping[str, Any], logger: logging.Logger) -> None:
        super().__init__(
            configuration={
                **configuration,
                "stats_cb": _raise_sometimes,
                "statistics.interval.ms": 100,
            },
            logger=logger,
        )

    def close(self) -> None:
        """Not in here: an exception out of the client's own close may never let it end."""
        _closing.set()
        super().close()


def _raise_sometimes(_: str) -> None:
    number = next(_calls)
    if not _closing.is_set() and number > 40 and number % 3 == 0:
        raise RuntimeError("planted")


setattr(consumer.member, "KafkaSource", RaisingSource)  # noqa: B010 - the name is imported there
main()
