"""What a caller may ask of checkpoints made elsewhere: uploaded files that become a model of the library."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from storage.mask_specs import Identifier, PartName, Strict
from storage.options import ModelName, Spec
from storage.training_specs import SavedName
from storage.vector_names import VectorName

MOST_FILES = 64
ImportedRole = Literal["auto", "generator", "classifier", "encoder", "vector", "w_avg"]


class ImportedFile(Strict):
    """An uploaded file, and what it is to be."""

    file: Identifier = Field(description="Id of an uploaded file.")
    role: ImportedRole = Field(
        default="auto",
        description="auto: told by what it holds. A w_avg (.npy, one row of numbers) is so only where said.",
    )
    name: VectorName | None = Field(default=None, description="Of a vector; by default its file's name.")


class ImportModelSpec(Spec):
    """Import checkpoints of other projects as a model: nothing in them is executed.

    Leaves a model with the generator of the files and the perceptual backbone of `model`. Classifiers of
    pixels, all together, become its segmenter; without them its next need is a train_segmenter job. Editing
    vectors go into the library.
    """

    kind: Literal["import_model"] = "import_model"
    model: ModelName = Field(default="cars", description="Whose perceptual backbone is taken over.")
    name: SavedName
    files: Annotated[tuple[ImportedFile, ...], Field(min_length=1, max_length=MOST_FILES)] = Field(
        description="One generator, and what belongs to it."
    )
    format: Literal["auto", "stylegan2_ada", "rosinality", "tensorflow"] = Field(
        default="auto", description="What the generator's file must be."
    )
    parts: Annotated[tuple[PartName, ...], Field(max_length=256)] = Field(
        default=(), description="Names of the classifiers' parts, by id from 0; by default part_0, part_1 ..."
    )
    groups: Annotated[dict[PartName, tuple[PartName, ...]], Field(max_length=64)] = Field(
        default_factory=dict, description="Names that stand for several parts; where `parts` are given."
    )

    @model_validator(mode="after")
    def _sound(self) -> "ImportModelSpec":
        if len({each.file for each in self.files}) != len(self.files):
            raise ValueError("give each of the files once")
        if sum(each.role == "generator" for each in self.files) > 1:
            raise ValueError("give one generator among the files")
        if any(each.name is not None and each.role not in ("auto", "vector") for each in self.files):
            raise ValueError("of the files vectors alone may be named")
        if len(set(self.parts)) != len(self.parts) or len(self.parts) == 1:
            raise ValueError("parts must be two names or more, each once")
        for name, members in self.groups.items():
            if not members or not set(members) <= set(self.parts) or name in self.parts:
                raise ValueError(f"groups need parts: {name} must stand for some, and be none itself")
        return self


class ImportIdentitySpec(Spec):
    """Give a model your own identity network, for the identity loss of its edits.

    The file is ONNX: one input [N, 3, size_px, size_px], one output, the embedding. It is converted, and
    nothing in it is executed. Leaves a model with all that `model` has and this network; vectors of `model`
    fit it.
    """

    kind: Literal["import_identity"] = "import_identity"
    model: ModelName = Field(default="faces", description="The model that the network is added to.")
    name: SavedName | None = Field(default=None, description="By default the name of `model`.")
    file: Identifier = Field(description="Id of an uploaded file.")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="Of the file that you mean: another one is refused."
    )
    size_px: Annotated[int, Field(ge=8, le=512)] = Field(default=112, description="Side of its input.")
    mean: Annotated[tuple[float, ...], Field(min_length=3, max_length=3)] = Field(
        default=(0.5, 0.5, 0.5), description="Of red, green and blue, from 0 to 1: taken away from a picture."
    )
    std: Annotated[tuple[Annotated[float, Field(gt=0, le=1000)], ...], Field(min_length=3, max_length=3)] = (
        Field(default=(0.5, 0.5, 0.5), description="What the rest is divided by.")
    )
    channels: Literal["rgb", "bgr"] = Field(default="rgb", description="In which order it takes them.")
    crop: Annotated[float, Field(ge=0.1, le=1)] = Field(
        default=1.0, description="Side of the central square that it sees, as a share of the picture's."
    )
