"""The fields of an event → Avro bytes as publishers write them. The reverse of ``decode``."""

from io import BytesIO
from typing import Any

import fastavro
import orjson

from consumer.decode import head_of
from consumer.schema_plan import event_schema, schema_fingerprint


class EventEncoder:
    """Encodes with our own schema; ``schema_id`` None makes single-object encoding."""

    def __init__(self, *, schema_id: int | None) -> None:
        schema = event_schema()
        self._schema = fastavro.parse_schema(schema)
        self._head = head_of(schema_fingerprint(schema) if schema_id is None else schema_id)

    def encode(self, fields: dict[str, Any]) -> bytes:
        """One event. ``fields`` are those of ``json_lines.read_line``; raises ValueError, without
        any of the values, for what the schema cannot hold."""
        out = BytesIO()
        out.write(self._head)
        try:
            fastavro.schemaless_writer(out, self._schema, avro_fields(fields))
        except Exception as error:
            raise ValueError(f"does not fit the schema ({type(error).__name__})") from None
        return out.getvalue()


def avro_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """The freedoms of JSON Lines put into the record's own fields: lists of a scalar's name into
    the plural, and properties that are no text into numbers or JSON."""
    user = dict(fields.get("user") or {})
    for one, many in (("email", "emails"), ("phone", "phones"), ("externalId", "externalIds")):
        if isinstance(user.get(one), list):
            user[many] = [*user.pop(one), *(user.get(many) or [])]
    shaped = {**fields, "user": user}
    custom = shaped.get("customData")
    if custom:
        numbers = dict(shaped.get("customNumbers") or {})
        texts: dict[str, str] = {}
        others: dict[str, Any] = {}
        for name, value in custom.items():
            if isinstance(value, str):
                texts[name] = value
            elif isinstance(value, int | float) and not isinstance(value, bool):
                numbers[name] = float(value)
            else:
                others[name] = value
        shaped["customData"], shaped["customNumbers"] = texts or None, numbers or None
        if others:
            shaped["customDataJson"] = _merged(others, shaped.get("customDataJson"))
    return shaped


def _merged(others: dict[str, Any], given: str | None) -> str:
    """One JSON object of both; what cannot be merged stays as it was given, to be told of later."""
    try:
        free = orjson.loads(given) if given else {}
    except orjson.JSONDecodeError:
        return str(given)
    return orjson.dumps({**others, **free}).decode() if isinstance(free, dict) else str(given)
