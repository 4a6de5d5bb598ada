"""The recipes of a batch's own jobs that need no GPU, by kind."""

from storage.batch_records import FINISH, VALIDATE
from workers.bulk import finish, validate
from workers.recipe import AnyRecipe

RECIPES: dict[str, AnyRecipe] = {VALIDATE: validate.RECIPE, FINISH: finish.RECIPE}
