"""What a mask operation cannot be is refused, and the member at fault is named."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from storage.mask_specs import MaskOperation, Scale
from storage.specs import EditSpec

OPERATION: TypeAdapter[MaskOperation] = TypeAdapter(MaskOperation)
MASK = "0" * 32
TRIANGLE = [[0, 0], [9, 0], [9, 9]]
WHOLE: dict[str, dict[str, Any]] = {
    "grow": {"part": "rim", "px": -3, "piece": "left"},
    "shrink": {"part": "rim", "px": 3, "piece": 2},
    "shift": {"part": "rim", "dx_px": 3, "dy_px": -2},
    "scale": {"part": "rim", "factor_x": 2, "anchor": "top"},
    "rotate": {"part": "rim", "degrees": -12.5, "about": "part"},
    "mirror": {"part": "rim", "direction": "vertical", "about": "picture"},
    "remove": {"part": "rim", "piece": "largest"},
    "relabel": {"part": "rim", "into": "hub"},
    "swap": {"part": "rim", "other": "hub"},
    "polygon": {"into": "rim", "points": TRIANGLE, "only": ["body"]},
    "copy": {"part": "rim", "mask": MASK, "dx_px": 1},
}


@pytest.mark.parametrize("op", WHOLE)
def test_what_is_whole_is_taken(op: str) -> None:
    assert OPERATION.validate_python({"op": op, **WHOLE[op]}).op == op


@pytest.mark.parametrize("op", WHOLE)
def test_unknown_members_are_refused(op: str) -> None:
    assert _fault({"op": op, **WHOLE[op], "colour": 1}) == "colour"


@pytest.mark.parametrize("op", WHOLE)
@pytest.mark.parametrize("wrong", [None, "", "A", "../etc", 3, ["rim"], "x" * 41])
def test_names_of_parts_are_names(op: str, wrong: object) -> None:
    for member in ("part", "into", "other"):
        if member in WHOLE[op]:
            assert _fault({"op": op, **WHOLE[op], member: wrong}) == member


@pytest.mark.parametrize("op", sorted({*WHOLE} - {"swap", "polygon"}))
@pytest.mark.parametrize("wrong", [None, "", "LEFT", "middle", -1, 64, 0.5, [], {}, "1e3"])
def test_a_piece_is_a_word_or_a_number(op: str, wrong: object) -> None:
    assert _fault({"op": op, **WHOLE[op], "piece": wrong}) == "piece"


@pytest.mark.parametrize(
    ("op", "change", "member"),
    [
        ("grow", {"px": 65}, "px"),
        ("grow", {"px": 1.5}, "px"),
        ("grow", {"px": None}, "px"),
        ("shrink", {"px": -1}, "px"),
        ("shrink", {"px": 65}, "px"),
        ("shift", {"dx_px": 1025}, "dx_px"),
        ("shift", {"dy_px": -1025}, "dy_px"),
        ("shift", {"dy_px": 0.5}, "dy_px"),
        ("scale", {"factor_x": 0.05}, "factor_x"),
        ("scale", {"factor_x": None, "factor_y": 11}, "factor_y"),
        ("scale", {"factor_x": None, "factor": float("nan")}, "factor"),
        ("scale", {"factor_x": None}, "factor"),
        ("scale", {"factor": 2}, "factor"),
        ("scale", {"anchor": "middle"}, "anchor"),
        ("scale", {"about": "picture"}, "about"),
        ("rotate", {"degrees": 361}, "degrees"),
        ("rotate", {"degrees": float("inf")}, "degrees"),
        ("rotate", {"degrees": "a lot"}, "degrees"),
        ("rotate", {"about": "picture"}, "about"),
        ("mirror", {"direction": "both"}, "direction"),
        ("mirror", {"about": "mirror"}, "about"),
        ("swap", {"other": "rim"}, "other"),
        ("polygon", {"points": TRIANGLE[:2]}, "points"),
        ("polygon", {"points": TRIANGLE * 86}, "points"),
        ("polygon", {"points": [[0, 0], [9, 0], [9]]}, "points.2"),
        ("polygon", {"points": [[0, 0], [9, 0], [9, 9, 9]]}, "points.2"),
        ("polygon", {"points": [[0, 0], [9, 0], [9, float("nan")]]}, "points.2.1"),
        ("polygon", {"points": [[0, 0], [9, 0], [9, 2049]]}, "points.2.1"),
        ("polygon", {"points": [[0, 0], [1, 0], [1, 1.5]], "units": "relative"}, "points"),
        ("polygon", {"points": [[0, 0], [1, 0], [1, -0.1]], "units": "relative"}, "points"),
        ("polygon", {"units": "metres"}, "units"),
        ("polygon", {"only": ["rim"] * 65}, "only"),
        ("polygon", {"only": "rim"}, "only"),
        ("polygon", {"only": ["Rim"]}, "only.0"),
        ("copy", {"mask": "mine"}, "mask"),
        ("copy", {"mask": None}, "mask"),
        ("copy", {"dx_px": 2000}, "dx_px"),
    ],
)
def test_values_out_of_range_or_of_another_kind_are_refused(
    op: str, change: dict[str, Any], member: str
) -> None:
    assert _fault({"op": op, **WHOLE[op], **change}) == member


@pytest.mark.parametrize("op", WHOLE)
def test_members_that_are_needed_are_missed(op: str) -> None:
    optional = {"dx_px", "dy_px", "piece", "anchor", "about", "direction", "only", "factor_x"}
    for member in WHOLE[op].keys() - optional:
        left = {name: value for name, value in WHOLE[op].items() if name != member}
        assert _fault({"op": op, **left}) == member


def test_every_operation_may_be_asked_for_and_says_what_it_does() -> None:
    schema = OPERATION.json_schema()
    assert schema["discriminator"]["mapping"].keys() == WHOLE.keys()
    assert all(kind.get("description") for kind in schema["$defs"].values())


def test_an_edit_takes_them_and_keeps_them_as_they_are() -> None:
    operations = [{"op": op, **members} for op, members in WHOLE.items()]
    spec = EditSpec.model_validate({"inversion": MASK, "mask_operations": operations})
    again = EditSpec.model_validate_json(spec.model_dump_json(), strict=True)
    assert again == spec
    assert again.mask_operations[3] == Scale(part="rim", factor_x=2, anchor="top")


def _fault(value: dict[str, Any]) -> str:
    """The member that is complained of first, without the union's tag before it."""
    with pytest.raises(ValidationError) as caught:
        OPERATION.validate_python(value)
    return ".".join(map(str, caught.value.errors()[0]["loc"][1:]))
