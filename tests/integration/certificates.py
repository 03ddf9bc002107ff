"""A throw-away certificate authority, and what it signs, as PEM files of a test's folder."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=1)
# Clocks of containers and their hosts differ a little.
VALID_BEFORE = timedelta(hours=1)


class Authority:
    """A certificate authority that nobody trusts but who is given ``path``, its own certificate."""

    def __init__(self, *, name: str, folder: Path) -> None:
        self._folder = folder
        self._name = _subject(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        key = self._key.public_key()
        usage = x509.KeyUsage(
            key_cert_sign=True,
            crl_sign=True,
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        own = (
            _certificate(self._name, key)
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(own.public_bytes(Encoding.PEM))

    def server(self, address: str) -> Path:
        """The PEM of a server's private key and certificate, for one IP address or name."""
        try:
            name: x509.GeneralName = x509.IPAddress(ip_address(address))
        except ValueError:
            name = x509.DNSName(address)
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([name])
        subject = _certificate(_subject(address), key.public_key()).add_extension(
            names, critical=False
        )
        certificate = self._signed(subject, ExtendedKeyUsageOID.SERVER_AUTH)
        path = self._folder / f"server-{address}.pem"
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
        )
        return path

    def client(self, name: str, *, password: str, valid: timedelta = VALID) -> "ClientFiles":
        """A client's certificate, and its private key, which ``password`` opens."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _certificate(_subject(name), key.public_key(), valid)
        certificate = self._signed(subject, ExtendedKeyUsageOID.CLIENT_AUTH)
        files = ClientFiles(
            self._folder / f"{name}.crt", self._folder / f"{name}.key", self._folder / f"{name}.txt"
        )
        locked = BestAvailableEncryption(password.encode())
        files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        files.key.touch(mode=0o600)
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        files.password.write_text(f"{password}\n", encoding="utf-8")
        return files

    def _signed(
        self, certificate: x509.CertificateBuilder, usage: x509.ObjectIdentifier
    ) -> x509.Certificate:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            certificate.issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )


class ClientFiles(NamedTuple):
    """What a client shows of itself, and what opens its key."""

    certificate: Path
    key: Path
    password: Path


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, valid: timedelta = VALID
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID_BEFORE)
        .not_valid_after(now + valid)
    )
