"""What was published against what became of it: which promises held. Pure.

Every settlement is known with its time: each receipt at Meta, each dead letter. A record that is
settled again needs an excuse for that time: an answer that Meta lost, a member that slept and woke,
or a handover of its partition while the record was settled above the committed offset. One excuse
is good for one repetition. Times are wall-clock seconds of one machine.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

ACCEPTED = "accepted"
SLACK_SECONDS = 1.0
"""So far apart may be when something happened and when it was noted."""

LOST_ANSWERS = "answers that Meta lost"
FROZEN = "freeze"
IDS_SHOWN_MAX = 10


class Place(NamedTuple):
    """Where a record is."""

    partition: int
    offset: int


class Published(NamedTuple):
    """One record. ``fates`` holds what may become of it: accepted, or a dead letter's reason.

    ``may_wait``: it may be left uncommitted, because its pixel is dead.
    """

    place: Place
    event_id: str
    at: float
    digest: bytes
    fates: frozenset[str]
    may_wait: bool


class Settlement(NamedTuple):
    """``fate`` is accepted or the reason of a dead letter; ``heard``: Meta's answer was sent."""

    place: Place
    at: float
    fate: str
    event_id: str
    heard: bool
    digest: bytes | None


class Sample(NamedTuple):
    """Committed offsets as they were at a moment, by partition."""

    at: float
    offsets: Mapping[int, int]


class Handover(NamedTuple):
    """A partition began a new tenure, ``cause`` being the fault before it."""

    at: float
    partition: int
    cause: str


class Freeze(NamedTuple):
    """A member was stopped for so long; what it had read then it may still send."""

    began_at: float
    ended_at: float


class Facts(NamedTuple):
    """Everything that was seen from outside. ``strangers`` were settled and never published;
    ``ahead_max`` is how many records may be settled above a committed offset."""

    published: Sequence[Published]
    settlements: Sequence[Settlement]
    strangers: Sequence[str]
    samples: Sequence[Sample]
    handovers: Sequence[Handover]
    freezes: Sequence[Freeze]
    committed: Mapping[int, int]
    ahead_max: int


class Finding(NamedTuple):
    """A broken promise, and the event ids that show it."""

    what: str
    event_ids: tuple[str, ...]


class Repetitions(NamedTuple):
    """How often records may have been settled again for a cause, and how often they were."""

    bound: int
    seen: int


@dataclass(frozen=True, slots=True)
class Account:
    """The result; no findings means that every promise held."""

    published: int
    accepted: int
    dead_lettered: Mapping[str, int]
    uncommitted: int
    repetitions: Mapping[str, Repetitions]
    findings: Sequence[Finding]


def account_for(facts: Facts) -> Account:
    """Compare the sets."""
    by_place: dict[Place, list[Settlement]] = defaultdict(list)
    for settlement in facts.settlements:
        by_place[settlement.place].append(settlement)
    for of_place in by_place.values():
        of_place.sort(key=lambda settlement: settlement.at)
    causes = _causes(facts, by_place)
    bounds = Counter[str]()
    for cause in causes:
        bounds[cause.name] += len(cause.places)
    seen, unexcused = _repeated(by_place, causes)
    findings = [
        *_findings(facts, by_place),
        _finding("settled again with no fault to excuse it", unexcused),
        *_beyond(causes, facts.ahead_max),
    ]
    first = [of_place[0].fate for of_place in by_place.values()]
    waiting = [each for each in facts.published if each.place not in by_place]
    return Account(
        published=len(facts.published),
        accepted=sum(
            any(each.fate == ACCEPTED for each in of_place) for of_place in by_place.values()
        ),
        dead_lettered=Counter(fate for fate in first if fate != ACCEPTED),
        uncommitted=len(waiting),
        repetitions={
            name: Repetitions(bounds[name], seen[name]) for name in sorted({*bounds, *seen})
        },
        findings=[finding for finding in findings if finding is not None],
    )


