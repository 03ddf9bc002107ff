"""Whatever the reason, somebody at night is told what to do."""

import pytest

from consumer.model import Reason
from consumer.remedies import REMEDIES, Help, remedy_for


def test_there_is_a_remedy_for_each_reason_and_for_no_other() -> None:
    assert set(REMEDIES) == set(Reason)


@pytest.mark.parametrize("reason", [*Reason, "brand_new"])
def test_a_remedy_is_made_of_sentences(reason: Reason | str) -> None:
    remedy = remedy_for(reason)

    for sentence in (remedy.meaning, remedy.advice, remedy.before):
        assert not sentence or (sentence[0].isupper() and sentence[-1] in ".`")
        assert "|" not in sentence, "it stands in a table of the docs"
    assert remedy.meaning
    assert remedy.advice


def test_what_must_be_done_before_a_replay_is_said_where_one_can_help() -> None:
    for reason, remedy in REMEDIES.items():
        if remedy.help in (Help.AFTERWARDS, Help.EDITED):
            assert remedy.before, reason
        if remedy.help is Help.NEVER:
            assert not remedy.before, reason
