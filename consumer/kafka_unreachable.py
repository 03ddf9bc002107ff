"""What to say of brokers that gave no answer, and what to do about it."""

from confluent_kafka import KafkaError

from consumer.finding import Finding, failed
from consumer.kafka_refusal import in_words, refuses_certificate


def unreachable(heard: list[KafkaError], *, seconds: float) -> Finding:
    """What to say of brokers that gave no metadata, from the errors that librdkafka reported.

    A refusal of our credentials or of TLS is told before what merely follows from it.
    """
    kinds = {error.code(): error for error in reversed(heard)}
    tls = [error for error in heard if "SSL handshake failed" in error.str()]
    alerts = [error for error in heard if refuses_certificate(error)]
    if error := kinds.get(KafkaError._AUTHENTICATION):
        return _no_login(in_words(error))
    if alerts:
        return failed(
            "brokers",
            in_words(alerts[0]),
            "Look at KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION: the certificate"
            " must be valid now, and signed by whom the brokers trust.",
        )
    if error := kinds.get(KafkaError._SSL) or (tls[0] if tls else None):
        return failed(
            "brokers",
            f"TLS with a broker fails: {in_words(error)}",
            "Look at KAFKA_SECURITY_PROTOCOL, KAFKA_SSL_CA_LOCATION and the listener's port.",
        )
    if error := kinds.get(KafkaError._RESOLVE):
        advice = "Look at KAFKA_BOOTSTRAP_SERVERS and at this host's name server."
        return failed("brokers", f"a broker's name is not known: {in_words(error)}", advice)
    error = kinds.get(KafkaError._TRANSPORT)
    why = f": {in_words(error)}" if error is not None else ""
    return failed(
        "brokers",
        f"no broker answered within {seconds:g} seconds{why}",
        "Look at KAFKA_BOOTSTRAP_SERVERS and KAFKA_SECURITY_PROTOCOL, and whether brokers are up.",
    )


def _no_login(why: str) -> Finding:
    if "OAUTHBEARER token" in why:
        oauth = "KAFKA_SASL_OAUTHBEARER"
        return failed(
            "brokers",
            f"there is no token to log in with: {why}",
            f"Look at {oauth}_TOKEN_ENDPOINT_URL, {oauth}_CLIENT_ID and {oauth}_CLIENT_SECRET, and"
            " for an endpoint with a CA of your own at KAFKA_HTTPS_CA_LOCATION.",
        )
    advice = "Look at KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD."
    if "invalid_token" in why:
        advice = "Compare issuer, audience and scope of the token with what the brokers expect."
    return failed("brokers", f"a broker refuses our credentials: {why}", advice)
