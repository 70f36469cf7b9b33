"""Settings of the node: the only definition of defaults, ranges and one-line descriptions.

ROS parameters, command-line options, `config/*.yaml` and the table in `docs/interfaces.md` are
derived from these models or checked against them. ROS parameters can't be null, so an empty string,
an empty list or 0 stands for "none".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from typing_extensions import Self

from proxia_segmentation_ros.errors import ConfigError

SizeHW = tuple[int, int]
Change = Literal["live", "configure", "start"]
Share = Annotated[float, Field(ge=0, le=1)]

NAME_PATTERN = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
SIZE_PATTERN = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
MIN_SIDE_PX = 16
MIN_RATE_HZ = 0.001
MAX_SIZE_PIXELS = 33_177_600


def parse_size(text: str) -> SizeHW | None:
    """Return (height, width) of `WxH`, or None when the text is a word like `input`."""
    match = SIZE_PATTERN.fullmatch(text)
    return (int(match[2]), int(match[1])) if match else None


def is_size_usable(size_hw: SizeHW) -> bool:
    """Tell whether the size is within the limits for images that this package creates."""
    return min(size_hw) >= MIN_SIDE_PX and size_hw[0] * size_hw[1] <= MAX_SIZE_PIXELS


def _check_size(words: tuple[str, ...]) -> Any:
    def check(text: str) -> str:
        size_hw = parse_size(text)
        if text not in words and (size_hw is None or not is_size_usable(size_hw)):
            raise ValueError(
                f"{', '.join(words)} or WxH of at least {MIN_SIDE_PX} px a side "
                f"and at most {MAX_SIZE_PIXELS} pixels"
            )
        return text

    return AfterValidator(check)


def _check_scales(scales: list[float]) -> list[float]:
    if scales and (1.0 not in scales or any(not 0.1 <= scale <= 4.0 for scale in scales)):
        raise ValueError("numbers from 0.1 to 4.0 that hold 1.0, or an empty list for the card's")
    return scales


def _check_rate(rate_hz: float) -> float:
    if 0 < rate_hz < MIN_RATE_HZ:
        raise ValueError(f"0, or {MIN_RATE_HZ} and more")
    return rate_hz


def _check_camera_names(names: list[str]) -> list[str]:
    for name in names:
        if not NAME_PATTERN.fullmatch(name) or names.count(name) > 1:
            raise ValueError(
                "each name once, a letter and then letters, digits or _ "
                f"(camera_names holds {name!r})"
            )
    return names


def _setting(default: Any, change: Change, description: str, **limits: Any) -> Any:
    return Field(
        default=default,
        description=description,
        json_schema_extra={"change": change},
        validate_default=True,
        **limits,
    )


class _Settings(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False
    )


class ModelSettings(_Settings):
    """`model.*`"""

    weights: str = _setting(
        "default", "configure", "shipped name or path of the weights", min_length=1
    )


class InferenceSettings(_Settings):
    """`inference.*`"""

    backend: Literal["auto", "openvino", "tensorrt", "torch"] = _setting(
        "auto", "configure", "what runs the network; auto is the fastest backend available"
    )
    precision: Literal["auto", "f32", "bf16", "f16", "int8"] = _setting(
        "auto", "configure", "numeric precision of the network; auto is the best for this machine"
    )
    size: Annotated[str, _check_size(("card", "input"))] = _setting(
        "card",
        "configure",
        "input size of the network, to which images are stretched: card, input or WxH",
    )
    scales: Annotated[list[float], AfterValidator(_check_scales)] = _setting(
        [], "configure", "image scales of a multi-scale network; empty: those of the model card"
    )
    tile_threshold: Share = _setting(
        0.04,
        "configure",
        "tiles whose gating score per unit of work is lower are skipped; 0 runs all",
    )
    tile_budget: Share = _setting(
        1.0, "configure", "largest share of the work of all scales but the smallest that is run"
    )
    tile_max_age: int = _setting(
        3,
        "configure",
        "number of frames for which the result of an unchanged tile is reused",
        ge=0,
        le=1000,
    )
    latency_budget_ms: float = _setting(
        0.0,
        "configure",
        "scales and tiles are skipped to keep the p95 latency within it; 0: no budget",
        ge=0,
        le=10_000,
    )
    threads: int = _setting(
        0, "configure", "CPU threads of the backend; 0: chosen by the backend", ge=0, le=256
    )
    max_input_pixels: int = _setting(
        33_177_600, "live", "larger images are rejected before decoding", ge=65_536, le=2**28
    )
    max_rate_hz: Annotated[float, AfterValidator(_check_rate)] = _setting(
        0.0,
        "live",
        "frames per second processed of each camera, 0.001 or more; 0: no limit",
        ge=0,
        le=1000,
    )
    frame_deadline_ms: float = _setting(
        1500.0,
        "live",
        "a frame that takes longer is given up and the model replaced; 0: never",
        ge=0,
        le=600_000,
    )
    max_input_age_ms: float = _setting(
        0.0,
        "live",
        "images whose stamp is older are dropped as stale; 0: none",
        ge=0,
        le=86_400_000,
    )
    age_warning_ms: float = _setting(
        1000.0, "live", "images older than this are told with WARN; 0: never", ge=0, le=86_400_000
    )
    age_error_ms: float = _setting(
        5000.0,
        "live",
        "images older than this, up to 10 minutes (recorded), are told with ERROR; 0: never",
        ge=0,
        le=86_400_000,
    )
    future_tolerance_ms: float = _setting(
        100.0,
        "live",
        "images whose stamp is further ahead of the clock are told with WARN",
        ge=0,
        le=86_400_000,
    )


class OutputSettings(_Settings):
    """`output.*`"""

    size: Annotated[str, _check_size(("input", "network"))] = _setting(
        "input", "live", "size of the label image: input, network or WxH"
    )
    min_confidence: float = _setting(
        0.0, "live", "pixels with a lower confidence become unlabeled; 0: off", ge=0, le=1
    )


OUTPUT_DEFAULTS = OutputSettings()


class ObjectSettings(_Settings):
    """`objects.*`"""

    enabled: bool = _setting(True, "live", "find the regions of each class")
    min_area_px: int = _setting(
        64, "live", "smaller regions are ignored, in pixels of the label image", ge=1, le=2**28
    )
    max_per_class: int = _setting(
        50, "live", "regions listed for each class, largest first", ge=1, le=10_000
    )
    with_confidence: bool = _setting(
        False, "live", "compute confidence for the summaries even if its topic has no subscriber"
    )


OBJECT_DEFAULTS = ObjectSettings()


class OverlaySettings(_Settings):
    """`overlay.*`"""

    alpha: float = _setting(0.5, "live", "weight of the class colours in the overlay", ge=0, le=1)
    boxes: bool = _setting(True, "live", "draw the boxes of the objects")
    max_width: int = _setting(960, "live", "wider overlays are scaled down", ge=16, le=16_384)


class CameraSettings(_Settings):
    """`cameras.<name>.*`"""

    image_topic: str = _setting("image", "configure", "topic of the camera's images", min_length=1)
    transport: Literal["raw", "compressed"] = _setting(
        "raw", "configure", "raw is sensor_msgs/Image, compressed is sensor_msgs/CompressedImage"
    )
    camera_info_topic: str = _setting(
        "", "configure", "topic of the camera's calibration; empty: none"
    )
    depth_topic: str = _setting("", "configure", "topic of depth aligned to the image; empty: none")
    sync_tolerance_ms: float = _setting(
        50.0, "live", "largest difference of depth's stamp from the image's", ge=0, le=10_000
    )
    depth_wait_ms: float = _setting(
        30.0, "live", "objects wait this long for depth that is still to come", ge=0, le=1000
    )
    expected_rate_hz: float = _setting(
        0.0, "live", "images per second; WARN if a fifth of them is missing; 0: any", ge=0, le=1000
    )


class NodeSettings(_Settings):
    """All settings of the segmentation node; a set of changes is validated as one."""

    model: ModelSettings = Field(default_factory=ModelSettings)
    inference: InferenceSettings = Field(default_factory=InferenceSettings)
    output: OutputSettings = Field(default_factory=OutputSettings)
    objects: ObjectSettings = Field(default_factory=ObjectSettings)
    overlay: OverlaySettings = Field(default_factory=OverlaySettings)
    camera_names: Annotated[list[str], AfterValidator(_check_camera_names)] = _setting(
        ["camera"], "configure", "names of the cameras", min_length=1, max_length=64
    )
    cameras: dict[str, CameraSettings] = Field(default_factory=dict)
    autostart: bool = _setting(
        True, "start", "configure and activate at start; false for a lifecycle manager"
    )

    def camera(self, name: str) -> CameraSettings:
        """Return the settings of a camera, with defaults for those not set."""
        return self.cameras.get(name, CameraSettings())

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> Self:
        """Build from dotted parameter names.

        Raises:
            ConfigError: names are unknown or values out of range; all values are listed.
        """
        nested: dict[str, Any] = {}
        for name, value in values.items():
            place = nested
            *parents, leaf = name.split(".")
            for parent in parents:
                place = place.setdefault(parent, {})
                if not isinstance(place, dict):
                    raise _unknown_setting(name)
            if leaf in place:
                raise _unknown_setting(name)
            place[leaf] = value
        try:
            return cls.model_validate(nested)
        except ValidationError as error:
            raise _to_config_error(error) from error


@dataclass(frozen=True, kw_only=True)
class ParameterRow:
    """One line of the parameter table. `minimum` and `maximum` are None without a range."""

    name: str
    default: Any
    description: str
    change: Change
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None


def list_parameters(camera_names: list[str]) -> list[ParameterRow]:
    """Return every ROS parameter of a node with these cameras, in the table's order."""
    rows = list(_walk_rows(NodeSettings, ""))
    for name in camera_names:
        rows += _walk_rows(CameraSettings, f"cameras.{name}.")
    return rows


