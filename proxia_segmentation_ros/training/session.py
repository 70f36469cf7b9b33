"""A training run from a recipe: data, network, trainer and the final weight file."""

import logging
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.data.sampling.centroids import ReportProgress
from proxia_segmentation_ros.data.sampling.mixture import Pair, PairMixture
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix
from proxia_segmentation_ros.labels import LabelSet, load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.model.checkpoint import load_weights
from proxia_segmentation_ros.model.network.blocks import resize_bilinear
from proxia_segmentation_ros.model.network.hrnet_ocr import (
    HRNetOcr,
    HRNetOcrMultiScale,
    build_model,
)
from proxia_segmentation_ros.synthetic import StreetScene
from proxia_segmentation_ros.training.checkpoint import load_checkpoint
from proxia_segmentation_ros.training.distributed.process_group import (
    all_reduce,
    choose_device,
    get_rank,
    get_world_size,
    open_process_group,
)
from proxia_segmentation_ros.training.logs.run_log import Report
from proxia_segmentation_ros.training.recipe import Recipe, load_recipe
from proxia_segmentation_ros.training.sources import (
    StridedDataset,
    check_training_files,
    list_training_label_problems,
    open_validation,
)
from proxia_segmentation_ros.training.sources import make_sources as make_sources
from proxia_segmentation_ros.training.tested_weights import save_tested_weights
from proxia_segmentation_ros.training.trainer import (
    BEST_NAME,
    LAST_NAME,
    Normalisation,
    StepCallback,
    Trainer,
    ignore_step,
)

logger = logging.getLogger(__name__)

SYNTHETIC_VALIDATION_SEED = 900_000
SYNTHETIC_VALIDATION_FRAMES = 24


def build_network(recipe: Recipe, num_classes: int) -> HRNetOcr | HRNetOcrMultiScale:
    """Build the recipe's network with weights drawn from its seed."""
    torch.manual_seed(recipe.seed)
    return build_model(
        recipe.model.architecture,
        num_classes,
        ocr_mid=recipe.model.ocr_mid,
        ocr_key=recipe.model.ocr_key,
        attention_mid=recipe.model.attention_mid,
    )


def load_initial_weights(network: nn.Module, recipe: Recipe) -> None:
    """Load `model.initial_weights` into the network, if the recipe names any.

    Raises:
        ConfigError: those weights belong to another network.
        WeightsError: the weights can't be read.
    """
    source = recipe.model.initial_weights
    if not source:
        return
    known, card = load_weights(source)
    if recipe.model.initial_partial:
        _load_matching_tensors(network, known.state_dict(), source)
        return
    try:
        network.load_state_dict(known.state_dict())
    except RuntimeError as error:
        raise ConfigError.from_parts(
            f"model.initial_weights {source!r} hold a {card.architecture} of "
            f"{len(card.label_set.classes)} classes that differs from the recipe's",
            "the same architecture, OCR widths and number of classes",
            "correct the recipe's model, or set model.initial_partial=true to load what fits",
        ) from error


def _load_matching_tensors(network: nn.Module, known: dict[str, Tensor], source: str) -> None:
    wanted = network.state_dict()
    fitting = {
        name: tensor
        for name, tensor in known.items()
        if name in wanted and wanted[name].shape == tensor.shape
    }
    if not fitting:
        raise ConfigError.from_parts(
            f"model.initial_weights {source!r} have no tensor of the recipe's network",
            "weights with at least the same backbone",
            "correct the recipe's model",
        )
    network.load_state_dict(fitting, strict=False)
    new = sorted({name.rpartition(".")[0] for name in wanted if name not in fitting})
    logger.info("%d of %d tensors start from %s", len(fitting), len(wanted), source)
    logger.info("layers that start at random: %s", ", ".join(new) or "none")


