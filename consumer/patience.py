"""When one destination may be sent to: back-off, throttling, halting and probing, slow start.

A closed state machine with the time as an argument, in monotonic seconds.
"""

from collections.abc import Callable
from enum import Enum

from consumer.model import Halted, HaltReason

RETRY_FIRST_SECONDS, RETRY_MAX_SECONDS = 1.0, 60.0
THROTTLE_FIRST_SECONDS, THROTTLE_MAX_SECONDS = 60.0, 900.0
THROTTLE_SPREAD = 0.1
"""By so much at most a pause is longer than asked: members of the group do not all come back in
the same moment."""

PROBE_FIRST_SECONDS, PROBE_MAX_SECONDS = 5.0, 300.0
POLICY_PROBE_FIRST_SECONDS, POLICY_PROBE_MAX_SECONDS = 3600.0, 6 * 3600.0
"""Blocked for a breach of policies (code 368): Meta means hours, and asking lengthens it."""

IDLE_SECONDS = 60.0
"""So long nothing waits before an old trouble is no longer believed."""

FEW_FAILURES = 5
"""So many failures in a row are a few."""


class OutboxState(Enum):
    """What a destination is doing; the value is a metric label."""

    READY = "ready"
    BACKING_OFF = "backing_off"
    THROTTLED = "throttled"
    HALTED = "halted"


