"""The data card in Markdown, for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Card = Mapping[str, Any]


def card_text(card: Card) -> str:
    """card: what About has, what `figures` found, and `formats`."""
    chapters = [
        f"# {card['title']}",
        _summary(card),
        "![Pictures, each above itself under its mask](grid.png)",
        "## Items\n\n" + _items(card),
        "## Parts\n\n" + _parts(card),
        "## How sure the masks are\n\n" + _certainty(card),
        *(["## Vectors\n\n" + _vectors(card)] if card["strengths"] else []),
        "## Where it comes from\n\n" + _provenance(card),
        "## Licence\n\n" + _licence(card),
    ]
    return "\n\n".join(chapters) + "\n"


def _summary(card: Card) -> str:
    width, height = card["size_px"]
    return (
        f"{card['items']} drawn pictures of {width} x {height} px, each with a mask of "
        f"{len(card['parts'])} parts, as {', '.join(card['formats'])}. Nobody painted or checked the masks: "
        "the model's own segmenter read them from the features that the picture was drawn from."
    )


def _items(card: Card) -> str:
    total = card["items"]
    rows = [[split, count, f"{100 * count / total:.1f} %"] for split, count in card["splits"].items()]
    left_out = [[f"left out: {why}", count, ""] for why, count in card["rejected"].items()]
    drawn = [f"drawn, of {card['asked']} asked for", card["drawn"], ""]
    return (
        f"{_table(['', 'items', 'share'], [*rows, *left_out, drawn])}\n\n"
        "The split of an item is decided by the SHA-256 of its generator and seed alone: a sample is of the "
        "same split in every data set with these fractions, edited or not."
    )


def _parts(card: Card) -> str:
    splits = list(card["splits"])
    instances = ["instances"] if "instances" in card["parts"][0] else []
    heads = ["id", "part", *(f"items in {split}" for split in splits), *instances, "pixels", "share"]
    rows = []
    for part in card["parts"]:
        counts = [part["items"][split] for split in splits] + [part[name] for name in instances]
        share = f"{100 * part['share']:.3f} %"
        rows.append([part["id"], part["name"], *counts, part["pixels"], share])
    return _table(heads, rows) + "\n\nItems: those that show the part."


def _certainty(card: Card) -> str:
    found = card["uncertainty"]
    if found is None:
        return "Not measured."
    return (
        "An item's uncertainty is the Jensen-Shannon divergence of the segmenter's classifiers, in nats, "
        f"averaged over its most uncertain tenth of pixels: {found['least']:.4f} to {found['most']:.4f}, "
        f"median {found['median']:.4f}. It tells where classifiers disagree, not where all of them are "
        f"wrong. In ten equal steps: {', '.join(map(str, found['histogram']))} items."
    )


def _vectors(card: Card) -> str:
    names = {use["vector"]: use["name"] for use in card["vectors"]}
    rows = [
        [names.get(vector, ""), f"`{vector}`", found["least"], found["median"], found["most"]]
        for vector, found in card["strengths"].items()
    ]
    return _table(["vector", "id", "least", "median", "most"], rows) + "\n\nStrengths, one for each item."


def _provenance(card: Card) -> str:
    shown = ("model", "model_digest", "spec_digest", "code_version")
    told = "What each item was drawn from is in `items.jsonl`, and with the item in every format."
    spec = f"```json\n{json.dumps(card['spec'], indent=1)}\n```"
    table = _table(["", ""], [[name, f"`{card[name]}`"] for name in shown])
    return f"{table}\n\n{told}\n\n{spec}"


def _licence(card: Card) -> str:
    return (
        f"The model's licence: {card['licence']}. The pictures are drawn by it: whoever passes them on "
        "should look at its terms, and at what it was trained on."
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]  # names are anybody's
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
