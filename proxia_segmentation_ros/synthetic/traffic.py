"""Everything that moves: its position at a time follows from the seed, without a simulation.

Each slot of a stream keeps its place in a window that travels with the camera; a slot that
leaves the window at one end comes back at the other as somebody else, in the next round.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from proxia_segmentation_ros.synthetic.plan import StreetPlan
from proxia_segmentation_ros.synthetic.stage import Thing
from proxia_segmentation_ros.synthetic.things.people import Bicyclist, Looks, Pedestrian, draw_looks
from proxia_segmentation_ros.synthetic.things.vehicles import Vehicle, draw_vehicle

_VEHICLE_WINDOW_M = 140.0
_WALKER_WINDOW_M = 24.0
_RIDER_WINDOW_M = 40.0


@dataclass(frozen=True)
class Walker:
    """The pedestrians in a slot: one or two people, some of whom cross the road."""

    looks: Looks
    companion: Looks | None
    place: float
    view: float
    crosses: bool


@dataclass(frozen=True)
class Rider:
    """The cyclist in a slot."""

    looks: Looks
    drift_m: float
    crossing: int


def _draw_stream(seed: int, stream: int, slot: int, number: int) -> np.random.Generator:
    """Return the random generator for the traits of a slot's occupant in a round."""
    return np.random.default_rng((seed, 71 + stream, slot, number % 2**32))


@lru_cache(maxsize=256)
def draw_slot_vehicle(
    seed: int, stream: int, slot: int, number: int, faces_back: bool, shadow_side: int
) -> Vehicle:
    """Return the vehicle of a slot; lateral is its offset in the lane."""
    rng = _draw_stream(seed, stream, slot, number)
    lateral = float(rng.uniform(-0.2, 0.2)) if faces_back else 0.0
    return draw_vehicle(rng, lateral, 0.0, faces_back=faces_back, shadow_side=shadow_side)


@lru_cache(maxsize=256)
def draw_walker(seed: int, slot: int, number: int) -> Walker:
    """Return the person or pair of a slot."""
    rng = _draw_stream(seed, 3, slot, number)
    return Walker(
        draw_looks(rng),
        draw_looks(rng) if rng.random() < 0.3 else None,
        float(rng.uniform(0.3, 0.75)),
        float(rng.choice((0.0, 0.3, 1.0), p=(0.5, 0.3, 0.2))),
        bool(rng.random() < 0.4),
    )


@lru_cache(maxsize=64)
def draw_rider(seed: int, slot: int, number: int) -> Rider:
    """Return the cyclist of a slot."""
    rng = _draw_stream(seed, 2, slot, number)
    crossing = int(rng.choice((-1, 1))) if rng.random() < 0.25 else 0
    return Rider(draw_looks(rng), float(rng.uniform(-0.15, 0.15)), crossing)


