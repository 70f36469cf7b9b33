"""Everything that moves: where it is at a time follows from the seed, without history.

Each slot of a stream keeps its place in a window that travels with the camera; a slot that
leaves the window at one end comes back at the other as somebody else.
"""

import math

import numpy as np

from proxia_segmentation_ros.data.synthetic.layout import StreetPlan
from proxia_segmentation_ros.data.synthetic.people import Bicyclist, Pedestrian, draw_looks
from proxia_segmentation_ros.data.synthetic.stage import Thing
from proxia_segmentation_ros.data.synthetic.vehicles import draw_vehicle


class Traffic:
    """Cars, cyclists and pedestrians of a scene."""

    def __init__(self, plan: StreetPlan, ego_speed_mps: float) -> None:
        rng = np.random.default_rng((plan.seed, 67))
        self._plan = plan
        self._ego_speed_mps = ego_speed_mps
        self._oncoming = self._draw_slots(rng, int(rng.integers(1, 5)), 140.0)
        self._walkers = self._draw_slots(rng, int(rng.integers(6, 16)), 60.0)
        self._riders = self._draw_slots(rng, int(rng.integers(1, 3)), 50.0)
        self._leads = bool(rng.random() < 0.6)
        self._lead_gap_m = float(rng.uniform(9, 26))
        self._shares_lane = bool(rng.random() < 0.7)
        self._phase = float(rng.uniform(0, 7))

    @staticmethod
    def _draw_slots(rng: np.random.Generator, count: int, window_m: float) -> np.ndarray:
        """Return start places spread over the window, with some irregularity."""
        places = (np.arange(count) + rng.uniform(-0.4, 0.4, count)) * window_m / max(count, 1)
        return np.mod(places, window_m)

    def list_things(self, camera_along_m: float, time_s: float) -> list[Thing]:
        """Return everything that moves, at a time."""
        things: list[Thing] = []
        things += self._list_vehicles(camera_along_m, time_s)
        things += self._list_riders(camera_along_m, time_s)
        things += self._list_walkers(camera_along_m, time_s)
        return things

    def _rng(self, stream: int, slot: int, round_number: int) -> np.random.Generator:
        """Return the source of looks for who fills a slot now."""
        return np.random.default_rng((self._plan.seed, 71 + stream, slot, round_number + 10_000))

    def _list_vehicles(self, camera_along_m: float, time_s: float) -> list[Thing]:
        """Return oncoming cars and the one ahead."""
        things: list[Thing] = []
        speed = self._ego_speed_mps + 8.0
        for slot, place in enumerate(self._oncoming):
            travelled = place - speed * time_s
            round_number, ahead = divmod(travelled, 140.0)
            rng = self._rng(0, slot, int(round_number))
            lateral = self._plan.lane_m * 0.52 + float(rng.uniform(-0.2, 0.2))
            if ahead < 100:
                along = camera_along_m + ahead - 10
                things.append(
                    draw_vehicle(rng, lateral, along, faces_back=True,
                                 shadow_side=self._plan.shadow_side)
                )  # fmt: skip
        if self._leads:
            gap = self._lead_gap_m + 4 * math.sin(time_s / 5 + self._phase)
            rng = self._rng(1, 0, 0)
            things.append(
                draw_vehicle(rng, -self._plan.lane_m * 0.5, camera_along_m + gap,
                             faces_back=False, shadow_side=self._plan.shadow_side)
            )
        return things

    def _list_riders(self, camera_along_m: float, time_s: float) -> list[Thing]:
        """Return cyclists: ahead at the road's edge, oncoming, or crossing."""
        plan, things = self._plan, list[Thing]()
        for slot, place in enumerate(self._riders):
            if slot == 0 and self._shares_lane:
                round_number, ahead = 0, 8 + place * 0.3 + 3 * math.sin(time_s / 6 + self._phase)
                lateral = -plan.lane_m + 0.45
            else:
                drift = -(self._ego_speed_mps + 4) if slot % 2 else 3.5 - self._ego_speed_mps
                number, ahead = divmod(place + drift * time_s, 50.0)
                round_number = int(number)
                lateral = (plan.lane_m - 0.6) if slot % 2 else (-plan.lane_m + 0.45)
            rng = self._rng(2, slot, round_number)
            looks = draw_looks(rng)
            lateral += float(rng.uniform(-0.15, 0.15)) + 0.08 * math.sin(time_s * 1.3 + slot)
            crossing = 0
            if rng.random() < 0.25:
                crossing = int(rng.choice((-1, 1)))
                lateral = plan.find_edge(-crossing) * 0.95
            things.append(
                Bicyclist(looks, lateral, camera_along_m + ahead, time_s * 6 + slot, crossing)
            )
        return things

    def _list_walkers(self, camera_along_m: float, time_s: float) -> list[Thing]:
        """Return pedestrians on both pavements and some who cross."""
        plan, things = self._plan, list[Thing]()
        for slot, place in enumerate(self._walkers):
            side = -1 if slot % 2 else 1
            pace = 1.3 if slot % 3 else -1.3
            number, ahead = divmod(place + (pace - self._ego_speed_mps) * time_s, 60.0)
            rng = self._rng(3, slot, int(number))
            looks = draw_looks(rng)
            edge, back = plan.find_edge(side), plan.find_back(side)
            lateral = edge + (back - edge) * float(rng.uniform(0.25, 0.85))
            view = float(rng.choice((0.0, 0.3, 1.0), p=(0.5, 0.3, 0.2)))
            stride = time_s * 5.5 + slot * 1.7
            along = camera_along_m + ahead - 2
            things.append(Pedestrian(looks, lateral, along, stride, view))
            if rng.random() < 0.3:
                other = draw_looks(rng)
                things.append(
                    Pedestrian(other, lateral + 0.6, along + 0.3, stride + 0.8, view)
                )
        return things