def measure_miou(
    model: nn.Module, pairs: Iterable[Pair], size_hw: SizeHW, num_classes: int
) -> ConfusionMatrix:
    """Evaluate a network at input size `size_hw` against masks of any size.

    Labels are the argmax of the logits resized to the mask, as in inference.
    """
    matrix = ConfusionMatrix(num_classes)
    normalisation = Normalisation()
    device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
    with torch.no_grad():
        for image_HWC, labels_HW in pairs:
            image_NCHW = normalisation.apply(torch.from_numpy(image_HWC[None]).to(device))
            logits = model(resize_bilinear(image_NCHW, size_hw))
            logits = resize_bilinear(logits, (labels_HW.shape[0], labels_HW.shape[1]))
            matrix.add(labels_HW, logits.argmax(1)[0].cpu().numpy())
    return matrix


def measure_miou_distributed(
    model: nn.Module, pairs: Sequence[Pair] | StridedDataset, size_hw: SizeHW, num_classes: int
) -> ConfusionMatrix:
    """Evaluate a network as `measure_miou` does; each of n processes takes every n-th pair."""
    own_pairs = (pairs[index] for index in range(get_rank(), len(pairs), get_world_size()))
    part = measure_miou(model, own_pairs, size_hw, num_classes)
    if get_world_size() == 1:
        return part
    device = next(model.parameters()).device
    matrix = ConfusionMatrix(num_classes)
    matrix.add_cells(all_reduce(torch.from_numpy(part.cells).to(device)).cpu().numpy())
    return matrix


def make_validation(recipe: Recipe, label_set: LabelSet) -> Callable[[nn.Module], dict[str, Any]]:
    """Return a function that evaluates a network on the recipe's validation data."""
    data = recipe.data
    limit = recipe.validate_limit
    sets: dict[str, list[Pair] | StridedDataset] = {}
    if data.synthetic_weight > 0:
        sets["synthetic"] = [
            StreetScene.sample(SYNTHETIC_VALIDATION_SEED + index, data.synthetic_size_hw)
            for index in range(limit or SYNTHETIC_VALIDATION_FRAMES)
        ]
    if data.folder_weight > 0:
        pairs = open_validation(data, label_set)
        sets["folder"] = StridedDataset(pairs, recipe.validate_stride, limit, data.long_side)

    def validate(model: nn.Module) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, chosen in sets.items():
            matrix = measure_miou_distributed(model, chosen, recipe.model.size_hw, len(label_set))
            row[f"{name}_miou"] = round(matrix.mean_iou(), 4)
            row[f"{name}_iou"] = [round(float(value), 3) for value in matrix.iou_per_class()]
        row["val_miou"] = row["folder_miou" if "folder" in sets else "synthetic_miou"]
        return row

    return validate


def make_trainer(
    recipe: Recipe,
    folder: Path,
    report: Report,
    on_step: StepCallback = ignore_step,
    report_centroids: ReportProgress | None = None,
) -> Trainer:
    """Build the data, network and trainer of a recipe."""
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    label_set = load_label_set(recipe.data.label_set)
    pairs = PairMixture(
        make_sources(recipe.data, label_set, seed=recipe.seed, report_centroids=report_centroids),
        recipe.augmentation,
        seed=recipe.seed,
        unlabeled_id=label_set.unlabeled_id,
    )
    network = build_network(recipe, len(label_set))
    load_initial_weights(network, recipe)
    return Trainer(
        network,
        pairs,
        recipe,
        folder,
        validate=make_validation(recipe, label_set),
        label_set=label_set,
        report=report,
        on_step=on_step,
        device=choose_device(recipe.device),
    )


def check_data(recipe: Recipe, report: Report, *, resume: bool = False) -> None:
    """Check the files of the data by their headers, in the first process only.

    Unless the run is resumed, what may be wrong with their labels is reported too.

    Raises:
        InputError: files can't be used, and the message lists them; or no pixel has a class.
    """
    if get_rank() != 0:
        return
    label_set = load_label_set(recipe.data.label_set)
    notes = check_training_files(recipe.data, label_set)
    if not resume:
        for note in (*notes, *list_training_label_problems(recipe.data, label_set)):
            report({"note": note})