def _findings(
    facts: Facts, by_place: Mapping[Place, Sequence[Settlement]]
) -> Iterable[Finding | None]:
    published = {each.place: each for each in facts.published}
    waiting = [each for each in facts.published if each.place not in by_place]
    lost = [each for each in waiting if each.place.offset < _end(facts, each.place.partition)]
    yield _finding("lost: committed past, neither accepted nor dead-lettered", _ids(lost))
    late = [
        each
        for each in waiting
        if each.place.offset >= _end(facts, each.place.partition) and not each.may_wait
    ]
    yield _finding("left uncommitted although its pixel takes events", _ids(late))
    foreign = [place for place in by_place if place not in published]
    yield _finding("settled, but never published", [*map(str, foreign), *facts.strangers])
    known = [(published[place], each) for place, each in by_place.items() if place in published]

    def wrong(what: str, is_wrong: Callable[[Published, Settlement], bool]) -> Finding | None:
        return _finding(
            what, [p.event_id for p, settled in known if any(is_wrong(p, s) for s in settled)]
        )

    yield wrong("met a fate that was not its own", lambda p, s: s.fate not in p.fates)
    yield wrong("settled under another event id", lambda p, s: s.event_id != p.event_id)
    yield wrong(
        "dead letter with another value", lambda p, s: s.digest is not None and s.digest != p.digest
    )
    twice = [
        p.event_id
        for p, settled in known
        if len({s.event_id for s in settled if s.fate == ACCEPTED}) > 1
    ]
    yield _finding("accepted under two event ids", twice)


class _Cause(NamedTuple):
    """Why each of these places may be settled once more between two moments."""

    name: str
    since: float
    until: float
    places: frozenset[Place]


def _causes(facts: Facts, by_place: Mapping[Place, Sequence[Settlement]]) -> list[_Cause]:
    # First what excuses least, so that the wider excuses are kept for what needs them.
    causes = [
        _Cause(LOST_ANSWERS, each.at - SLACK_SECONDS, float("inf"), frozenset((each.place,)))
        for each in facts.settlements
        if not each.heard
    ]
    firsts: dict[int, list[tuple[Place, float]]] = defaultdict(list)
    for place, settled in by_place.items():
        firsts[place.partition].append((place, settled[0].at))
    samples = sorted(facts.samples, key=lambda sample: sample.at)
    for at, partition, name in facts.handovers:
        committed = _last(samples, at).get(partition, 0)
        places = frozenset(
            place
            for place, settled_at in firsts[partition]
            if place.offset >= committed and settled_at <= at + SLACK_SECONDS
        )
        causes.append(_Cause(name, at - SLACK_SECONDS, float("inf"), places))
    for began_at, ended_at in facts.freezes:
        committed_then = _last(samples, began_at)
        places = frozenset(
            each.place
            for each in facts.published
            if each.at <= began_at + SLACK_SECONDS
            # Nobody reads further ahead of a commit than that.
            and 0
            <= each.place.offset - committed_then.get(each.place.partition, 0)
            < facts.ahead_max
        )
        causes.append(_Cause(FROZEN, began_at, ended_at + 60 * SLACK_SECONDS, places))
    return causes


def _repeated(
    by_place: Mapping[Place, Sequence[Settlement]], causes: Sequence[_Cause]
) -> tuple[Counter[str], list[str]]:
    """Each repetition uses up the latest excuse that fits; those that find none."""
    excuses: dict[Place, list[_Cause]] = defaultdict(list)
    repeated = {place for place, settled in by_place.items() if len(settled) > 1}
    for cause in causes:
        for place in cause.places & repeated:
            excuses[place].append(cause)
    seen, unexcused = Counter[str](), list[str]()
    for place in repeated:
        left = sorted(excuses[place], key=lambda cause: cause.since)
        for again in by_place[place][1:]:
            fits = [c for c in left if c.since <= again.at <= c.until]
            if fits:
                left.remove(fits[-1])
                seen[fits[-1].name] += 1
            else:
                unexcused.append(f"{again.event_id} at {place.partition}:{place.offset}")
    return seen, unexcused


def _beyond(causes: Sequence[_Cause], ahead_max: int) -> Iterable[Finding | None]:
    for cause in causes:
        if cause.name != FROZEN and len(cause.places) > ahead_max:
            what = f"{len(cause.places)} records of a partition settled above its committed offset"
            yield Finding(f"{what}, more than {ahead_max} ({cause.name})", ())


def _last(samples: Sequence[Sample], at: float) -> Mapping[int, int]:
    """What was surely committed by then: the last that was seen before."""
    index = bisect_right(samples, at, key=lambda sample: sample.at) - 1
    return samples[index].offsets if index >= 0 else {}


def _end(facts: Facts, partition: int) -> int:
    return facts.committed.get(partition, 0)


def _ids(published: Iterable[Published]) -> list[str]:
    return [each.event_id for each in published]


def _finding(what: str, event_ids: Sequence[str]) -> Finding | None:
    return Finding(f"{len(event_ids)} {what}", tuple(event_ids)) if event_ids else None
