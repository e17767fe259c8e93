"""Calls to the admin port of a node carry its token, where it asks for one."""

import os
import urllib.request

TOKEN_VARIABLE = "ORCHARD_ADMIN_TOKEN"


def admin_request(address: str, path: str, method: str = "GET") -> urllib.request.Request:
    """A request to the admin port at `address` (host:port), with the token of the environment if there is one."""
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return urllib.request.Request(f"http://{address}{path}", method=method, headers=headers)
