"""What Meta shows of a pixel, asked through Graph: its dataset quality and its hourly statistics.

A token that sends may still not be allowed to read: that is told in a sentence, and means nothing
for the sending.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from consumer.destination_files import Tokens
from consumer.graph_answers import Item, Obstacle, Trouble, read_object
from consumer.meta import GraphReader, Unanswered
from consumer.model import PixelId
from consumer.pixel_stats import HOUR_SECONDS, Cell, read_stats
from consumer.quality import FEWER_FIELDS, FIELDS, EventQuality, read_quality

HOURS_PER_QUESTION = 24
"""Meta refuses to answer for too many days at once; a day is never too much."""
PAGES_MAX = 20
QUESTIONS_AT_ONCE = 8
READING_NEEDS = (
    "reading needs a system user with the pixel assigned to it, and a token with ads_read and one"
    " of ads_management and business_management"
)

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Meta did not show it; ``why`` is a sentence's end. ``by_question``: what it objects to may be
    the question itself, such as a field that it does not know (code 100 without a subcode)."""

    why: str
    by_question: bool


class PixelFigures:
    """Asks for the figures of one pixel at a time; safe for many threads."""

    def __init__(self, *, reader: GraphReader, tokens: Tokens) -> None:
        self._reader = reader
        self._tokens = tokens

    def quality(self, destination: PixelId) -> tuple[EventQuality, ...] | Unreadable:
        """The rows of one pixel. A pixel that Meta has no figures of has none."""
        body = self._quality(destination, FIELDS)
        if isinstance(body, Unreadable) and body.by_question:
            # Meta says which field it does not know in words only, and words are localised.
            body = self._quality(destination, FEWER_FIELDS)
        if isinstance(body, Unreadable):
            return body
        events = read_quality(destination, body)
        return _NOT_GRAPH if events is None else events

    def counts(self, destination: PixelId, hours: range) -> Mapping[Cell, int] | Unreadable:
        """Events that the pixel got from servers, by the start of the hour and by name.

        An hour and a name that are not there had no event. ``hours`` are starts of hours in seconds
        since the epoch, in steps of an hour.
        """
        counts: dict[Cell, int] = {}
        for first in range(0, len(hours), HOURS_PER_QUESTION):
            asked = hours[first : first + HOURS_PER_QUESTION]
            found = self._counts(destination, asked)
            if isinstance(found, Unreadable):
                return found
            counts |= {cell: count for cell, count in found.items() if cell.hour in asked}
        return counts

    def _quality(self, destination: PixelId, fields: str) -> Item | Unreadable:
        asked = {"dataset_id": destination, "fields": fields}
        return self._get(destination, "dataset_quality", asked)

    def _counts(self, destination: PixelId, hours: range) -> Mapping[Cell, int] | Unreadable:
        asked = {
            "aggregation": "event",
            "event_source": "SERVER_ONLY",
            "start_time": str(hours[0]),
            "end_time": str(hours[-1] + HOUR_SECONDS),
        }
        counts: dict[Cell, int] = {}
        for _ in range(PAGES_MAX):
            body = self._get(destination, f"{destination}/stats", asked)
            if isinstance(body, Unreadable):
                return body
            page = read_stats(body)
            if page is None:
                return _NOT_GRAPH
            for cell, count in page.counts.items():
                counts[cell] = counts.get(cell, 0) + count
            if page.after is None or page.after == asked.get("after"):
                return counts
            asked["after"] = page.after
        return Unreadable(f"the statistics have more than {PAGES_MAX} pages", by_question=False)

    def _get(
        self, destination: PixelId, path: str, parameters: Mapping[str, str]
    ) -> Item | Unreadable:
        token = self._tokens.of(destination)
        if token is None:
            problem = self._tokens.problem(destination)
            return Unreadable(problem or "there is no access token", by_question=False)
        answer = self._reader.get(path, parameters, token=token)
        if isinstance(answer, Unanswered):
            return Unreadable(f"Meta did not answer: {answer.why}", by_question=False)
        found = read_object(answer.status, answer.headers, answer.body)
        return unreadable(found) if isinstance(found, Trouble) else found


class Read(NamedTuple, Generic[Found]):
    """By pixel what was found, and by pixel why there is nothing."""

    found: dict[PixelId, Found]
    why: dict[PixelId, str]


def of_each(pixels: Sequence[PixelId], ask: Callable[[PixelId], Found | Unreadable]) -> Read[Found]:
    """Ask for several pixels side by side."""
    read: Read[Found] = Read({}, {})
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
        for pixel, answer in zip(pixels, pool.map(ask, pixels), strict=True):
            if isinstance(answer, Unreadable):
                read.why[pixel] = answer.why
            else:
                read.found[pixel] = answer
    return read


def unreadable(trouble: Trouble) -> Unreadable:
    """What an answer without figures means."""
    told = _WHY[trouble.obstacle].format(codes=trouble.codes)
    plain = trouble.code == 100 and trouble.subcode is None
    return Unreadable(told, by_question=trouble.obstacle is Obstacle.REFUSED and plain)


_UNKNOWN = "Meta refuses for a reason that is not known here{codes}"
_CALL = (
    "Meta does not take the call{codes}; look at CONVERSIONS_APP_SECRET and"
    " CONVERSIONS_GRAPH_VERSION"
)
_WHY: Mapping[Obstacle, str] = defaultdict(
    lambda: _UNKNOWN,
    {
        Obstacle.TOKEN: "the access token is invalid, expired or revoked{codes}",
        Obstacle.NOBODY: _CALL,
        Obstacle.CONFIGURATION: _CALL,
        Obstacle.PERMISSION: (
            f"the token may be able to send, but not to read; {READING_NEEDS}{{codes}}"
        ),
        Obstacle.REFUSED: (
            f"the token may be able to send, but Meta does not show it{{codes}}: {READING_NEEDS}"
        ),
        Obstacle.UNKNOWN_OBJECT: "the pixel is unknown, or the token has no access to it{codes}",
        Obstacle.POLICY: "Meta has blocked it for a breach of its policies{codes}",
        Obstacle.THROTTLED: "Meta asks for a pause{codes}: ask again in some minutes",
        Obstacle.IN_TROUBLE: "Meta is in trouble{codes}: ask again later",
        Obstacle.NOT_GRAPH: (
            "what answers is not the Graph API; look at CONVERSIONS_GRAPH_URL, and for a proxy in"
            " between"
        ),
    },
)
_NOT_GRAPH = unreadable(Trouble(Obstacle.NOT_GRAPH))
