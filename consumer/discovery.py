"""Finds every pixel that tokens can reach: through ad accounts, through businesses, one by one.

Which of the ways is open depends on the kind of the token: a user's lists its ad accounts, a
system user's often only those assigned to it, and one generated in Events Manager nothing at all.
So all are tried, and what stays closed is told as a gap.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeGuard

from consumer.found_pixels import (
    PIXEL_FIELDS,
    Found,
    FoundPixel,
    Gap,
    Subject,
    merged,
    pixel_from,
    sentence,
)
from consumer.graph_answers import Item, Obstacle, Trouble, read_object
from consumer.graph_pages import PAGES_MAX, Question, first_page, read_page, smaller
from consumer.meta import GraphReader, Unanswered
from consumer.model import PixelId
from consumer.seekers import Seeker, Seekers

PIXELS_MAX = 10_000
"""So many pixels are gathered, then the search ends with a gap."""
ATTEMPTS_MAX = 2
"""So often one question is asked when Meta does not answer or is in trouble."""


def search(
    seekers: Seekers,
    *,
    reader: GraphReader,
    graph_url: str,
    under_way: Callable[[str, int], None],
) -> Found:
    """Search with each token. ``graph_url`` is where ``reader`` asks; ``under_way`` is told the
    path that is asked and how many pixels are known by then."""
    pixels: dict[PixelId, FoundPixel] = {}
    gaps = list(seekers.gaps)
    for seeker in seekers.seekers:
        one = _Search(seeker, reader, graph_url, pixels, under_way)
        one.run()
        gaps += one.gaps()
    return Found(tuple(pixels.values()), tuple(gaps))


class _Listing(NamedTuple):
    items: list[Item]
    trouble: Trouble | None


class _Missed(NamedTuple):
    """The first of several things that the same trouble keeps from being read."""

    asked: str
    subject: Subject
    trouble: Trouble


class _Search:
    """One token's."""

    def __init__(
        self,
        seeker: Seeker,
        reader: GraphReader,
        graph_url: str,
        pixels: dict[PixelId, FoundPixel],
        under_way: Callable[[str, int], None],
    ) -> None:
        self._seeker = seeker
        self._reader = reader
        self._graph_url = graph_url
        self._pixels = pixels
        self._under_way = under_way
        self._missed: dict[tuple[str, Trouble], list[_Missed]] = {}
        self._is_over = False

    def run(self) -> None:
        for account in self._ad_accounts():
            subject = Subject("the pixels of ad account", account, _ADS)
            self._gather(f"{account}/adspixels", subject, account)
        for business in self._businesses():
            for edge in ("owned_pixels", "client_pixels"):
                subject = Subject(f"the {edge} of business", business, _BUSINESS)
                self._gather(f"{business}/{edge}", subject, None)
        for pixel in self._seeker.configured:
            if pixel not in self._pixels:
                self._read_one(pixel)

    def gaps(self) -> Iterator[Gap]:
        """One for all that is missing for the same reason."""
        for missed in self._missed.values():
            asked, subject, trouble = missed[0]
            told = sentence(trouble, subject, len(missed))
            yield Gap(self._seeker.label, asked, len(missed), trouble.code, told)

    def _ad_accounts(self) -> list[str]:
        """By the documented way; when that gives none, by a system user's."""
        accounts = self._list("me/adaccounts", "id,name", _ACCOUNT)
        trouble = accounts.trouble
        if not accounts.items:
            accounts, trouble = self._assigned(trouble)
        if trouble is not None:
            self._miss("me/adaccounts", Subject("the ad accounts", "", _ADS), trouble)
        elif not accounts.items:
            none = Subject("no ad account", "", _ADS)
            self._miss("me/adaccounts", none, Trouble(Obstacle.NOTHING))
        return [item["id"] for item in accounts.items]

    def _assigned(self, trouble: Trouble | None) -> tuple[_Listing, Trouble | None]:
        """The accounts assigned to the token's user; what stays in the way if there are none."""
        nothing = _Listing([], None)
        me = self._object(Question("me", {"fields": "id"}))
        if isinstance(me, Trouble):
            return nothing, trouble or me
        own = str(me.get("id"))
        if not _NUMBER.fullmatch(own):
            return nothing, trouble or Trouble(Obstacle.NOT_GRAPH, status=200)
        assigned = self._list(f"{own}/assigned_ad_accounts", "id,name", _ACCOUNT)
        if assigned.items:
            return assigned, assigned.trouble
        return nothing, trouble or assigned.trouble

    def _businesses(self) -> list[str]:
        businesses = self._list("me/businesses", "id,name", _NUMBER)
        if businesses.trouble is not None:
            subject = Subject("the businesses", "", _BUSINESS)
            self._miss("me/businesses", subject, businesses.trouble)
        return [item["id"] for item in businesses.items]

    def _gather(self, path: str, subject: Subject, account: str | None) -> None:
        listing = self._list(path, PIXEL_FIELDS, _NUMBER)
        for item in listing.items:
            if not self._keep(pixel_from(item, account)):
                return
        if listing.trouble is not None:
            self._miss(path, subject, listing.trouble)

    def _read_one(self, pixel: PixelId) -> None:
        found = self._object(Question(pixel, {"fields": PIXEL_FIELDS}))
        if not isinstance(found, Trouble) and found.get("id") == pixel:
            self._keep(pixel_from(found, None))
            return
        trouble = found if isinstance(found, Trouble) else Trouble(Obstacle.NOT_GRAPH, status=200)
        self._miss(pixel, Subject("pixel", pixel, _ADS), trouble)

    def _keep(self, pixel: FoundPixel) -> bool:
        """Gather a pixel; whether there is still room for more."""
        known = self._pixels.get(pixel.id)
        if known is None and len(self._pixels) >= PIXELS_MAX:
            self._is_over = True
            self._miss(pixel.id, Subject("pixels", "", _ADS), Trouble(Obstacle.ENDLESS))
            return False
        self._pixels[pixel.id] = pixel if known is None else merged(known, pixel)
        return True

    def _miss(self, asked: str, subject: Subject, trouble: Trouble) -> None:
        if trouble.obstacle is not Obstacle.NOT_ASKED:
            missed = self._missed.setdefault((subject.kind, trouble), [])
            missed.append(_Missed(asked, subject, trouble))

    def _list(self, path: str, fields: str, form: re.Pattern[str]) -> _Listing:
        """All items of a list, or those before the trouble."""
        items: list[Item] = []
        asked: Question | None = first_page(path, fields)
        seen: list[Question] = []
        while asked is not None:
            if asked in seen or len(seen) >= PAGES_MAX:
                return _Listing(items, Trouble(Obstacle.ENDLESS))
            answer = self._object(asked)
            if isinstance(answer, Trouble) and (less := smaller(asked, answer)) is not None:
                asked = less
                continue
            seen.append(asked)
            page = read_page(asked, answer, graph_url=self._graph_url, ids=form)
            if isinstance(page, Trouble):
                return _Listing(items, page)
            items += page.items
            if isinstance(page.next, Trouble):
                return _Listing(items, page.next)
            asked = page.next
        return _Listing(items, None)

    def _object(self, asked: Question) -> Item | Trouble:
        if self._is_over:
            return Trouble(Obstacle.NOT_ASKED)
        self._under_way(asked.path, len(self._pixels))
        for _ in range(ATTEMPTS_MAX):
            answer = self._ask(asked)
            if not _concerns_all(answer) or answer.obstacle not in _PASSING:
                break
        self._is_over = _concerns_all(answer)
        return answer

    def _ask(self, asked: Question) -> Item | Trouble:
        answer = self._reader.get(asked.path, asked.parameters, token=self._seeker.token)
        if isinstance(answer, Unanswered):
            return Trouble(Obstacle.UNANSWERED, why=answer.why)
        return read_object(answer.status, answer.headers, answer.body)


def _concerns_all(answer: Item | Trouble) -> TypeGuard[Trouble]:
    """Whether whatever else is asked with this token would meet the same. Code 1 may mean that one
    list is too long."""
    return isinstance(answer, Trouble) and answer.obstacle in _OF_ALL and answer.code != 1


_PASSING = frozenset((Obstacle.IN_TROUBLE, Obstacle.UNANSWERED))
_OF_ALL = _PASSING | {Obstacle.TOKEN, Obstacle.THROTTLED, Obstacle.NOT_GRAPH}
_ACCOUNT = re.compile(r"act_[0-9]{1,32}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,32}", re.ASCII)
_ADS = "the permission ads_read"
_BUSINESS = "the permission business_management"
