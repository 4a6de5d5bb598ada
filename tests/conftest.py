"""Fixtures that all tests share: real servers, one of each per session. See servers.py."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import psycopg
import pytest
import servers
from servers import S3Server, ServerMissing

T = TypeVar("T")


def started(server: AbstractContextManager[T]) -> Iterator[T]:
    """A server for a fixture. Not installed: the test is skipped, but fails where CI=true."""
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(server)
        except ServerMissing as error:
            missing(str(error))
        yield handle


def missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and CI tests with everything")
    pytest.skip(what)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A function that gives a port which nobody listens on."""
    return servers.free_port


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for url, _ in started(servers.redis_server(tmp_path_factory.mktemp("redis"))):
        yield url


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        binary = servers.valkey_binary()
    except ServerMissing as error:
        missing(str(error))
    for url, _ in started(servers.redis_server(tmp_path_factory.mktemp("valkey"), binary)):
        yield url


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[str]:
    """URL of the cluster's own database; tests use postgres_url."""
    yield from started(servers.postgres_cluster())


@pytest.fixture
def postgres_url(postgres_cluster: str) -> Iterator[str]:
    """URL of a fresh, empty database."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_cluster.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield postgres_cluster.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[S3Server]:
    yield from started(servers.moto_server())


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    yield from started(servers.rclone_server(tmp_path_factory.mktemp("rclone")))