class Patience:
    """The state of one destination. ``jitter`` gives numbers from 0 to 1."""

    def __init__(self, *, requests_max: int, jitter: Callable[[], float]) -> None:
        self._requests_max = requests_max
        self._jitter = jitter
        self._allowance = requests_max
        self._failures = 0
        self._open_at = 0.0
        self._throttled_until = 0.0
        self._idle_since: float | None = None
        self._resting = False  # paused though nothing was refused: it ends by time alone
        self.state = OutboxState.READY
        self.halted: Halted | None = None
        self.trouble_since: float | None = None
        self.accepted_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Patience {self.state.value}>"

    @property
    def every_event_refused(self) -> bool:
        """Whether it is halted because Meta refuses each event alone."""
        halted = self.halted
        return halted is not None and halted.reason is HaltReason.EVERY_EVENT_REFUSED

    @property
    def failed_often(self) -> bool:
        """Whether it is no longer a few failures since Meta last took something."""
        return self.halted is not None or self._failures >= FEW_FAILURES

    def look(self, now: float) -> None:
        """Time has passed: a pause for which nothing of ours was refused may be over."""
        if self._resting and now >= self._open_at:
            self._resting, self.state, self.trouble_since = False, OutboxState.READY, None

    def requests_now(self, now: float) -> int:
        """How many requests may be out now."""
        if now < self._open_at:
            return 0
        return 1 if self.halted is not None else min(self._allowance, self._requests_max)

    def accepted(self, now: float) -> None:
        """Meta took a request: whatever the trouble was, it is over. A throttle lasts its time."""
        self.accepted_at = now
        if self.halted is not None:
            self.nudge(now)  # the next probe's time has no meaning any more
        self.halted, self.trouble_since = None, None
        self._resting = self._is_throttled(now)
        if self._resting:
            self.state = OutboxState.THROTTLED
        else:
            self._failures = 0
            self._allowance = min(self._allowance + 1, self._requests_max)
            self.state = OutboxState.READY

    def judged(self, now: float) -> None:
        """Meta judges events again: what halted the destination is over."""
        if self.halted is not None and not self.every_event_refused:
            self.nudge(now)
            self.state, self.halted, self.trouble_since = OutboxState.READY, None, None

    def waits(self, something: bool, now: float) -> None:
        """Whether anything waits to be sent. After a while with nothing, trouble counts anew from
        when something does: in between nobody could see whether it was over."""
        if not something:
            self._idle_since = now if self._idle_since is None else self._idle_since
            return
        idle_since, self._idle_since = self._idle_since, None
        idle_seconds = 0.0 if idle_since is None else now - idle_since
        if self.trouble_since is not None and idle_seconds >= IDLE_SECONDS:
            self.trouble_since = now

    def failed(self, now: float) -> None:
        """A request got no clear answer."""
        first, longest = RETRY_FIRST_SECONDS, RETRY_MAX_SECONDS
        self._wait(OutboxState.BACKING_OFF, first, longest, 0.0, now)

    def throttled(self, wait_seconds: float, now: float) -> None:
        """Meta asks for a pause."""
        first, longest = THROTTLE_FIRST_SECONDS, THROTTLE_MAX_SECONDS
        self._wait(OutboxState.THROTTLED, first, longest, wait_seconds, now)
        self._throttled_until = self._open_at

    def pause(self, seconds: float, now: float) -> None:
        """Meta lets nothing through for so long (0: it did not say how long), though it refused
        nothing of this destination: which therefore is in no trouble of its own."""
        wait = self._spread(seconds or THROTTLE_FIRST_SECONDS)
        self._throttled_until = max(self._throttled_until, now + wait)
        self._open_at = max(self._open_at, self._throttled_until)
        self._allowance = 1
        if self.halted is None:
            self._resting = self._resting or self.state is OutboxState.READY
            self.state = OutboxState.THROTTLED

    def slow_down(self) -> None:
        """Much of a limit is used up: one request at a time, and from there gradually more."""
        self._allowance = 1

    def halt(self, verdict: Halted, now: float) -> None:
        """The destination takes nothing; it is probed at growing intervals."""
        repeated = self.halted is not None
        throttled = self._is_throttled(now)
        if repeated and now < self._open_at:
            return
        self._failures = min(self._failures + 1, 16) if repeated else 0
        self._in_trouble(now)
        self.state, self.halted, self._allowance = OutboxState.HALTED, verdict, 1
        self._resting = False
        first, longest = PROBE_FIRST_SECONDS, PROBE_MAX_SECONDS
        if verdict.reason is HaltReason.POLICY:
            first, longest = POLICY_PROBE_FIRST_SECONDS, POLICY_PROBE_MAX_SECONDS
        probe_at = now + min(longest, first * 2**self._failures)
        self._open_at = max(self._open_at, probe_at) if throttled else probe_at

    def nudge(self, now: float) -> None:
        """Something changed (a new token, say): try again now."""
        self._open_at = max(min(self._open_at, now), self._throttled_until)

    def resume(self, now: float) -> None:
        """Somebody ends the halt by hand: one request at a time goes, as after every trouble."""
        self.halted, self.trouble_since, self._failures = None, None, 0
        self.state = OutboxState.THROTTLED if self._is_throttled(now) else OutboxState.READY
        self.nudge(now)

    def _wait(
        self, state: OutboxState, first: float, longest: float, at_least: float, now: float
    ) -> None:
        """Exponential, with jitter, for the whole destination; afterwards one request at a time."""
        self._resting = False
        self._in_trouble(now)
        if now < self._open_at and (self.state is state or self._is_throttled(now)):
            # Requests that were out together fail together: that is one failure. But who asks
            # for a longer pause gets it, and a pause that was asked for is kept.
            self._open_at = max(self._open_at, now + at_least)
            return
        wait = max(at_least, min(longest, first * 2**self._failures))
        wait = self._jitter() * wait if state is OutboxState.BACKING_OFF else self._spread(wait)
        self._failures = min(self._failures + 1, 16)
        self._open_at = max(self._open_at, now + wait)
        self._allowance = 1
        if self.halted is None:
            self.state = state

    def _spread(self, seconds: float) -> float:
        return seconds * (1 + THROTTLE_SPREAD * (1 - self._jitter()))

    def _in_trouble(self, now: float) -> None:
        self.trouble_since = now if self.trouble_since is None else self.trouble_since

    def _is_throttled(self, now: float) -> bool:
        """Whether the pause that Meta asked for is not yet over."""
        return now < self._throttled_until
