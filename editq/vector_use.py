"""Editing vectors from the command line: `larger wheels`, `larger wheels=0.5`, `ID=+25%`."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import click

from editq.client import Client

JSON = dict[str, Any]
_IDENTIFIER = re.compile(r"[0-9a-f]{32}")
_USE = re.compile(r"(?P<vector>.+)=(?P<number>[+-]?[0-9]+(?:\.[0-9]+)?) ?(?P<percent>%)?")


def use_of(client: Client, text: str, model: str) -> JSON:
    """A vector by name or id, at a strength or an amount. Raises click.UsageError."""
    found = _USE.fullmatch(text)
    if found is None:
        return {"vector": vector_id(client, text, model)}
    use: JSON = {"vector": vector_id(client, found["vector"], model)}
    if found["percent"]:
        return use | {"amount": f"{found['number']} %"}
    return use | {"strength": float(found["number"])}


def vector_id(client: Client, name: str, model: str) -> str:
    """The id of the vector that is called so, or that alone has this in its name.

    Raises click.UsageError; ModelNotFound.
    """
    if _IDENTIFIER.fullmatch(name):
        return name
    near = [each for each in client.list_vectors(model=model, text=name) if _holds(each, name)]
    called = [each for each in near if each["name"].casefold() == name.casefold()] or near
    if len(called) == 1:
        return str(called[0]["id"])
    if called:
        raise click.UsageError(f"{len(called)} vectors are meant by {name!r}: give an id, {_named(called)}")
    vector, _, strength = name.rpartition("=")
    if vector:
        raise click.UsageError(f"{name}: {strength!r} is no strength (0.5), and no change (+25%)")
    known = list(client.list_vectors(model=model, limit=20))
    if not known:
        client.model(model)  # whether there is such a model
    there = f"There are: {_named(known)}" if known else f"{model} has no vectors yet"
    raise click.UsageError(f"no vector of {model} is called {name!r}. {there}")


def numbers(option: str, text: str) -> list[float]:
    """With commas between. Raises click.UsageError."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise click.UsageError(f"{option} {text}: give numbers with commas between") from None


def _holds(vector: Mapping[str, Any], name: str) -> bool:
    return name.casefold() in vector["name"].casefold()


def _named(vectors: Iterable[JSON]) -> str:
    return ", ".join(f"{vector['name']} ({vector['id']})" for vector in vectors)
