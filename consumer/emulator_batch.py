"""Graph's batch requests: one POST of several calls, whose answers come as one list.

Source: "Batch requests". Only reading is done in a batch here. The token of the whole is required,
and that of every call without one of its own.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson

from consumer.emulator_body import read_parameters
from consumer.emulator_http import Answer, Request
from consumer.emulator_refusal import Refusal, invalid

CALLS_MAX = 50
_VERSIONED = re.compile(r"/v\d+\.0/").match


class Batch(NamedTuple):
    """The calls of one request as requests of their own; ``given`` are the parameters beside."""

    calls: tuple[Request, ...]
    given: dict[str, Any]

    def __repr__(self) -> str:
        return f"Batch({len(self.calls)} calls)"


def read_batch(request: Request) -> Batch | Refusal:
    """What ``POST /v26.0/`` asks for, or what is wrong with it."""
    given = read_parameters(request)
    if isinstance(given, Refusal):
        return given
    asked = given.pop("batch", None)
    if type(asked) is not list or not asked:
        return invalid("batch must be a list of calls.")
    if len(asked) > CALLS_MAX:
        return invalid(f"A batch has at most {CALLS_MAX} calls.")
    calls = []
    for each in asked:
        method = each.get("method") if type(each) is dict else None
        relative_url = each.get("relative_url") if type(each) is dict else None
        if type(method) is not str or type(relative_url) is not str:
            return invalid("Each call of a batch needs a method and a relative_url.")
        calls.append(_call(request, method, relative_url, given))
    return Batch(tuple(calls), given)


def answer_of(batch: Batch, answers: Sequence[Answer]) -> Answer:
    """The answers as one, in the order of the calls; a body is a text in it."""
    shows_headers = batch.given.get("include_headers", True) not in (False, "false")
    return Answer(200, orjson.dumps([_told(each, shows_headers) for each in answers]))


def _call(request: Request, method: str, relative_url: str, given: dict[str, Any]) -> Request:
    target = urlsplit(f"/{relative_url.lstrip('/')}")
    version = request.path.strip("/")
    path = target.path if _VERSIONED(target.path) else f"/{version}{target.path}"
    inherited = given.keys() & {"access_token", "appsecret_proof"}
    query: dict[str, str] = {name: given[name] for name in inherited}
    query |= dict(parse_qsl(target.query))
    return Request(method.upper(), path, query, None, "", b"", request.host)


def _told(answer: Answer, shows_headers: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"code": answer.status}
    if shows_headers:
        headers = {"Content-Type": answer.content_type, **answer.headers}
        told["headers"] = [{"name": name, "value": value} for name, value in headers.items()]
    return told | {"body": answer.body.decode()}
