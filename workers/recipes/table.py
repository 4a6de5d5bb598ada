"""Which recipe a kind of job has."""

from storage.batch_records import CHUNK
from workers.bulk import operations
from workers.recipe import AnyRecipe
from workers.recipes import (
    apply,
    edit,
    evaluate,
    generate_dataset,
    import_identity,
    import_model,
    invert,
    learn_vector,
    sample,
    suggest_annotations,
    train_encoder,
    train_generator,
    train_segmenter,
)

RECIPES: dict[str, AnyRecipe] = {
    "sample": sample.RECIPE,
    "invert": invert.RECIPE,
    "edit": edit.RECIPE,
    "learn_vector": learn_vector.RECIPE,
    "apply": apply.RECIPE,
    "train_segmenter": train_segmenter.RECIPE,
    "suggest_annotations": suggest_annotations.RECIPE,
    "train_generator": train_generator.RECIPE,
    "train_encoder": train_encoder.RECIPE,
    "evaluate": evaluate.RECIPE,
    CHUNK: operations.RECIPE,
    "generate_dataset": generate_dataset.RECIPE,
    "import_model": import_model.RECIPE,
    "import_identity": import_identity.RECIPE,
}
