"""The edge to Meta's Graph API: one POST per request, and GETs. Its client is ``egress``'s.

The token travels in the body, never in a URL or header of a POST, because URLs end up in logs.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx
import orjson
from pydantic import SecretStr

from consumer.deadline import Deadline
from consumer.egress import egress_to
from consumer.judge import Posted, read_answer, version_warning
from consumer.model import (
    Halted,
    HaltReason,
    MetaError,
    PixelId,
    Request,
    Retry,
    RetryCause,
)
from consumer.secret_files import RotatingSecret
from consumer.unanswered import why_unanswered
from consumer.usage import Usage, read_usage

ANSWER_BYTES_MAX = 1024 * 1024
_NOT_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def _no_fields(_: PixelId) -> Mapping[str, str]:
    return {}


class Meta:
    """Sends requests to ``{graph_url}/{graph_version}/{pixel}/events``; safe for many threads."""

    def __init__(
        self,
        *,
        graph_url: str,
        graph_version: str,
        timeout_seconds: float,
        connections_max: int,
        token_for: Callable[[PixelId], SecretStr | None],
        app_secret: RotatingSecret,
        transport: httpx.BaseTransport | None,
        body_fields_for: Callable[[PixelId], Mapping[str, str]] = _no_fields,
    ) -> None:
        self._base = f"{graph_url.rstrip('/')}/{graph_version}"
        self._timeout_seconds = timeout_seconds
        self._token_for = token_for
        self._body_fields_for = body_fields_for
        self._app_secret = app_secret
        self._client, self._deadline, self._through_proxy = egress_to(
            graph_url,
            transport=transport,
            timeout=timeout_seconds,
            limits=httpx.Limits(
                max_connections=connections_max, max_keepalive_connections=connections_max
            ),
            headers={"content-type": "application/json", "user-agent": "conversions-consumer"},
        )

    def __repr__(self) -> str:
        return f"<Meta {self._base}>"

    def post(self, request: Request) -> Posted:
        """Send one request and judge its answer. Never raises for what the network does."""
        token = self._token_for(request.key.destination)
        if token is None:
            return Posted(Halted(HaltReason.TOKEN, MetaError(http_status=0)))
        url = f"{self._base}/{request.key.destination}/events"
        content = self._body(request, token.get_secret_value())
        asked = self._client.build_request("POST", url, content=content)
        try:
            self._deadline.begin(self._timeout_seconds)
            answer = _read(self._client, asked, self._deadline)
        except httpx.HTTPError as error:
            return Posted(self._unanswered(error))
        sent = len(request.events)
        return read_answer(answer.status, answer.headers, answer.body, sent=sent)

    def close(self) -> None:
        """Close the connections that are idle."""
        self._client.close()

    def _unanswered(self, error: httpx.HTTPError) -> Retry:
        """A request without an answer. One that the proxy lets not through has not left, either."""
        late = isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout)
        return Retry(
            RetryCause.TIMEOUT if late else RetryCause.CONNECTION,
            None,
            reached_meta=not isinstance(error, _NOT_LEFT),
            why=why_unanswered(error, through_proxy=self._through_proxy),
        )

    def _body(self, request: Request, token: str) -> bytes:
        """The events' bytes joined: nothing is encoded a second time."""
        own = self._body_fields_for(request.key.destination)
        extra: dict[str, str] = {**own, "access_token": token}
        secret = self._app_secret.current()
        if secret is not None:
            extra["appsecret_proof"] = appsecret_proof(token, secret)
        if request.key.test_code:
            extra["test_event_code"] = request.key.test_code
        events = b",".join([event.body for event in request.events])
        return b'{"data":[' + events + b"]," + orjson.dumps(extra)[1:]


@dataclass(frozen=True, slots=True)
class GraphAnswer:
    """What Graph answered; ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def usage(self) -> tuple[Usage, ...]:
        """How much of Meta's limits is used up."""
        return read_usage(self.headers)

    @property
    def version_warning(self) -> str | None:
        """Meta's warning that our version of the Graph API nears its end, masked."""
        return version_warning(self.headers)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """There was no answer; ``why`` is a sentence's end, without the address."""

    why: str


class GraphReader:
    """Reads ``{graph_url}/{graph_version}/{path}``; safe for many threads.

    The token travels in the ``Authorization`` header or in the body, never in the URL.
    """

    def __init__(
        self,
        *,
        graph_url: str,
        graph_version: str,
        timeout_seconds: float,
        app_secret: RotatingSecret,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self._base = f"{graph_url.rstrip('/')}/{graph_version}"
        self._timeout_seconds = timeout_seconds
        self._app_secret = app_secret
        self._client, self._deadline, self._through_proxy = egress_to(
            graph_url,
            transport=transport,
            timeout=timeout_seconds,
            headers={"user-agent": "conversions-consumer"},
        )

    def __repr__(self) -> str:
        return f"<GraphReader {self._base}>"

    def get(
        self, path: str, parameters: Mapping[str, str], *, token: SecretStr
    ) -> GraphAnswer | Unanswered:
        """Read once. Never raises for what the network does."""
        plain = token.get_secret_value()
        asked = self._client.build_request(
            "GET",
            f"{self._base}/{path}",
            params={**parameters, **self._proof(plain)},
            headers={"authorization": f"Bearer {plain}"},
        )
        return self._answer(asked)

    def get_in_batch(
        self, path: str, parameters: Mapping[str, str], *, token: SecretStr
    ) -> GraphAnswer | Unanswered:
        """Read once, with parameters that may stand in no URL: the answer is to a batch of one.

        Source: "Batch requests" and "Secure Graph API calls", whose examples send this as a form.
        """
        plain = token.get_secret_value()
        call = {"method": "GET", "relative_url": f"{path}?{httpx.QueryParams(parameters)}"}
        form = {
            "access_token": plain,
            "batch": orjson.dumps([call]).decode(),
            "include_headers": "false",
            **self._proof(plain),
        }
        return self._answer(self._client.build_request("POST", f"{self._base}/", data=form))

    def _proof(self, token: str) -> dict[str, str]:
        secret = self._app_secret.current()
        return {} if secret is None else {"appsecret_proof": appsecret_proof(token, secret)}

    def _answer(self, asked: httpx.Request) -> GraphAnswer | Unanswered:
        try:
            self._deadline.begin(self._timeout_seconds)
            return _read(self._client, asked, self._deadline)
        except _TooMuch as error:
            return Unanswered(str(error))
        except httpx.HTTPError as error:
            return Unanswered(why_unanswered(error, through_proxy=self._through_proxy))

    def close(self) -> None:
        """Close the connections that are idle."""
        self._client.close()


class _TooMuch(httpx.ReadTimeout):
    """An answer without an end, or one that drips and so never trips a read time-out."""


def _read(client: httpx.Client, asked: httpx.Request, deadline: Deadline) -> GraphAnswer:
    """Send, and read the whole answer. Raises ``httpx.HTTPError``."""
    try:
        response = client.send(asked, stream=True)
        try:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if deadline.is_over or len(body) > ANSWER_BYTES_MAX:
                    raise _TooMuch("the answer is too long or too slow")
        finally:
            response.close()
    except TimeoutError as error:
        raise _TooMuch("the answer is too long or too slow") from error
    headers = {name.lower(): value for name, value in response.headers.items()}
    return GraphAnswer(response.status_code, headers, bytes(body))


def appsecret_proof(token: str, secret: SecretStr) -> str:
    """HMAC-SHA256 of the token under the app's secret, lower-case hex (Graph API, "Secure
    Graph API calls")."""
    key = secret.get_secret_value().encode()
    return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()