class Traffic:
    """Cars, cyclists and pedestrians of a scene."""

    def __init__(self, plan: StreetPlan, ego_speed_mps: float) -> None:
        rng = np.random.default_rng((plan.seed, 67))
        self._plan = plan
        self._ego_speed_mps = ego_speed_mps
        self._oncoming = _draw_places(rng, int(rng.integers(1, 5)), _VEHICLE_WINDOW_M)
        self._walkers = _draw_places(rng, int(rng.integers(5, 8)), _WALKER_WINDOW_M)
        self._riders = _draw_places(rng, int(rng.integers(1, 3)), _RIDER_WINDOW_M)
        self._leads = bool(rng.random() < 0.5)
        self._lead_gap_m = float(rng.uniform(14, 28))
        self._phase = float(rng.uniform(0, 7))

    def list_things(self, camera_along_m: float, time_s: float) -> list[Thing]:
        """Return everything that moves, at a time."""
        things: list[Thing] = []
        things += self._list_vehicles(camera_along_m, time_s)
        things += self._list_riders(camera_along_m, time_s)
        things += self._list_walkers(camera_along_m, time_s)
        return things

    def _list_vehicles(self, camera_along_m: float, time_s: float) -> list[Thing]:
        """Return oncoming cars and the one ahead."""
        plan, things = self._plan, list[Thing]()
        speed = self._ego_speed_mps + 8.0
        for slot, place in enumerate(self._oncoming):
            number, ahead = divmod(place - speed * time_s, _VEHICLE_WINDOW_M)
            if ahead > 100:
                continue
            car = draw_slot_vehicle(plan.seed, 0, slot, int(number), True, plan.shadow_side)
            lateral = plan.lane_m * 0.52 + car.lateral_m
            things.append(replace(car, lateral_m=lateral, along_m=camera_along_m + ahead - 10))
        if self._leads:
            gap = self._lead_gap_m + 4 * math.sin(time_s / 5 + self._phase)
            car = draw_slot_vehicle(plan.seed, 1, 0, 0, False, plan.shadow_side)
            lateral = -plan.lane_m * 0.5
            things.append(replace(car, lateral_m=lateral, along_m=camera_along_m + gap))
        return things

    def _list_riders(self, camera_along_m: float, time_s: float) -> list[Thing]:
        """Return cyclists: ahead at the road's edge, oncoming, or crossing."""
        plan, things = self._plan, list[Thing]()
        for slot, place in enumerate(self._riders):
            if slot == 0:
                number, ahead = 0.0, 6.2 + place * 0.11 + 1.2 * math.sin(time_s / 6 + self._phase)
                lateral = -plan.lane_m + 0.8
            else:
                drift = -(self._ego_speed_mps + 4)
                number, ahead = divmod(place + drift * time_s, _RIDER_WINDOW_M)
                lateral = plan.lane_m - 0.6
            rider = draw_rider(plan.seed, slot, int(number))
            lateral += rider.drift_m + 0.08 * math.sin(time_s * 1.3 + slot)
            crossing = rider.crossing if slot else 0
            if crossing:
                # From one edge of the road, 25 m ahead, to the other, out of the camera's way.
                edge = plan.find_edge(crossing)
                lateral = edge * (1 - 2 * min(max((ahead - 7) / 18, 0.0), 1.0))
            along = camera_along_m + ahead
            stride = time_s * 6 + slot
            things.append(Bicyclist(rider.looks, lateral, along, stride, crossing))
        return things

    def _list_walkers(self, camera_along_m: float, time_s: float) -> list[Thing]:
        """Return pedestrians on both pavements and some who cross well ahead of the camera."""
        plan, things = self._plan, list[Thing]()
        for slot, place in enumerate(self._walkers):
            side = 1 if slot % 3 == 2 else -1
            pace = 1.3 if slot % 2 else -1.3
            number, ahead = divmod(place + (pace - self._ego_speed_mps) * time_s, _WALKER_WINDOW_M)
            walker = draw_walker(plan.seed, slot, int(number))
            edge, back = plan.find_edge(side), plan.find_back(side)
            lateral, view = edge + (back - edge) * walker.place, walker.view
            if walker.crosses and slot % 3 == 2:
                share = min(max((ahead - 8) / 10, 0.0), 1.0)
                lateral, view = lateral * (2 * share - 1), 1.0
            stride = time_s * 5.5 + slot * 1.7
            along = camera_along_m + ahead - 2
            things.append(Pedestrian(walker.looks, lateral, along, stride, view))
            if walker.companion is not None:
                other = walker.companion
                things.append(Pedestrian(other, lateral + 0.6, along + 0.3, stride + 0.8, view))
        return things


def _draw_places(rng: np.random.Generator, count: int, window_m: float) -> list[float]:
    """Return start places spread over a window, with some irregularity."""
    places = (np.arange(count) + rng.uniform(-0.4, 0.4, count)) * window_m / max(count, 1)
    shifted: list[float] = np.mod(places, window_m).tolist()
    return shifted
