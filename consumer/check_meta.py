"""Checks Meta's side: destinations, their tokens, whether each pixel answers, and the clock.

A token may send without being allowed to read: that reading is refused never means that it is
dead. Only codes decide, as ``judge`` knows them.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import NamedTuple

from pydantic import SecretStr

from consumer.check_version import called_version, served_version
from consumer.destination_files import destinations_from, tokens_from
from consumer.destinations import Destination, Destinations, DestinationsError
from consumer.finding import Finding, failed, ok, skipped, warning
from consumer.graph_answers import Obstacle, Trouble, read_object
from consumer.graph_versions import day_of, outlook
from consumer.meta import GraphAnswer, GraphReader, Unanswered
from consumer.settings import Settings, SettingsError

ANSWER_SECONDS = 5.0
SKEW_WARNING_SECONDS = 60.0
SKEW_FAILED_SECONDS = 300.0
"""Meta's tolerance for an event from the future, as far as it is known, is 5 minutes."""
ASKING_SECONDS = 8.0
"""In which requests begin: together with the last answer it is less than ``check`` gives us."""
_PARALLEL = 8


def check_meta(
    settings: Settings, *, reader: GraphReader, now: Callable[[], float]
) -> Iterator[Finding]:
    """Everything about destinations; ``now`` gives wall-clock seconds."""
    yield called_version(outlook(settings.graph_version, day_of(int(now() * 1000))))
    try:
        settings.require_destinations()
        destinations = destinations_from(settings)
    except (SettingsError, DestinationsError) as error:
        problems = str(error).splitlines()
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        yield failed("destinations", f"{problems[0]}{more}", "Mend it, and check again.")
        return
    count = len(destinations)
    yield ok("destinations", f"{count} destination{' is' if count == 1 else 's are'} configured")
    usable: list[_Asked] = []
    tokens = tokens_from(settings, destinations)
    for destination in destinations:
        token, problem = tokens.of(destination.id), tokens.problem(destination.id)
        if token is None or problem is not None:
            advice = f"Put the token {_token_place(destination)}."
            told = problem or "there is no access token"
            yield failed(f"pixel {destination.id}", told, advice)
        if token is not None:
            usable.append(_Asked(destination, token))
    yield from _check_pixels(usable, reader, now)
    yield from _test_events(destinations, settings)


def read_pixel(destination: Destination, answer: GraphAnswer) -> Finding:
    """What Meta's answer to ``GET /{pixel}?fields=id,name`` says of a pixel and its token."""
    subject = f"pixel {destination.id}"
    found = read_object(answer.status, answer.headers, answer.body)
    if isinstance(found, Trouble):
        return _not_read(destination, found)
    if str(found.get("id")) != destination.id:
        return _not_read(destination, Trouble(Obstacle.NOT_GRAPH, status=answer.status))
    name = found.get("name")
    named = f', named "{name[:60]}"' if isinstance(name, str) and name else ""
    return ok(subject, f"the token can read it{named}")


def clock(date: str | None, *, now: float) -> Finding:
    """This machine's clock (``now``, wall-clock seconds) beside the ``Date`` of an answer."""
    try:
        # A date counts whole seconds: on average half a one has passed since.
        theirs = parsedate_to_datetime(date or "").timestamp() + 0.5
    except (ValueError, TypeError):
        return skipped("clock", "no answer of Meta's tells the time", "")
    skew = now - theirs
    if abs(skew) <= SKEW_WARNING_SECONDS:
        return ok("clock", "this machine's clock agrees with Meta's")
    told = (
        f"this machine's clock is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'}"
        " Meta's"
    )
    advice = "Synchronise it (NTP): Meta refuses events that are too old or from the future."
    if abs(skew) > SKEW_FAILED_SECONDS:
        return failed("clock", told, advice)
    return warning("clock", told, advice)


class _Asked(NamedTuple):
    destination: Destination
    token: SecretStr

    def __repr__(self) -> str:
        return f"_Asked({self.destination.id})"


class _Heard(NamedTuple):
    answer: GraphAnswer | Unanswered
    at: float


