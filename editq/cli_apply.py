"""`editq apply` and `editq sweep`: vectors of the library on a picture, an inversion, or a sample."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from editq.cli_service import Desk, works_at_service
from editq.picture_files import OUT, format_of, place_for, write_picture
from editq.start_points import MODEL, box_of, inverted, one_start, takes_search
from editq.terminal_pictures import show_picture
from editq.vector_use import numbers, use_of
from editq.work import checked, do

JSON = dict[str, Any]
_OPTIONS = (
    click.argument("words", nargs=-1, required=True, metavar="[PICTURE] VECTOR..."),
    click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="In place of PICTURE: a sample."),
    click.option("--inversion", metavar="JOB", help="In place of PICTURE: the code that a job left."),
    MODEL,
    takes_search,
    click.option("--refine", type=click.IntRange(1, 100), metavar="STEPS", help="Refine so long after it."),
    click.option("--mode", type=click.Choice(["auto", "vector", "refinement", "optimisation"]), help="How."),
    click.option("--paste", is_flag=True, help="Write the full-resolution original with the edit pasted in."),
    click.option("--show", is_flag=True, help="Show the result in the terminal, where it can."),
    works_at_service,
)


def _applies(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.option("--sweep", metavar="FACTORS", help="Factors on all strengths, as -1,0,1: a picture for each.")
@click.option("-o", "--out", type=OUT, help="Of a sweep, out_-1.png and so on. By default NAME-applied.png.")
@_applies
def apply(desk: Desk, words: Sequence[str], sweep: str | None, out: Path | None, **asked: Any) -> None:
    """Apply editing vectors to PICTURE, or to a sample.

    \b
    editq apply --seed 3 "larger wheels=+40%"

    A VECTOR is a name or an id, with a strength (wheels=0.5) or an amount of change (wheels=+25%) after it;
    without, its strength is 1. Several add up. `editq vectors list` shows those that there are.
    """
    factors = numbers("--sweep", sweep) if sweep is not None else [1.0]
    picture, vectors = _split(words, asked)
    stem = _stem(picture, asked)
    places = dict(enumerate(_places(out, stem, factors)))
    job = _applied(desk, picture, vectors, factors, asked)
    drawn = "pasted" if asked["paste"] else "picture"
    names = {column: f"{drawn}_000_{column:02d}.png" for column in places}
    for column, place in places.items():
        write_picture(place, desk.client.output(job["id"], names[column]))
    _tell(desk, job, list(places.values()), [names[column] for column in places], show=asked["show"])


@click.command()
@click.option("--strengths", default="-1,-0.5,0,0.5,1", show_default=True, help="Factors on all strengths.")
@click.option("-o", "--out", type=OUT, help="By default NAME-filmstrip.png.")
@_applies
def sweep(desk: Desk, words: Sequence[str], strengths: str, out: Path | None, **asked: Any) -> None:
    """Draw editing vectors at several strengths, as a filmstrip.

    The masks are beneath. What PICTURE and VECTOR are, `editq apply --help` says.
    """
    factors = numbers("--strengths", strengths)
    if len(factors) == 1:
        raise click.UsageError("--strengths: a filmstrip is of two or more; editq apply draws one")
    if asked["paste"]:
        raise click.UsageError(
            "a filmstrip is of the model's pictures: --paste goes with editq apply --sweep"
        )
    picture, vectors = _split(words, asked)
    place = place_for(out, f"{_stem(picture, asked)}-filmstrip.png")
    job = _applied(desk, picture, vectors, factors, asked)
    write_picture(place, desk.client.output(job["id"], "filmstrip_000.png"))
    _tell(desk, job, [place], ["filmstrip_000.png"], show=asked["show"])


def _split(words: Sequence[str], asked: Mapping[str, Any]) -> tuple[Path | None, Sequence[str]]:
    """The picture, where one is to be there, and the vectors. Raises click.UsageError."""
    elsewhere = asked["seed"] is not None or asked["inversion"] is not None
    picture = None if elsewhere else Path(words[0])
    one_start(picture, asked["inversion"], asked["seed"])
    if picture is not None and not picture.is_file():
        raise click.UsageError(f"there is no picture {picture}; or name --seed or --inversion to start from")
    vectors = words if elsewhere else words[1:]
    if not vectors:
        raise click.UsageError("name a vector to apply; `editq vectors list` shows those that there are")
    if asked["seed"] is not None and asked["paste"]:
        raise click.UsageError("a sample has no photograph to paste into")
    box_of(asked["box"])
    return picture, vectors


def _stem(picture: Path | None, asked: Mapping[str, Any]) -> str:
    if picture is not None:
        return picture.stem
    return str(asked["inversion"] or f"{asked['model']}-{asked['seed']}")


def _places(out: Path | None, stem: str, factors: Sequence[float]) -> list[Path]:
    """One for each factor. Raises click.UsageError."""
    if len(set(factors)) != len(factors):
        raise click.UsageError("--sweep: give each factor once")
    if len(factors) == 1:
        return [place_for(out, f"{stem}-applied.png")]
    first = out or Path(f"{stem}-applied.png")
    format_of(first)
    several = [first.with_name(f"{first.stem}_{factor:g}{first.suffix}") for factor in factors]
    return [place_for(path if out else None, str(path)) for path in several]


def _applied(
    desk: Desk,
    picture: Path | None,
    vectors: Sequence[str],
    factors: Sequence[float],
    asked: Mapping[str, Any],
) -> JSON:
    model = asked["model"]
    more = {"refine_steps": asked["refine"], "mode": asked["mode"], "photo": {} if asked["paste"] else None}
    spec: JSON = {"kind": "apply", "model": model, "sweep": list(factors)}
    spec |= {name: value for name, value in more.items() if value is not None}
    checked(spec | {"seed": 0, "vectors": [{"vector": "0" * 32}], "photo": None})
    spec["vectors"] = [use_of(desk.client, text, model) for text in vectors]
    if asked["seed"] is not None:
        return do(desk, "applying", spec | {"seed": asked["seed"]})
    start = asked["inversion"] or inverted(desk, model, _given(picture), asked)["id"]
    return do(desk, "applying", spec | {"inversion": start})


def _given(picture: Path | None) -> Path:
    assert picture is not None
    return picture


def _tell(desk: Desk, job: JSON, places: Sequence[Path], names: Sequence[str], *, show: bool) -> None:
    if show and not desk.as_json:
        for name in names:
            show_picture(desk.console, desk.client.output(job["id"], name))
    (told,) = job["result"]["inputs"]
    answer = {"files": [str(place) for place in places], "measured": told["sweep"], "job": job}
    lines = [escape(str(place)) for place in places]
    for vector in job["result"]["vectors"]:
        lines.append(escape(f"{vector['name']} at a strength of {vector['strength']:.3g}"))
    for row in told["sweep"]:
        kept = row.get("psnr_outside_db")
        rest = "no change was measured" if kept is None else f"as it was to {kept:.1f} dB (PSNR)"
        lines.append(f"times {row['factor']:g}: elsewhere {rest}")
    desk.show(answer, "\n".join(lines))
