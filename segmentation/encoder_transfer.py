"""Stage `encoder_transfer`: which segmentation networks there are, and whose trained encoders they start from, if any.

`segmentation.encoder_from` may name a classifier. This stage records the SHA-256 of its weights, so that training depends on
them in that case, and otherwise on no classifier. Training loads them by `encoder_weights.transfer`. The list of models is also
written to predictions/segmentation, so that this folder exists even without any.
"""

from __future__ import annotations

from experiments.networks import weights
from experiments.settings.training import SegmentationSettings, for_model
from imaging.io import command
from imaging.io.config import load_section, read_yaml
from imaging.io.files import write_json
from segmentation.architectures.encoder_weights import PATH

MODELS = "predictions/segmentation/models.json"


def chosen(settings: SegmentationSettings, folds: list[int]) -> dict[str, dict[str, str]]:
    """SHA-256 of the classifiers' weights by model and fold, {} when no model starts from any."""
    names = {for_model(settings, model).encoder_from for model in settings.models} - {None}
    return {
        str(name): {
            str(fold): weights.load_facts(weights.path_of("classification", str(name), fold))[
                "weights_sha256"
            ]
            for fold in folds
        }
        for name in sorted(str(name) for name in names)
    }


def main() -> None:
    """The DVC stage encoder_transfer."""
    settings = load_section("segmentation", SegmentationSettings)
    write_json(PATH, chosen(settings, read_yaml()["train_folds"]))
    write_json(MODELS, settings.models)


if __name__ == "__main__":
    command.run(main, __doc__)
