"""What the parts of the client ask the service by; `Client` says how."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

JSON = dict[str, Any]


class Calls:
    """A part of Client. Every method may raise EditqError."""

    _http: httpx.Client
    _retry_s: float

    @abstractmethod
    def _json(self, method: str, path: str, **arguments: Any) -> JSON:
        """The answer's JSON."""

    @abstractmethod
    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response: ...

    @abstractmethod
    def _pages(self, path: str, asked: Mapping[str, Any], limit: int | None) -> Iterator[JSON]:
        """The items of a list, whose pages are fetched as they are needed."""

    @abstractmethod
    def _once(self, path: str, key: str | None, **arguments: Any) -> JSON:
        """The answer to a request that makes something: sent again, under one key, until it comes."""
