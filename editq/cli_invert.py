"""`editq invert` and `editq sample`: the codes and pictures that edits start from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from editq.cli_service import Desk, Refused, sentence, works_at_service
from editq.cli_start import tell
from editq.picture_files import write_whole
from editq.start_points import MODEL, PICTURE, box_of, inverted, takes_search
from editq.terminal_pictures import show_picture
from editq.work import do
from storage.errors import EditqError, Unavailable

JSON = dict[str, Any]
PARTLY = 3
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("pictures", type=PICTURE, nargs=-1, required=True, metavar="PICTURE...")
@MODEL
@takes_search
@click.option(
    "-o", "--out", type=FOLDER, help="Write what the model draws, masks and codes into this folder."
)
@click.option("--show", is_flag=True, help="Show what the model draws in the terminal, where it can.")
@works_at_service
def invert(
    desk: Desk, pictures: tuple[Path, ...], model: str, out: Path | None, show: bool, **asked: Any
) -> None:
    """Find the codes that make a model draw PICTUREs.

    Prints the jobs that hold them.

    \b
    An edit, an apply or a learn starts from such a job: editq edit --inversion JOB --grow wheel=25%
    The exit status is 3 where some of several pictures could not be inverted.
    """
    box_of(asked["box"])
    if len({picture.stem for picture in pictures}) != len(pictures) and out is not None:
        raise click.UsageError("two of the pictures have the same name: their files would be the same")
    told: list[JSON] = []
    for picture in pictures:
        told.append(_one(desk, picture, model, asked))
        if out is not None and "job" in told[-1]:
            out.mkdir(parents=True, exist_ok=True)
            told[-1]["files"] = _leave(desk, told[-1]["job"], out, picture.stem)
        if show and not desk.as_json and "job" in told[-1]:
            show_picture(desk.console, desk.client.output(told[-1]["job"]["id"], "inverted.png"))
    failed = [each for each in told if "error" in each]
    if len(failed) == len(pictures):
        raise Refused("none could be inverted" if len(pictures) > 1 else failed[0]["error"], {"items": told})
    desk.show({"items": told}, "\n".join(_line(each) for each in told))
    raise SystemExit(PARTLY if failed else 0)


def _one(desk: Desk, picture: Path, model: str, asked: Mapping[str, Any]) -> JSON:
    """What became of one picture; the next one is not kept from its turn by what is wrong with it."""
    try:
        return {"picture": str(picture), "job": inverted(desk, model, picture, asked)}
    except Unavailable:
        raise
    except (Refused, EditqError) as error:
        words = error.message if isinstance(error, Refused) else sentence(error)
        tell(f"{picture}: {words}")
        return {"picture": str(picture), "error": words}


def _leave(desk: Desk, job: JSON, folder: Path, stem: str) -> list[str]:
    endings = {"inverted.png": ".inverted.png", "mask.png": ".mask.png", "w_plus.safetensors": ".safetensors"}
    paths = []
    for name, ending in endings.items():
        path = folder / f"{stem}{ending}"
        write_whole(path, desk.client.output(job["id"], name))
        paths.append(str(path))
    return paths


def _line(told: JSON) -> str:
    if "error" in told:
        return escape(f"{told['picture']}: {told['error']}")
    job = told["job"]
    reused = ", taken over from an earlier job" if job["result"].get("reused") else ""
    psnr_db = job["result"].get("psnr_db")
    how = f"{psnr_db:.1f} dB{reused}" if psnr_db is not None else reused
    lines = [f"{told['picture']}: {job['id']}  {how}"]
    lines += [f"  {path}" for path in told.get("files", [])]
    return escape("\n".join(lines))


@click.command()
@MODEL
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of the first.")
@click.option("--count", type=click.IntRange(1, 64), default=1, show_default=True, help="How many.")
@click.option("--psi", type=click.FloatRange(0, 1), default=0.7, show_default=True, help="Truncation.")
@click.option("-o", "--out", type=FOLDER, default=Path(), show_default=True, help="The folder to write to.")
@click.option("--show", is_flag=True, help="Show them in the terminal, where it can.")
@works_at_service
def sample(desk: Desk, model: str, seed: int, count: int, psi: float, out: Path, show: bool) -> None:
    """Draw pictures from a model, with their masks.

    They are called MODEL-SEED.png and MODEL-SEED.mask.png.
    """
    spec = {"kind": "sample", "model": model, "seed": seed, "count": count, "truncation_psi": psi}
    job = do(desk, f"drawing {count}", spec)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    drawn = [name for name in job["outputs"] if name.startswith("picture_")]  # fewer where it was stopped
    for index in range(len(drawn)):
        for kind, ending in (("picture", ".png"), ("mask", ".mask.png")):
            data = desk.client.output(job["id"], f"{kind}_{index:03d}.png")
            path = out / f"{model}-{seed + index}{ending}"
            write_whole(path, data)
            paths.append(str(path))
            if show and kind == "picture" and not desk.as_json:
                show_picture(desk.console, data)
    desk.show({"files": paths, "job": job}, escape("\n".join(paths)))
