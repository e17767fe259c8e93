"""The certificate and key that a node answers with, when it is given them."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from tools.access.errors import AccessError


class BadCertificateError(AccessError):
    """The certificate or its key cannot be used. The message says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: the certificate with its chain, and its private key."""

    chain: Path
    key: Path


def certificate_of(chain: Path | None, key: Path | None) -> Certificate | None:
    """The pair, checked; None when neither is given.

    Raises:
        BadCertificateError: one is missing, cannot be read, or they do not belong together.
    """
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise BadCertificateError("a certificate needs its key, and a key its certificate: give both, or neither")
    for path in (chain, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise BadCertificateError(f"{path} cannot be read: {error.strerror}") from None
    try:
        # A wrong password instead of a question at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password="")
    except ssl.SSLError as error:
        raise BadCertificateError(f"{chain} and {key} are no certificate and its key: {error.reason}") from None
    return Certificate(chain.resolve(), key.resolve())