def check_inference(values: Mapping[str, Any]) -> None:
    """Check values of `inference.*`, named without that prefix, against their ranges.

    Raises:
        ConfigError: a value is out of its range; all are named.
    """
    try:
        InferenceSettings.model_validate(dict(values))
    except ValidationError as error:
        raise _to_config_error(error) from error


def _walk_rows(model: type[BaseModel], prefix: str) -> Iterator[ParameterRow]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _walk_rows(inner, f"{prefix}{name}.")
        elif name != "cameras":
            yield _make_row(prefix + name, field)


def _make_row(name: str, field: FieldInfo) -> ParameterRow:
    extra = field.json_schema_extra
    change = extra["change"] if isinstance(extra, dict) else "configure"
    literal = field.annotation if get_origin(field.annotation) is Literal else None
    return ParameterRow(
        name=name,
        default=field.default,
        description=field.description or "",
        change=change,  # type: ignore[arg-type]
        choices=tuple(get_args(literal)),
        minimum=next((limit.ge for limit in field.metadata if hasattr(limit, "ge")), None),
        maximum=next((limit.le for limit in field.metadata if hasattr(limit, "le")), None),
    )


def _unknown_setting(name: str) -> ConfigError:
    known = ", ".join(row.name for row in list_parameters(["<name>"]))
    return ConfigError.from_parts(
        f"parameter {name!r} is unknown", f"one of {known}", "check its spelling"
    )


def _to_config_error(error: ValidationError) -> ConfigError:
    parts = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            return _unknown_setting(name)
        rule = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        subject = f"{name} is {problem['input']!r}" if name else "the parameters do not fit"
        parts.append(f"{subject}; expected {rule}; set it to such a value")
    return ConfigError("; ".join(parts))
