"""What librdkafka says, in words that hold no secret."""

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from consumer.kafka_refusal import in_words, refused_property

CANARY = "canary-secret-77"
NO_TOKEN = "Failed to acquire SASL OAUTHBEARER token: "


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (f'{{"error": "invalid_client", "error_description": "{CANARY}"}}', "invalid_client"),
        (f'{{"error_description": "{CANARY}"}}', "something else than a token"),
        (f"<html>{CANARY}</html>", "something else than a token"),
        (f'SSL {{"said": "{CANARY}"}}', "something else than a token"),
        (f"no such client: {CANARY}", "something else than a token"),
    ],
)
def test_what_an_identity_provider_answers_is_not_quoted(answer: str, words: str) -> None:
    error = KafkaError(KafkaError._AUTHENTICATION, NO_TOKEN + answer)

    assert in_words(error) == f"{NO_TOKEN}the token endpoint answers {words}"


@pytest.mark.parametrize(
    "why",
    [
        "Failed to connect to 127.0.0.1:9 after 0 ms: Could not connect to server",
        "SSL certificate OpenSSL verify result: unable to get local issuer certificate (20)",
        "error adding trust anchors from file: /etc/pki/tls/certs/ca-bundle.crt",
        "Must supply an unexpired token: now=1795440515277ms, exp=1795440415000ms",
        "Could not resolve host: login.example",
        "CONNECT tunnel failed, response 403",
        "Operation timed out after 5000 milliseconds with 0 bytes received",
    ],
)
def test_what_our_own_side_met_is_told_in_full(why: str) -> None:
    error = KafkaError(KafkaError._AUTHENTICATION, NO_TOKEN + why)

    assert in_words(error) == NO_TOKEN + why


@pytest.mark.parametrize("number", [42, 45, 46, 48, 116])
def test_a_certificate_that_a_broker_refuses_is_called_so(number: int) -> None:
    said = f"Receive failed: error:0A000412:SSL routines::alert: SSL alert number {number} (after"

    told = in_words(KafkaError(KafkaError._TRANSPORT, said))

    assert told == f"a broker refuses our certificate: {said}"


@pytest.mark.parametrize("number", [40, 47, 70, 80])
def test_another_alert_of_tls_is_not_about_our_certificate(number: int) -> None:
    said = f"SSL handshake failed: error:0A000410:SSL routines::alert: SSL alert number {number}"

    assert in_words(KafkaError(KafkaError._SSL, said)) == said


def test_every_other_error_keeps_its_words() -> None:
    said = "SASL authentication error: Authentication failed: invalid credentials"

    assert in_words(KafkaError(KafkaError._AUTHENTICATION, said)) == said


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"security.protocol": CANARY}, "security.protocol"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/nowhere"}, "ssl.ca.location"),
        ({"security.protocol": "SSL", "ssl.key.location": "/nowhere"}, "ssl.key.location"),
        ({}, "sasl.mechanism"),
        (
            {"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc"},
            "sasl.oauthbearer.token.endpoint.url",
        ),
    ],
)
def test_the_property_that_librdkafka_does_not_take_is_named(
    changed: dict[str, str], named: str
) -> None:
    with pytest.raises(KafkaException) as refused:
        Producer({"bootstrap.servers": "127.0.0.1:1", "security.protocol": "SASL_SSL", **changed})

    assert refused_property(refused.value) == named
