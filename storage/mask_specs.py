"""What may be asked of a part mask, without painting: one pydantic model per operation, and their union.

Coordinates and lengths are in pixels of the model's picture, from its left top corner, right and down being
positive. The pieces of a part are its connected components (neighbours by a side or a corner).
docs/masks.md shows every operation; storage/mask_operations.py does them.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

MAX_PIECES = 64
"""So many of a part's pieces, the largest, are moved each by itself."""

Identifier = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", examples=["0190c0ffee00aabbccddeeff00112233"])]
PartName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", examples=["wheel"])]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _in_one_complaint(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        numbers = f"a number from 0 to {MAX_PIECES - 1}"
        raise ValueError(f"one of all, largest, left, right, or {numbers}") from None


Piece = Annotated[
    Literal["all", "largest", "left", "right"] | Annotated[int, Field(ge=0, le=MAX_PIECES - 1)],
    WrapValidator(_in_one_complaint),
    Field(
        description="Which connected pieces of the part: all, the largest, the leftmost, the rightmost, or "
        "one by its number from the left, counted from 0. Of specks, pieces under a twentieth of the largest "
        "one, `all` alone takes notice."
    ),
]
Factor = Annotated[float, Field(ge=0.1, le=10)]
Offset = Annotated[int, Field(ge=-1024, le=1024)]
Coordinate = Annotated[float, Field(ge=-1024, le=2048)]
Point = Annotated[tuple[Coordinate, ...], Field(min_length=2, max_length=2, description="x, y")]
About = Literal["piece", "part"]


class Operation(Strict):
    """One change of a mask."""

    names: ClassVar[tuple[str, ...]] = ("part",)
    """The members that name what the operation is about."""
    single: ClassVar[tuple[str, ...]] = ()
    """Those that take a single part, no part group."""


class OnPart(Operation):
    part: PartName = Field(description="A part, or a part group, which is treated as one.")
    piece: Piece = "all"


class Grow(OnPart):
    """Grow (px > 0) or shrink (px < 0) a part by so many pixels."""

    op: Literal["grow"] = "grow"
    px: Annotated[int, Field(ge=-64, le=64)]


class Shrink(OnPart):
    """Shrink a part by so many pixels; what surrounds it takes the place."""

    op: Literal["shrink"] = "shrink"
    px: Annotated[int, Field(ge=0, le=64)]


class Shift(OnPart):
    """Move a part."""

    op: Literal["shift"] = "shift"
    dx_px: Offset = 0
    dy_px: Offset = 0


class Scale(OnPart):
    """Scale a part, every piece about its own anchor: the centre, or the middle of a side."""

    op: Literal["scale"] = "scale"
    factor_x: Factor | None = None
    factor_y: Factor | None = None
    factor: Factor | None = Field(
        default=None, validate_default=True, description="Both at once: instead of factor_x and factor_y."
    )
    anchor: Literal["centre", "bottom", "top", "left", "right"] = "centre"
    about: About = Field(default="piece", description="Whose anchor: each piece's own, or the whole part's.")

    @field_validator("factor")
    @classmethod
    def _one_way(cls, factor: float | None, info: ValidationInfo) -> float | None:
        if not {"factor_x", "factor_y"} <= info.data.keys():
            return factor  # they are wrong themselves
        if (factor is None) == (info.data["factor_x"] is None and info.data["factor_y"] is None):
            raise ValueError("give factor, or else factor_x or factor_y or both of these")
        return factor


class Rotate(OnPart):
    """Turn a part clockwise, every piece about its own centre."""

    op: Literal["rotate"] = "rotate"
    degrees: Annotated[float, Field(ge=-360, le=360)]
    about: About = Field(default="piece", description="Whose centre: each piece's own, or the whole part's.")


class Mirror(OnPart):
    """Mirror a part, every piece about its own centre."""

    op: Literal["mirror"] = "mirror"
    direction: Literal["horizontal", "vertical"] = Field(
        default="horizontal", description="horizontal: left becomes right; vertical: top becomes bottom."
    )
    about: Literal["piece", "part", "picture"] = Field(
        default="piece", description="Whose centre: each piece's own, the whole part's, or the picture's."
    )


class Remove(OnPart):
    """Take a part away; each pixel goes to the part nearest to it (of equally near ones the lowest id)."""

    op: Literal["remove"] = "remove"


class Relabel(OnPart):
    """Turn a part into another one."""

    names: ClassVar[tuple[str, ...]] = ("part", "into")
    single: ClassVar[tuple[str, ...]] = ("into",)

    op: Literal["relabel"] = "relabel"
    into: PartName


class Swap(Operation):
    """Turn a part into another one, and that one into it."""

    names: ClassVar[tuple[str, ...]] = ("part", "other")
    single: ClassVar[tuple[str, ...]] = ("part", "other")

    op: Literal["swap"] = "swap"
    part: PartName
    other: PartName

    @field_validator("other")
    @classmethod
    def _two(cls, other: str, info: ValidationInfo) -> str:
        if other == info.data.get("part"):
            raise ValueError("another part than the one to swap it with")
        return other


class Polygon(Operation):
    """Give the pixels whose centres lie inside a polygon (by the even-odd rule) to a part."""

    names: ClassVar[tuple[str, ...]] = ("into",)
    single: ClassVar[tuple[str, ...]] = ("into",)

    op: Literal["polygon"] = "polygon"
    into: PartName
    units: Literal["pixels", "relative"] = Field(
        default="pixels", description="relative: from 0 to 1, the whole width and height."
    )
    points: Annotated[tuple[Point, ...], Field(min_length=3, max_length=256)]
    only: Annotated[tuple[PartName, ...], Field(max_length=64)] = Field(
        default=(), description="Take pixels from these parts (or part groups) alone; empty: from any."
    )

    @field_validator("points")
    @classmethod
    def _within(cls, points: tuple[Point, ...], info: ValidationInfo) -> tuple[Point, ...]:
        relative = info.data.get("units") == "relative"
        if relative and not all(0 <= coordinate <= 1 for point in points for coordinate in point):
            raise ValueError("relative coordinates, each a number from 0 to 1")
        return points


class Copy(OnPart):
    """Copy a part in from another mask, over what is there."""

    op: Literal["copy"] = "copy"
    mask: Identifier = Field(description="Image id of an uploaded mask that fits the model.")
    dx_px: Offset = 0
    dy_px: Offset = 0


MaskOperation = Annotated[
    Grow | Shrink | Shift | Scale | Rotate | Mirror | Remove | Relabel | Swap | Polygon | Copy,
    Field(discriminator="op"),
]
