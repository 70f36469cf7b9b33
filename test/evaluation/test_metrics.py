"""The confusion matrix counts as NVIDIA/semantic-segmentation does, and misses stay misses."""

import math
from pathlib import Path

import numpy as np
import pytest

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def make_matrix(truth: list[int], predicted: list[int], num_classes: int = 3) -> ConfusionMatrix:
    matrix = ConfusionMatrix(num_classes)
    matrix.add(np.array([truth], np.uint8), np.array([predicted], np.uint8))
    return matrix


def test_scores_equal_the_reference() -> None:
    wanted = np.load(GOLDEN / "metrics.npz")
    generator = np.random.Generator(np.random.PCG64(7))
    predicted = generator.integers(0, 19, 20000)
    is_ignored = generator.random(20000) < 0.1
    truth = np.where(is_ignored, 255, generator.integers(0, 19, 20000))
    matrix = ConfusionMatrix(19)
    for half in (slice(0, 12000), slice(12000, None)):
        matrix.add(truth[None, half], predicted[None, half])
    np.testing.assert_array_equal(matrix.counts, wanted["hist"])
    np.testing.assert_allclose(matrix.iou_per_class(), wanted["iu"], rtol=1e-12)
    assert matrix.mean_iou() == pytest.approx(float(wanted["iu"].mean()), rel=1e-12)
    assert matrix.pixel_accuracy() == pytest.approx(float(wanted["acc"][0]), rel=1e-12)
    assert matrix.mean_accuracy() == pytest.approx(float(wanted["acc_cls"][0]))


@pytest.mark.parametrize(
    "name", ["eval_single_flip_avg_1_0.5_2", "eval_mscale_nscale_0.5_1_2_flip"]
)
def test_counts_of_golden_predictions_equal_the_reference(
    name: str, shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(GOLDEN))
    from fill_rule import golden_labels

    golden = np.load(shared_dir / "golden" / f"{name}.npz")
    matrix = ConfusionMatrix(19)
    matrix.add(golden_labels(181, 259, "golden-label-odd"), golden["predictions"])
    np.testing.assert_array_equal(matrix.counts, golden["hist"])


def test_rows_are_true_and_columns_predicted() -> None:
    matrix = make_matrix([0, 0, 1], [2, 2, 1])
    np.testing.assert_array_equal(matrix.counts, [[0, 0, 2], [0, 1, 0], [0, 0, 0]])
    assert matrix.counts.dtype == np.int64


def test_pixel_without_truth_counts_nowhere() -> None:
    matrix = make_matrix([0, 255, 3, 1], [0, 1, 2, 1])
    assert matrix.counts.sum() == 2
    assert matrix.iou_per_class()[:2].tolist() == [1.0, 1.0]
    assert matrix.pixel_accuracy() == 1.0


def test_unlabeled_prediction_is_a_miss_of_the_true_class_alone() -> None:
    matrix = make_matrix([0, 0, 1, 1], [0, 255, 1, 1])
    assert matrix.missed.tolist() == [1, 0, 0]
    assert matrix.iou_per_class()[:2].tolist() == [0.5, 1.0]
    assert matrix.pixel_accuracy() == 0.75


def test_precision_is_of_the_predicted_and_recall_of_the_true_pixels() -> None:
    # class 0: three true pixels of which one is found; five predicted of which one is right
    matrix = make_matrix([0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 0, 0, 0, 0])
    assert matrix.predicted_pixels.tolist() == [5, 1, 1]
    assert matrix.precision_per_class()[0] == pytest.approx(1 / 5)
    assert matrix.recall_per_class()[0] == pytest.approx(1 / 3)
    assert matrix.precision_per_class()[2] == 0.0
    assert math.isnan(matrix.recall_per_class()[2])


def test_means_weigh_classes_alike_or_by_their_pixels() -> None:
    matrix = make_matrix([0, 0, 0, 1, 1], [0, 0, 0, 1, 2])
    assert matrix.mean_accuracy() == pytest.approx((1 + 1 / 2) / 2)
    assert matrix.frequency_weighted_iou() == pytest.approx(3 / 5 * 1 + 2 / 5 * 1 / 2)


def test_matrices_add_up_as_their_images_do() -> None:
    total, other = make_matrix([0, 1, 1], [0, 1, 255]), make_matrix([2, 2], [2, 0])
    total.add_cells(other.cells)
    both = make_matrix([0, 1, 1, 2, 2], [0, 1, 255, 2, 0])
    np.testing.assert_array_equal(total.cells, both.cells)
    assert total.missed.tolist() == [0, 1, 0]
    with pytest.raises(InputError, match=r"int64 of shape \(2, 3\); expected int64 of .*3, 4"):
        total.add_cells(ConfusionMatrix(2).cells)


def test_class_that_nobody_has_is_nan_and_outside_the_mean() -> None:
    matrix = make_matrix([0, 0, 1, 1], [0, 0, 1, 0])
    iou = matrix.iou_per_class()
    assert math.isnan(iou[2])
    assert matrix.mean_iou() == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_class_that_is_only_predicted_counts_unless_left_out() -> None:
    matrix = make_matrix([0, 0, 1, 1], [0, 0, 1, 2])
    assert matrix.iou_per_class().tolist() == [1.0, 0.5, 0.0]
    assert matrix.mean_iou() == pytest.approx(0.5)
    assert matrix.mean_iou(only_true_classes=True) == pytest.approx(0.75)


def test_empty_matrix_has_no_scores(recwarn: pytest.WarningsRecorder) -> None:
    matrix = ConfusionMatrix(3)
    assert math.isnan(matrix.mean_iou())
    assert math.isnan(matrix.pixel_accuracy())
    assert math.isnan(matrix.mean_accuracy())
    assert math.isnan(matrix.frequency_weighted_iou())
    assert math.isnan(make_matrix([255], [0]).mean_iou(only_true_classes=True))
    assert not recwarn.list


def test_images_add_up() -> None:
    matrix = make_matrix([0, 1], [0, 1])
    matrix.add(np.array([[2, 2]], np.int64), np.array([[2, 0]], np.uint16))
    assert matrix.true_pixels.tolist() == [1, 1, 2]


def test_negative_ids_and_65535_are_none() -> None:
    matrix = ConfusionMatrix(2)
    matrix.add(np.array([[-1, 0, 0]]), np.array([[0, -1, 65535]]))
    assert matrix.counts.sum() == 0
    assert matrix.missed.tolist() == [2, 0]


def test_inputs_are_left_as_they_were() -> None:
    truth, predicted = np.array([[0, 7]]), np.array([[9, 0]])
    ConfusionMatrix(2).add(truth, predicted)
    assert (truth.tolist(), predicted.tolist()) == ([[0, 7]], [[9, 0]])


def test_counts_stay_exact_beyond_float32() -> None:
    matrix = ConfusionMatrix(1)
    matrix.add(np.zeros((4097, 4096), np.uint8), np.zeros((4097, 4096), np.uint8))
    assert matrix.counts[0, 0] == 4097 * 4096 > 2**24


def test_different_sizes_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(2, 3\) and predicted labels \(3, 2\); expected"):
        ConfusionMatrix(3).add(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


def test_labels_that_are_no_integers_are_refused() -> None:
    with pytest.raises(InputError, match="labels are float32; expected class ids as integers"):
        ConfusionMatrix(3).add(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32))
