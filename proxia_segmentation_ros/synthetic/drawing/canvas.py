"""Image and label image that are painted together, far things first."""

import cv2
import numpy as np

from proxia_segmentation_ros.synthetic.camera import Camera
from proxia_segmentation_ros.synthetic.drawing.textures import Sprite, Texture
from proxia_segmentation_ros.synthetic.tone import Colour, Tone

_SHIFT = 4
_LIMIT = 6000 << _SHIFT


def _map_to_sprite(
    shift: tuple[float, float], scale: tuple[float, float], mirror_width: int | None
) -> np.ndarray:
    """Return the affine map from window pixels to sprite pixels, pixel centres to centres."""
    matrix = np.array(
        [
            [scale[0], 0, shift[0] * scale[0] - 0.5],
            [0, scale[1], shift[1] * scale[1] - 0.5],
        ]
    )
    if mirror_width is not None:
        matrix[0] = -matrix[0]
        matrix[0, 2] += mirror_width - 1
    return matrix


class Canvas:
    """Paints polygons, textured quads and sprites into image and labels alike."""

    def __init__(
        self, camera: Camera, tone: Tone, image_HWC: np.ndarray, labels_HW: np.ndarray
    ) -> None:
        self.camera = camera
        self.tone = tone
        self.image_HWC = image_HWC
        self.labels_HW = labels_HW

    def fill(self, uv_N2: np.ndarray, colour: Colour, label: int | None) -> None:
        """Fill a polygon; without a label only the image changes."""
        if len(uv_N2) >= 3:
            self.fill_fixed(fix_points(uv_N2), colour, label)

    def fill_fixed(self, points: np.ndarray, colour: Colour, label: int | None) -> None:
        """Fill a polygon given as `fix_points` returns it."""
        shown = self.tone.map_colour(colour)
        cv2.fillPoly(self.image_HWC, [points], shown, cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.labels_HW, [points], (label,), cv2.LINE_8, _SHIFT)

    def fill_box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        colour: Colour,
        label: int | None,
    ) -> None:
        """Fill an upright rectangle given in pixels."""
        uv_42 = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        self.fill_fixed(fix_points(uv_42), colour, label)

    def find_window(self, uv_N2: np.ndarray) -> tuple[int, int, int, int] | None:
        """Return left, top, right, bottom of what a polygon covers of the image."""
        height, width = self.labels_HW.shape
        across, down = uv_N2[:, 0].tolist(), uv_N2[:, 1].tolist()
        left, top = max(int(min(across)), 0), max(int(min(down)), 0)
        right, bottom = min(int(max(across)) + 2, width), min(int(max(down)) + 2, height)
        return None if right <= left or bottom <= top else (left, top, right, bottom)

    def paint_quad(
        self,
        uv_42: np.ndarray,
        texture: Texture,
        level: int,
        label: int,
        *,
        part: tuple[float, float] = (0.0, 1.0),
        gain: float = 1.0,
        haze: float = 0.0,
        outline_N2: np.ndarray | None = None,
    ) -> None:
        """Paint the horizontal `part` of a texture on a quad given clockwise from top left."""
        outline_N2 = uv_42 if outline_N2 is None else outline_N2
        window = self.find_window(outline_N2)
        if window is None:
            return
        left, top, right, bottom = window
        source = texture.levels[level]
        height, width = source.shape[:2]
        x0, x1 = part[0] * width - 0.5, part[1] * width - 0.5
        corners = np.array(
            [[x0, -0.5], [x1, -0.5], [x1, height - 0.5], [x0, height - 0.5]], np.float32
        )
        place = (uv_42 - (left, top)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(place, corners)
        warped = cv2.warpPerspective(
            source,
            matrix,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        mask = np.zeros(warped.shape[:2], np.uint8)
        points = fix_points(outline_N2)
        offset = (-left << _SHIFT, -top << _SHIFT)
        cv2.fillPoly(mask, [points + offset], (255,), cv2.LINE_8, _SHIFT)
        cv2.fillPoly(self.labels_HW, [points], (label,), cv2.LINE_8, _SHIFT)
        target = self.image_HWC[top:bottom, left:right]
        self._merge(warped, mask, target, gain, haze)

    def stamp(
        self,
        sprite: Sprite,
        foot_uv: tuple[float, float],
        px_per_m: float,
        label: int,
        *,
        gain: float = 1.0,
        stretch: tuple[float, float] = (1.0, 1.0),
        mirrored: bool = False,
    ) -> None:
        """Paint a sprite that stands with the middle of its lower edge on `foot_uv`."""
        width_px = sprite.size_m[0] * stretch[0] * px_per_m
        height_px = sprite.size_m[1] * stretch[1] * px_per_m
        left, top = foot_uv[0] - width_px / 2, foot_uv[1] - height_px
        box = np.array([[left, top], [left + width_px, foot_uv[1]]])
        window = self.find_window(box)
        if window is None or height_px < 2:
            return
        x0, y0, x1, y1 = window
        level = sprite.colour.pick_level(px_per_m * stretch[1])
        source_hw = sprite.colour.levels[level].shape[:2]
        matrix = _map_to_sprite(
            (x0 + 0.5 - left, y0 + 0.5 - top),
            (source_hw[1] / width_px, source_hw[0] / height_px),
            source_hw[1] if mirrored else None,
        )
        size = (x1 - x0, y1 - y0)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        colour = cv2.warpAffine(sprite.colour.levels[level], matrix, size, flags=flags)
        alpha = cv2.extractChannel(colour, 3)
        rows, columns = slice(y0, y1), slice(x0, x1)
        self._merge(colour, None, self.image_HWC[rows, columns], gain, 0.0)
        _, counted = cv2.threshold(alpha, 110, label, cv2.THRESH_BINARY)
        cv2.copyTo(counted, counted, self.labels_HW[rows, columns])

    def mottle(self, uv_N2: np.ndarray, shade_HW: np.ndarray, label: int) -> None:
        """Shade what has a label around some points; 128 in the stretched shade is unchanged."""
        window = self.find_window(uv_N2)
        if window is None:
            return
        left, top, right, bottom = window
        (low_u, low_v), (high_u, high_v) = uv_N2.min(axis=0), uv_N2.max(axis=0)
        height, width = shade_HW.shape
        scale_x, scale_y = width / (high_u - low_u), height / (high_v - low_v)
        matrix = np.array(
            [[scale_x, 0, (left - low_u) * scale_x], [0, scale_y, (top - low_v) * scale_y]]
        )
        shade = cv2.warpAffine(
            shade_HW,
            matrix,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        target = self.image_HWC[top:bottom, left:right]
        mask = (self.labels_HW[top:bottom, left:right] == label).astype(np.uint8)
        shaded = cv2.multiply(target, cv2.cvtColor(shade, cv2.COLOR_GRAY2RGB), scale=1 / 128)
        cv2.copyTo(shaded, mask, target)

    def _merge(
        self,
        source: np.ndarray,
        mask: np.ndarray | None,
        target: np.ndarray,
        gain: float,
        haze: float,
    ) -> None:
        """Lay a piece of RGB or RGB + alpha over `target`."""
        table = self.tone.share_table(gain, haze)
        if source.shape[2] == 3:
            if mask is not None:
                cv2.copyTo(cv2.LUT(source, table), mask, target)
            return
        alpha = cv2.extractChannel(source, 3)
        if mask is not None:
            alpha = cv2.bitwise_and(alpha, mask)
        share = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
        colour = cv2.LUT(cv2.cvtColor(source, cv2.COLOR_RGBA2RGB), table)
        cv2.multiply(colour, share, dst=colour, scale=1 / 255)
        cv2.multiply(target, cv2.bitwise_not(share), dst=target, scale=1 / 255)
        cv2.add(target, colour, dst=target)


def fix_points(uv_N2: np.ndarray) -> np.ndarray:
    """Return pixels as OpenCV's fixed-point integers; pixel centres lie at whole numbers."""
    scaled = uv_N2 * (1 << _SHIFT)
    scaled -= (1 << _SHIFT) / 2
    np.maximum(scaled, -_LIMIT, out=scaled)
    np.minimum(scaled, _LIMIT, out=scaled)
    fixed: np.ndarray = np.rint(scaled, out=scaled).astype(np.int32)
    return fixed
