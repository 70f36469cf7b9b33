"""The results of an evaluation as one HTML file, without scripts or external resources."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

from proxia_segmentation_ros.evaluation.boundary import BoundaryScore
from proxia_segmentation_ros.evaluation.calibration import Calibration
from proxia_segmentation_ros.evaluation.page_diagram import ReliabilityDiagram
from proxia_segmentation_ros.evaluation.page_tables import (
    list_class_rows,
    list_confusions,
    list_matrix_rows,
    list_predicted_names,
)
from proxia_segmentation_ros.evaluation.report import EvaluationReport, show_score
from proxia_segmentation_ros.evaluation.temperature import TemperatureFit
from proxia_segmentation_ros.evaluation.worst_images import WorstImage
from proxia_segmentation_ros.labels import LabelSet

TEMPLATE = "page.html.jinja"


@dataclass(frozen=True, kw_only=True)
class Page:
    """The content of the page; parts that are None or empty are left out.

    `run` lists the settings of the evaluation. It must be the same for equal runs.
    """

    title: str
    run: Sequence[tuple[str, str]]
    report: EvaluationReport
    label_set: LabelSet
    boundary: BoundaryScore | None = None
    calibration: Calibration | None = None
    fit: TemperatureFit | None = None
    worst: Sequence[WorstImage] = ()

    def to_html(self) -> str:
        """Return the HTML text."""
        has_diagram = self.calibration is not None and self.calibration.pixels
        return _load_template().render(
            page=self,
            figures=self._list_figures(),
            classes=list_class_rows(self.report, self.label_set, self.boundary),
            predicted_names=list_predicted_names(self.report),
            matrix=list_matrix_rows(self.report, self.label_set),
            confusions=list_confusions(self.report),
            diagram=ReliabilityDiagram.from_calibration(self.calibration)
            if self.calibration is not None and has_diagram
            else None,
        )

    def _list_figures(self) -> list[tuple[str, str]]:
        """Return the main scores as name and value, the mean IoU first."""
        figures = [(name, show_score(value)) for name, value in self.report.means.items()]
        if self.boundary is not None:
            figures.append(("boundary F-score", show_score(self.boundary.mean_f_score())))
        if self.calibration is not None:
            figures.append(("calibration error", show_score(self.calibration.expected_error())))
        return figures


@cache
def _load_template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data_uri"] = _to_data_uri
    file = resources.files("proxia_segmentation_ros") / "evaluation" / TEMPLATE
    return environment.from_string(file.read_text(encoding="utf-8"))


def _to_data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
