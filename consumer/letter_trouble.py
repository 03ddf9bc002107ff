"""Why dead letters cannot be written, in the few words of which labels are made. Pure."""

from enum import Enum


class LetterTrouble(Enum):
    """What keeps dead letters from being written; the value is a metric label."""

    TOPIC_MISSING = "topic_missing"
    NOT_ALLOWED = "not_allowed"
    UNANSWERED = "unanswered"
    REFUSED = "refused"


def trouble_of(error: str) -> LetterTrouble:
    """The trouble that Kafka means with an error of this name (``_MSG_TIMED_OUT``)."""
    return _TROUBLES.get(error, LetterTrouble.REFUSED)


_TROUBLES = {
    "_UNKNOWN_TOPIC": LetterTrouble.TOPIC_MISSING,
    "_UNKNOWN_PARTITION": LetterTrouble.TOPIC_MISSING,
    "UNKNOWN_TOPIC_OR_PART": LetterTrouble.TOPIC_MISSING,
    "TOPIC_AUTHORIZATION_FAILED": LetterTrouble.NOT_ALLOWED,
    "CLUSTER_AUTHORIZATION_FAILED": LetterTrouble.NOT_ALLOWED,
    "SASL_AUTHENTICATION_FAILED": LetterTrouble.NOT_ALLOWED,
    "_AUTHENTICATION": LetterTrouble.NOT_ALLOWED,
    "_MSG_TIMED_OUT": LetterTrouble.UNANSWERED,
    "_TIMED_OUT": LetterTrouble.UNANSWERED,
    "REQUEST_TIMED_OUT": LetterTrouble.UNANSWERED,
    "_TRANSPORT": LetterTrouble.UNANSWERED,
    "_ALL_BROKERS_DOWN": LetterTrouble.UNANSWERED,
}
