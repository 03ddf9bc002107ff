"""``docs/dead-letters.md``: words out of ``dead-letters.template``, tables out of the code."""

from pathlib import Path
from string import Template

from consumer.dead_letter import OwnHeader, dead_letter
from consumer.model import Reason, Record, Rejected, TopicPartition
from consumer.remedies import Remedy, remedy_for
from consumer.replay_plan import SkipReason

TEMPLATE = Path(__file__).with_name("dead-letters.template")


def letters_page() -> str:
    """The page, without the line that says who made it."""
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        reasons="\n".join(_row(reason, remedy_for(reason)) for reason in Reason),
        headers="\n".join(f"| `{each.header}` | {each.says} |" for each in OwnHeader),
        skips="\n".join(f"| `{each.value}` | {each.says} |" for each in SkipReason),
        essential=_listed(_essential()),
    )


def _row(reason: Reason, remedy: Remedy) -> str:
    replay = " ".join(part for part in (f"{remedy.help.value}.", remedy.before) if part)
    cells = (f"`{reason.value}`", reason.stage.value, remedy.meaning, remedy.advice)
    return f"| {' | '.join(cells)} | {replay[0].upper()}{replay[1:]} |"


def _essential() -> list[str]:
    """The headers of a brief dead letter, of a record that was sent and replayed before."""
    headers = ((OwnHeader.REPLAYS.header, b"1"),)
    record = Record(TopicPartition("events", 0), 0, 0, None, None, headers, 0)
    rejected = Rejected(
        record=record,
        reason=Reason.EXPIRED,
        detail="",
        request_id="1",
        first_sent_at_ms=0,
        maybe_delivered=True,
    )
    letter = dead_letter(rejected, failed_at_ms=0, brief=True)
    return [f"`{name}`" for name, _ in letter.headers]


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