def read_parent_card(recipe: Recipe) -> ModelCard | None:
    """Return the card of the initial weights, None without any.

    Raises:
        WeightsError: the weights can't be read.
    """
    source = recipe.model.initial_weights
    return read_card(source) if source else None


def make_card(
    recipe: Recipe, scores: dict[str, float], parent: ModelCard | None = None
) -> ModelCard:
    """Return the card of a network trained by `recipe`.

    Training data and terms of its initial weights, whose card is `parent`, are its own too.
    """
    settings = recipe.model
    training_data, terms = settings.training_data, settings.terms
    if parent is not None:
        training_data = _add_inherited(training_data, parent.training_data, parent.name)
        terms = _add_inherited(terms, parent.terms, parent.name)
    return ModelCard(
        name=settings.name,
        architecture=settings.architecture,
        ocr_mid=settings.ocr_mid,
        ocr_key=settings.ocr_key,
        attention_mid=settings.attention_mid,
        scales=(0.5, 1.0) if settings.is_multi_scale else (1.0,),
        size_hw=settings.size_hw,
        mean=Normalisation().mean,
        std=Normalisation().std,
        label_set=CardLabelSet.from_label_set(load_label_set(recipe.data.label_set)),
        training_data=training_data,
        terms=terms,
        scores=scores,
        made_with=f"proxia train, torch {version('torch')}",
    )


def _add_inherited(own: str, inherited: str, name: str) -> str:
    if inherited and inherited in own:
        return own
    origin = f"started from {name!r}: {inherited.strip() or 'not stated'}"
    return f"{own.strip().removesuffix('.')}; {origin}" if own.strip() else origin


def train_from_recipe(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: Path,
    resume: bool = False,
    report: Report,
    on_step: StepCallback = ignore_step,
    report_centroids: ReportProgress | None = None,
) -> Path:
    """Train by a recipe; return the weight file with the best validation score.

    `report` is called with a `note` for each problem found in the masks, then with every row of
    the log: `step` with `loss`, with validation scores or with a `note`. `on_step(step, steps)` is
    called after every step, and before the first step `report_centroids(done, total)` for every
    image whose centroids have to be found. Processes that torchrun started train together; only
    the first one calls `report`.

    Raises:
        ConfigError: the recipe is wrong, or `out` holds a run and `resume` is false.
        InputError: training data can't be read.
        WeightsError: `resume` finds no checkpoint in `out`.
        StopRequest: raised by `on_step`; a checkpoint is saved.
    """
    recipe = load_recipe(name_or_path, overrides)
    if not resume and (out / LAST_NAME).exists():
        raise ConfigError.from_parts(
            f"{out} holds a run already",
            "a folder without one, or its continuation",
            "name another folder with --out, or go on with --resume",
        )
    parent = read_parent_card(recipe)
    with open_process_group(recipe.device):
        check_data(recipe, report, resume=resume)
        trainer = make_trainer(recipe, out, report, on_step, report_centroids)
        if resume:
            trainer.resume()
        best = trainer.run()
        path = get_weights_path(recipe, out)
        if get_rank() == 0:
            write_best_weights(recipe, out, best, parent)
    return path


def get_weights_path(recipe: Recipe, out: Path) -> Path:
    """Return the path of the best weights of a run in `out`."""
    return out / f"{recipe.model.name}.safetensors"


def write_best_weights(
    recipe: Recipe, out: Path, best: dict[str, Any], parent: ModelCard | None = None
) -> Path:
    """Write the best checkpoint of a run as a weight file with its card."""
    network = build_network(recipe, len(load_label_set(recipe.data.label_set)))
    network.load_state_dict(load_checkpoint(out / BEST_NAME)["model"])
    scores = {key: value for key, value in best.items() if isinstance(value, float)}
    path = get_weights_path(recipe, out)
    save_tested_weights(path, network, make_card(recipe, scores, parent))
    return path
