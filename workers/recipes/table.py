"""Which recipe a kind of job has."""

from workers.recipe import AnyRecipe
from workers.recipes import edit, invert, sample

RECIPES: dict[str, AnyRecipe] = {
    "sample": sample.RECIPE,
    "invert": invert.RECIPE,
    "edit": edit.RECIPE,
}
