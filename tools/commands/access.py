"""Options about access that several verbs have. The variables are the sidecar's, too."""

from pathlib import Path
from typing import Annotated

import typer

LimitsOption = Annotated[
    Path | None, typer.Option(envvar="ORCHARD_LIMITS", help="YAML file: calls a second and at once, for each tenant.")
]
ApiKeysOption = Annotated[
    Path | None, typer.Option(envvar="ORCHARD_API_KEYS", help="File of API keys, by orchard keys. Only they may call.")
]
CertificateOption = Annotated[
    Path | None, typer.Option(envvar="ORCHARD_CERTIFICATE", help="PEM file with its chain: HTTPS, and TLS for gRPC.")
]
KeyOption = Annotated[
    Path | None, typer.Option(envvar="ORCHARD_CERTIFICATE_KEY", help="PEM file: the certificate's private key.")
]
