"""What an edit or a vector starts from: a picture file, a job's code, or a sample; as a command's options."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from editq.cli_service import Desk
from editq.cli_start import tell
from editq.work import do, warnings_of

JSON = dict[str, Any]
PICTURE = click.Path(path_type=Path, exists=True, dir_okay=False)
MODEL = click.option("--model", default="cars", show_default=True, help="The model to work with.")
_SOUGHT = (
    click.option("--inversion-steps", type=click.IntRange(1, 5000), default=500, show_default=True,
                 help="To find a picture's code."),
    click.option("--tune-steps", type=click.IntRange(0, 2000), default=0, show_default=True,
                 help="To tune the generator to the picture, after that."),
    click.option("--lambda-prior", type=click.FloatRange(0, 1000), default=0.0, show_default=True,
                 help="To keep the code among ordinary ones: 0.003, say, for a drawing of a face."),
    click.option("--box", metavar="X,Y,SIZE", help="The square of the picture that the model sees, in its "
                 "own pixels; by default the largest central one."),
)  # fmt: skip


def takes_search(command: Callable[..., None]) -> Callable[..., None]:
    """How a picture's code is looked for."""
    for option in reversed(_SOUGHT):
        command = option(command)
    return command


def box_of(text: str | None) -> JSON:
    """{"box": ...}, or nothing. Raises click.UsageError."""
    if text is None:
        return {}
    try:
        x, y, size = (int(number) for number in text.split(","))
    except ValueError:
        raise click.UsageError(f"--box {text}: give X,Y,SIZE in pixels, as in 420,180,1600") from None
    return {"box": {"x": x, "y": y, "size": size}}


def invert_spec(model: str, image: str, asked: Mapping[str, Any]) -> JSON:
    how = {name: asked[name] for name in ("tune_steps", "lambda_prior")} | {"steps": asked["inversion_steps"]}
    return {"kind": "invert", "model": model, "image": image, **how, **box_of(asked["box"])}


def inverted(desk: Desk, model: str, picture: Path, asked: Mapping[str, Any]) -> JSON:
    """The job that found a picture's code. A code that was found before is taken over."""
    image = desk.client.upload_image(picture)
    job = do(desk, f"inverting {picture.name}", invert_spec(model, image["id"], asked))
    for text in warnings_of(job):
        tell(f"warning: {text}")
    return job


def one_start(picture: Path | None, inversion: str | None, seed: int | None = None) -> None:
    """Raises click.UsageError unless exactly one is given."""
    if sum(given is not None for given in (picture, inversion, seed)) != 1:
        raise click.UsageError("give one thing to start from: a PICTURE, --inversion or --seed")
