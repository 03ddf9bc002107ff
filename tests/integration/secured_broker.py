"""A broker with the doors that production has, and who may come in by them.

``SASL_SSL`` asks for a password (SCRAM), ``MTLS`` for a certificate, ``OAUTH`` for a token of an
identity provider; all speak TLS only.
"""

from pathlib import Path
from typing import NamedTuple

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.integration import free_ports
from tests.integration.certificates import Authority, ClientFiles
from tests.integration.identity_provider import AUDIENCE, ISSUER, IdentityProvider
from tests.integration.kafka_broker import KafkaBroker

ANSWER_SECONDS_MAX = 30.0

_OAUTH = "org.apache.kafka.common.security.oauthbearer"
_VALIDATOR = "OAuthBearerValidatorCallbackHandler"
_SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"


class Secured(NamedTuple):
    """The broker, its addresses by door, who vouches for it, and who gives tokens."""

    kafka: KafkaBroker
    address: str
    mtls_address: str
    oauth_address: str
    authority: Authority
    provider: IdentityProvider


class User(NamedTuple):
    """A user of the broker, and the file that the product finds the password in."""

    name: str
    password: str
    path: Path

    def changed(self, password: str) -> "User":
        """The same user with another password in the file, which is replaced as a whole."""
        replace_file(self.path, f"{password}\n")
        return self._replace(password=password)


def secured_broker(*, java: Path, libs: Path, folder: Path) -> Secured:
    """One that is not started yet, as its provider is not."""
    authority = Authority(name="authority", folder=folder)
    provider = IdentityProvider(authority=authority, folder=folder)
    address, mtls, oauth = (f"127.0.0.1:{port}" for port in free_ports(3))
    keys = provider.keys_path.as_uri()
    in_oauth = "listener.name.oauth.oauthbearer"
    properties = {
        "listeners": f"SASL_SSL://{address},MTLS://{mtls},OAUTH://{oauth}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
        "SASL_SSL:SASL_SSL,MTLS:SSL,OAUTH:SASL_SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(authority.server("127.0.0.1")),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
        "listener.name.sasl_ssl.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{_SCRAM_LOGIN} required;",
        "listener.name.mtls.ssl.client.auth": "required",
        "listener.name.mtls.ssl.truststore.type": "PEM",
        "listener.name.mtls.ssl.truststore.location": str(authority.path),
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{in_oauth}.sasl.jaas.config": f"{_OAUTH}.OAuthBearerLoginModule required;",
        f"{in_oauth}.sasl.server.callback.handler.class": f"{_OAUTH}.{_VALIDATOR}",
        # A session ends with its token, unless the client shows a new one in time.
        f"{in_oauth}.connections.max.reauth.ms": "3600000",
        "sasl.oauthbearer.jwks.endpoint.url": keys,
        "sasl.oauthbearer.expected.audience": AUDIENCE,
        "sasl.oauthbearer.expected.issuer": ISSUER,
    }
    broker = KafkaBroker(
        java=java,
        libs=libs,
        folder=folder,
        extra_properties=properties,
        jvm_options=(f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}",),
    )
    return Secured(broker, address, mtls, oauth, authority, provider)


def with_password(secured: Secured, user: User) -> dict[str, str]:
    """What the product needs to be let in by SCRAM over TLS."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": secured.address,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": user.name,
        "KAFKA_SASL_PASSWORD_FILE": str(user.path),
        "KAFKA_SSL_CA_LOCATION": str(secured.authority.path),
    }


def with_certificate(secured: Secured, files: ClientFiles) -> dict[str, str]:
    """What the product needs to be let in by a certificate."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": secured.mtls_address,
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CA_LOCATION": str(secured.authority.path),
        "KAFKA_SSL_CERTIFICATE_LOCATION": str(files.certificate),
        "KAFKA_SSL_KEY_LOCATION": str(files.key),
        "KAFKA_SSL_KEY_PASSWORD_FILE": str(files.password),
    }


def with_token(secured: Secured, secret: Path) -> dict[str, str]:
    """What the product needs to be let in by a token, which the ``secret``'s file gets it."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": secured.oauth_address,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SSL_CA_LOCATION": str(secured.authority.path),
        "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "KAFKA_SASL_OAUTHBEARER_METHOD": "oidc",
        "KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": secured.provider.url,
        "KAFKA_SASL_OAUTHBEARER_CLIENT_ID": "conversions-consumer",
        "KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET_FILE": str(secret),
        "KAFKA_HTTPS_CA_LOCATION": str(secured.authority.path),
    }


def set_password(kafka: KafkaBroker, user: User) -> None:
    """Make the broker know the user by this password alone."""
    admin = AdminClient({**kafka.client_config()})
    iterations_min = 4096
    wanted = UserScramCredentialUpsertion(
        user.name,
        ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, iterations_min),
        user.password.encode(),
    )
    admin.alter_user_scram_credentials([wanted])[user.name].result(ANSWER_SECONDS_MAX)


def replace_file(path: Path, text: str) -> None:
    """Put another file in the place of one, as a whole."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.rename(path)
