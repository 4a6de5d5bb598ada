"""A small OIDC issuer on loopback: what it publishes, and tokens that it signed, or should never have."""

import base64
import contextlib
import dataclasses
import http.server
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from on_a_port import serving

from api.issuer import DISCOVERY

AUDIENCE = "editq"
ALGORITHMS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}


@dataclasses.dataclass
class Issuer:
    """`keys`: those that it publishes, by name; `about` and `status` may be made wrong."""

    address: str
    keys: dict[str, Any]
    about: dict[str, Any]
    asked: list[str] = dataclasses.field(default_factory=list)
    status: int = 200
    pause_s: float = 0.0

    def token(self, key: str = "rsa", *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Claims that are None are left out."""
        now = int(time.time())
        asked = {
            "iss": self.address, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300,
            "tenant": "acme", "scope": "openid editq:submit", **claims,
        }  # fmt: skip
        told = {name: value for name, value in asked.items() if value is not None}
        algorithm = ALGORITHMS[key.partition("-")[0]]
        return jwt.encode(told, PRIVATE[key], algorithm, headers={"kid": key} if headers is None else headers)

    def published(self) -> dict[str, Any]:
        return {
            "keys": [public_jwk(PRIVATE[name]) | {"kid": name} | more for name, more in self.keys.items()]
        }


PRIVATE: dict[str, Any] = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "rsa-next": rsa.generate_private_key(65537, 2048),
    "rsa-short": rsa.generate_private_key(65537, 1024),
    "rsa-foreign": rsa.generate_private_key(65537, 2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "ed": ed25519.Ed25519PrivateKey.generate(),
}


def public_jwk(private: Any) -> dict[str, Any]:
    family = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256"}
    name = next((name for kind, name in family.items() if isinstance(private, kind)), "EdDSA")
    document = jwt.get_algorithm_by_name(name).to_jwk(private.public_key())
    found: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    found.pop("key_ops", None)
    return found


@contextlib.contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer that answers on loopback."""
    found: Issuer

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            time.sleep(found.pause_s)
            document = found.about if self.path == DISCOVERY else found.published()
            body = json.dumps(document).encode()
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(body)))
            if found.status == 302:
                self.send_header("Location", f"{found.address}/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    found = Issuer(
        address, {"rsa": {}, "ec": {}, "ed": {}}, {"issuer": address, "jwks_uri": f"{address}/keys"}
    )
    with serving(server):
        yield found


def encoded(part: dict[str, Any] | bytes) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
