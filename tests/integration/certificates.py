"""A certificate for 127.0.0.1, made on the spot."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.access.certificates import Certificate

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


def self_signed(folder: Path) -> Certificate:
    """A certificate that only who is shown it trusts."""
    chain, key = folder / "tls.crt", folder / "tls.key"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-days", "2", "-keyout", str(key), "-out", str(chain)]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    return Certificate(chain, key)
