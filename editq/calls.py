"""What the parts of the client ask the service by; `Client` says how."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import httpx

JSON = dict[str, Any]
T = TypeVar("T")


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

    @abstractmethod
    def _patiently(self, call: Callable[[], T], at_most_s: float = math.inf) -> T:
        """What the call returns, tried again for `retry_s` where the service is away."""
