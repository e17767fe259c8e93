"""A client of a node's admin port."""

import http.client
import json
from typing import Any

from tools.catalog.tenant import TenantId

TIMEOUT_SECONDS = 60.0


class AdminError(Exception):
    """The admin port refused, or did not answer."""


class Admin:
    """The admin port at `address` (host:port). Every method raises `AdminError`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def status(self) -> dict[str, Any]:
        """The budget, the counters, and the tenants that hold memory."""
        status: dict[str, Any] = json.loads(self._ask("GET", "/status"))
        return status

    def metrics(self) -> str:
        """The sidecar's metrics, as Prometheus reads them."""
        return self._ask("GET", "/metrics").decode()

    def load(self, tenant: TenantId) -> None:
        """Make `tenant` resident."""
        self._ask("POST", "/models", json.dumps({"model_name": tenant}))

    def unload(self, tenant: TenantId) -> None:
        """Evict `tenant`; it stays on disk."""
        self._ask("DELETE", f"/models/{tenant}")

    def unload_all(self) -> None:
        """Evict everything that is resident."""
        for tenant in self.status()["tenants"]:
            if tenant["state"] == "resident":
                self.unload(tenant["tenant"])

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise AdminError(f"{method} {path}: no answer from {self._address}: {error!r}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise AdminError(f"{method} {path}: {response.status}: {answer[:300].decode(errors='replace')}")
        return answer
