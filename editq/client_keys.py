"""What the client asks about API keys."""

from collections.abc import Iterator

from editq.calls import JSON, Calls


class KeyCalls(Calls):
    """The part of Client that is about API keys. Every method may raise EditqError."""

    def create_key(self, name: str, scope: str, *, lasts_s: float | None = None) -> JSON:
        """The new key: `key` is what its owner needs, and is shown this once. Scopes: read, submit, admin."""
        return self._json("POST", "/v1/keys", json={"name": name, "scope": scope, "lasts_s": lasts_s})

    def list_keys(self, *, prefix: str = "", limit: int | None = None) -> Iterator[JSON]:
        """Newest first, those that no longer hold too."""
        return self._pages("/v1/keys", {"prefix": prefix or None}, limit)

    def rotate_key(self, key_id: str, *, grace_s: float = 86400.0) -> JSON:
        """A new key in the place of this one, which holds for `grace_s` more."""
        return self._json("POST", f"/v1/keys/{key_id}/rotate", json={"grace_s": grace_s})

    def revoke_key(self, key_id: str) -> JSON:
        return self._json("POST", f"/v1/keys/{key_id}/revoke")
