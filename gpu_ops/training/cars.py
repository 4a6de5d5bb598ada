"""Making the bundled model `cars` from nothing: `python -m gpu_ops.training.domain cars`, by its older name.

python -m gpu_ops.training.cars OUT [--until STAGE] [--kimg 400] [--ranks N]
"""

from gpu_ops.training.domain import make_domain

if __name__ == "__main__":
    make_domain("cars")