def _check_pixels(
    usable: list[_Asked], reader: GraphReader, now: Callable[[], float]
) -> Iterator[Finding]:
    until = monotonic() + ASKING_SECONDS

    def ask(asked: _Asked) -> _Heard:
        before = now()
        if monotonic() > until:
            return _Heard(Unanswered("there was no time left to ask"), before)
        answer = reader.get(asked.destination.id, {"fields": "id,name"}, token=asked.token)
        return _Heard(answer, (before + now()) / 2)

    if not usable:
        return
    # One first: when nobody answers, the others need not be asked.
    first = ask(usable[0])
    if isinstance(first.answer, Unanswered):
        advice = "Look at CONVERSIONS_GRAPH_URL, and at the way out: proxy, firewall, name server."
        yield failed("Graph API", f"Meta cannot be reached: {first.answer.why}", advice)
        return
    with ThreadPoolExecutor(_PARALLEL) as pool:
        all_heard = [first, *pool.map(ask, usable[1:])]
        yield served_version([h.answer for h in all_heard if isinstance(h.answer, GraphAnswer)])
        for asked, heard in zip(usable, all_heard, strict=True):
            if isinstance(heard.answer, Unanswered):
                told = f"Meta did not answer: {heard.answer.why}"
                yield skipped(f"pixel {asked.destination.id}", told, "Check again.")
            else:
                yield read_pixel(asked.destination, heard.answer)
    yield clock(first.answer.headers.get("date"), now=first.at)


def _not_read(destination: Destination, trouble: Trouble) -> Finding:
    subject, codes = f"pixel {destination.id}", trouble.codes
    match trouble.obstacle:
        case Obstacle.TOKEN:
            told = f"the access token is invalid, expired or revoked{codes}"
            place = _token_place(destination)
            return failed(subject, told, f"Make a new one in Events Manager, and put it {place}.")
        case Obstacle.NOBODY if trouble.code == 104:
            told = f"Meta misses the token or its proof{codes}"
            return failed(subject, told, "Set CONVERSIONS_APP_SECRET to the secret of the app.")
        case Obstacle.NOBODY | Obstacle.CONFIGURATION:
            told = f"Meta does not take the call{codes}"
            advice = "Look at CONVERSIONS_APP_SECRET and CONVERSIONS_GRAPH_VERSION."
            return failed(subject, told, advice)
        case Obstacle.UNKNOWN_OBJECT:
            told = f"the pixel is unknown, or the token has no access, or may not read{codes}"
            advice = "Compare the id with Events Manager, and see whether events arrive there."
            return warning(subject, told, advice)
        case Obstacle.PERMISSION | Obstacle.REFUSED:
            told = f"the token may be able to send; reading is not allowed{codes}"
            advice = "Nothing need be done if events arrive: a token that only sends is enough."
            return warning(subject, told, advice)
        case Obstacle.POLICY:
            told = f"Meta has blocked it for a breach of its policies{codes}"
            return failed(subject, told, "Look into Events Manager and Business Support.")
        case Obstacle.THROTTLED:
            told = f"Meta asks for a pause{codes}"
            return skipped(subject, told, "Check again in some minutes.")
        case Obstacle.IN_TROUBLE:
            return skipped(subject, f"Meta is in trouble{codes}", "Check again later.")
        case Obstacle.NOT_GRAPH:
            told = f"something answers{codes}, but not as the Graph API does"
            advice = "Look at CONVERSIONS_GRAPH_URL, and for a proxy in between."
            return failed(subject, told, advice)
        case _:
            told = f"Meta refuses for a reason that is not known here{codes}"
            return warning(subject, told, "Look the code up in Meta's error reference.")


def _test_events(destinations: Destinations, settings: Settings) -> Iterator[Finding]:
    """Source: "Using the API", test events: they are not dropped."""
    advice = "Use a pixel of its own for tests, and no code for live events."
    told = "Meta uses test events for measurement and targeting like all others"
    if settings.test_code is not None:
        yield warning("test events", f"CONVERSIONS_TEST_CODE is set: {told}", advice)
    for destination in destinations:
        if destination.test_event_code is not None and settings.test_code is None:
            which = f"pixel {destination.id} has a testEventCode"
            yield warning("test events", f"{which}: {told}", advice)


def _token_place(destination: Destination) -> str:
    """Without the path: people put the token itself where that of its file belongs."""
    if destination.access_token_file is None:
        return "in CONVERSIONS_ACCESS_TOKEN"
    return "in the file that accessTokenFile names"
