"""A request's parameters, whichever way they travel: JSON, a form, its multipart kind, the query.

Meta documents forms, shows JSON in its examples, and its business SDK sends a form in which
``data`` is an array of JSON strings. In a form and in the query every value is text.
"""

from collections.abc import Mapping
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import parse_qsl

import orjson

from consumer.emulator_http import Request
from consumer.emulator_kinds import misfit
from consumer.emulator_refusal import Refusal, invalid
from consumer.emulator_shapes import MAIN, PLATFORM, PROGRESS


def read_parameters(request: Request) -> dict[str, Any] | Refusal:
    """The parameters of the body and the query together, of which the body's win."""
    kind = request.content_type.partition(";")[0].strip().lower()
    try:
        match kind:
            # Ours: a body of no declared type is read as JSON. What is declared as anything
            # else is not looked into.
            case "application/json" | "":
                body = orjson.loads(request.body) if request.body else {}
            case "application/x-www-form-urlencoded":
                body = _unfolded(dict(parse_qsl(request.body.decode(), keep_blank_values=True)))
            case "multipart/form-data":
                body = _unfolded(_parts(request))
            case _:
                body = {}
        query = _unfolded(request.query)
    except ValueError:
        return _MALFORMED
    return query | body if type(body) is dict else _MALFORMED


def main_refusal(parameters: Mapping[str, Any]) -> Refusal | None:
    """What is wrong with the parameters beside the events, None if nothing is.

    That Meta refuses a name that it does not know here is not documented. But an option of an
    event, say limited data use, that is silently ignored out here would be worse.
    """
    for key in parameters.keys() - MAIN.keys():
        return invalid(f'"{key}" is no parameter of a request.')
    refusal = misfit(parameters, MAIN, "")
    if refusal is None and parameters.get("progress") is not None:
        refusal = misfit(parameters["progress"], PROGRESS, "")
    for platform in parameters.get("platforms") or () if refusal is None else ():
        refusal = refusal or misfit(platform, PLATFORM, "")
    return invalid(refusal.user_message or "") if refusal is not None else None


_MALFORMED = invalid("The parameters are neither a JSON object nor a form.")


def _unfolded(texts: Mapping[str, str]) -> dict[str, Any]:
    """A form's values, those with a structure decoded. Raises ValueError."""
    found: dict[str, Any] = dict(texts)
    for key in _STRUCTURED & found.keys():
        found[key] = orjson.loads(found[key])
    if type(found.get("data")) is list:
        found["data"] = [orjson.loads(one) if type(one) is str else one for one in found["data"]]
    return found


_STRUCTURED = {"batch", "data", "platforms", "progress", "trace"}


def _parts(request: Request) -> dict[str, str]:
    """The fields of a multipart form; what has a file's name is no field."""
    head = f"Content-Type: {request.content_type}\r\n\r\n".encode()
    message = message_from_bytes(head + request.body, policy=policy.HTTP)
    if not message.is_multipart():
        raise ValueError("not multipart")
    found = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and part.get_filename() is None and isinstance(content, bytes):
            found[name] = content.decode()
    return found
