"""Dead letters → the source topic: read once to decide, and again to act, in short transactions.

Every reader of the source topic waits while a transaction is open: so each takes few records, is
filled before it begins, and whatever there is to wait for is waited for between two.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from consumer.kafka_replay import Committed, TooLarge
from consumer.letter import Letter, LetterPlace, Marker, StillSealed, Unseal, opened, read_letter
from consumer.letter_filter import LetterFilter
from consumer.model import Record
from consumer.replay_plan import Chosen, Repair, Rules, Skipped, SkipReason
from consumer.replay_record import ReplayRecord, refilled, replay_record, value_place

RECORDS_MAX = 500
BYTES_MAX = 4 * 1024 * 1024
TURN_SECONDS = 0.2
MARKS_EARLIER_MS = 24 * 3600 * 1000
"""A record that was dead-lettered twice may have been replayed before its second letter came: by so
much the reading begins earlier than what is wanted."""


class Letters(Protocol):
    """The dead-letter topic."""

    def read(
        self,
        *,
        since_ms: int | None,
        partitions: frozenset[int] | None,
        progress: Callable[[int, int], None],
    ) -> Iterator[Record]: ...


class Transactions(Protocol):
    """What commits replays, whole or not at all."""

    def commit(self, records: Sequence[ReplayRecord]) -> Committed | TooLarge: ...


class Completion(NamedTuple):
    """How a letter is made complete, and judged.

    ``fetch`` gives the record at a place of a topic, None where it is gone.
    """

    rules: Rules
    unseal: Unseal | None
    fetch: Callable[[str, LetterPlace], Record | None]
    repair: Repair

    def completed(self, letter: Letter, *, now_ms: int) -> Letter | Skipped:
        """The letter as it is replayed, or why it is not."""
        if (barred := self.rules.barred(letter)) is not None:
            return barred
        clear = opened(letter, self.unseal)
        if isinstance(clear, StillSealed):
            return Skipped(SkipReason.SEALED, clear.detail)
        full = self._refilled(clear) if clear.by_reference else clear
        if full is None:
            return Skipped(SkipReason.VALUE_GONE, "")
        repaired = self.repair(full)
        if isinstance(repaired, Skipped):
            return repaired
        return self.rules.late(repaired, now_ms=now_ms) or self.rules.settled(repaired)

    def _refilled(self, letter: Letter) -> Letter | None:
        place = value_place(letter)
        record = None if place is None else self.fetch(*place)
        return None if record is None else refilled(letter, record)


class Replaying:
    """Decides, then acts. ``stops`` is whether we were told to stop: what is begun is finished.

    ``now`` are monotonic seconds, ``now_ms`` is wall-clock time.
    """

    def __init__(
        self,
        *,
        letters: Letters,
        wanted: LetterFilter,
        completion: Completion,
        stops: Callable[[], bool],
        now_ms: Callable[[], int],
    ) -> None:
        self._letters, self._wanted, self._completion = letters, wanted, completion
        self._stops, self._now_ms = stops, now_ms
        self.replayed = 0
        self.skipped: Counter[SkipReason] = Counter()
        """What turned out to be impossible only when it was tried."""
        self.last_skipped: dict[SkipReason | None, LetterPlace] = {}

    def __repr__(self) -> str:
        return f"<Replaying: {self.replayed} replayed>"

    def plan(self, *, limit: int | None, progress: Callable[[int, int], None]) -> Chosen | None:
        """What is to be done; None when we were stopped before that was known."""
        now_ms = self._now_ms()
        plan = self._completion.rules.plan(now_ms=now_ms)
        since_ms = self._wanted.since_ms
        earlier_ms = None if since_ms is None else since_ms - MARKS_EARLIER_MS
        # All partitions: the letter of which this is the second may lie in another.
        for record in self._letters.read(since_ms=earlier_ms, partitions=None, progress=progress):
            if self._stops():
                return None
            match read_letter(record):
                case Marker() as marker:
                    plan.note(marker)
                case found if self._wanted.matches(found, now_ms=now_ms):
                    plan.add(found, lambda each: self._completion.completed(each, now_ms=now_ms))
                case unwanted:
                    plan.unwanted(unwanted)
        return plan.chosen(limit=limit)

    def act(
        self,
        chosen: Chosen,
        *,
        transactions: Transactions,
        per_second: float | None,
        now: Callable[[], float],
        wait: Callable[[float], None],
        advance: Callable[[int], None],
    ) -> bool:
        """Replay them; whether it came to their end. Raises what ``transactions`` raises, and
        ``replayed`` is true all the same."""
        start = now()
        for batch in self._batches(chosen, _records_max(per_second)):
            while per_second is not None and not self._stops():
                left = start + self.replayed / per_second - now()
                if left <= 0:
                    break
                wait(min(left, TURN_SECONDS))
            if self._stops():
                return False
            self._commit(batch, transactions)
            advance(self.replayed + sum(self.skipped.values()))
        return True

    def _batches(self, chosen: Chosen, records_max: int) -> Iterator[list[ReplayRecord]]:
        batch: list[ReplayRecord] = []
        size_bytes = 0
        for letter in self._chosen_letters(chosen):
            now_ms = self._now_ms()
            complete = self._completion.completed(letter, now_ms=now_ms)
            if isinstance(complete, Skipped):
                self._skip(letter.place, complete.reason)
                continue
            record = replay_record(complete, replayed_at_ms=now_ms)
            if batch and (len(batch) == records_max or size_bytes + record.size_bytes > BYTES_MAX):
                yield batch
                batch, size_bytes = [], 0
            batch.append(record)
            size_bytes += record.size_bytes
        if batch:
            yield batch

    def _chosen_letters(self, chosen: Chosen) -> Iterator[Letter]:
        """Read again: only their places were kept. Ends with the last of them, for the marks that
        we write go on behind."""
        left = chosen.planned
        if not left:
            return
        records = self._letters.read(
            since_ms=self._wanted.since_ms,
            partitions=frozenset(chosen.offsets),
            progress=lambda read, about: None,
        )
        for record in records:
            if LetterPlace(record.partition.partition, record.offset) not in chosen:
                continue
            letter = read_letter(record)
            assert isinstance(letter, Letter), "a record does not change"
            yield letter
            left -= 1
            if not left:
                return

    def _commit(self, batch: list[ReplayRecord], transactions: Transactions) -> None:
        """The batch, but for what the topic does not take: nobody else is kept back by that."""
        waiting = deque([batch])
        while waiting:
            part = waiting.popleft()
            answer = transactions.commit(part)
            if isinstance(answer, Committed):
                self.replayed += len(part)
            elif len(part) == 1:
                self._skip(part[0].place, SkipReason.TOO_LARGE)
            else:
                large = [part[number] for number in sorted(answer.which)]
                others = [each for number, each in enumerate(part) if number not in answer.which]
                waiting += [[each] for each in large]
                waiting += [others] if others else []

    def _skip(self, place: LetterPlace, reason: SkipReason) -> None:
        self.skipped[reason] += 1
        self.last_skipped[reason] = place


def _records_max(per_second: float | None) -> int:
    """No transaction holds more than may be replayed in a second."""
    return RECORDS_MAX if per_second is None else max(1, min(RECORDS_MAX, int(per_second)))
