"""The core's later stages alone: footprints in, axles out; axles in, vehicles out.

`stages/axles.c` and `stages/vehicles.c` are linked without `wim.c`, which alone knows all stages; what goes in is made
by `stages/made.h`, not by the stage before. Under the sanitizers.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WEIGH = Path(__file__).parents[2] / "csrc" / "src" / "weigh"
RATE_HZ = 5000.0
LINES_M = (0.0, 1.2, 2.9, 4.1)
WIDTH_M, PRINT_M = 0.07, 0.2
ALL_LINES = 0b1111

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages")
    gcc = ["gcc", "-std=c11", "-g", "-O1", "-ffp-contract=off", f"-I{WEIGH}", f"-I{WEIGH.parents[1] / 'include'}"]
    gcc += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    files = [str(path) for path in sorted(WEIGH.glob("*.c")) if path.name != "wim.c"]
    subprocess.run([*gcc, "-c", *files], cwd=folder, check=True)
    for name in ("axles", "vehicles"):
        source = str(Path(__file__).parent / "stages" / f"{name}.c")
        subprocess.run(
            [*gcc, source, *(path.name for path in folder.glob("*.o")), "-lm", "-o", name], cwd=folder, check=True
        )
    return folder


def run(program: Path, rows: list[tuple[float, ...]], *more: str) -> list[list[str]]:
    text = "\n".join(" ".join(f"{value:.17g}" for value in row) for row in rows)
    done = subprocess.run([program, str(RATE_HZ), *more], input=text, capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


# ---- footprints to axles --------------------------------------------------------------------------------------------


@dataclass
class Axle:
    seen: int
    came_back: bool
    left: float
    kg: float
    mid: list[float]


@dataclass
class Print:
    """One wheel over one half of a line: its middle and how long it was on, in seconds; its load."""

    line: int
    half: int
    at_s: float
    on_s: float
    kg: float

    def row(self) -> tuple[float, ...]:
        peak_n = self.kg * 9.80665 * WIDTH_M / (PRINT_M + WIDTH_M)
        return (2 * self.line + self.half, self.at_s * RATE_HZ, self.on_s * RATE_HZ, peak_n)


def crossing(line: int, at_s: float, speed_mps: float, kg: float, left: float = 0.5) -> list[Print]:
    on_s = (PRINT_M + WIDTH_M) / abs(speed_mps)
    return [Print(line, half, at_s, on_s, kg * share) for half, share in enumerate((left, 1 - left))]


def drive(at_s: float, speed_mps: float, kg: float, left: float = 0.5) -> list[Print]:
    crossed = [crossing(j, at_s + x / speed_mps, speed_mps, kg, left) for j, x in enumerate(LINES_M)]
    return [p for prints in crossed for p in prints]


def axles_of(programs: Path, prints: list[Print]) -> list[Axle]:
    rows = [p.row() for p in sorted(prints, key=lambda p: p.at_s + p.on_s)]
    return [
        Axle(int(seen), back == "1", float(left), float(kg), [float(m) for m in mid])
        for seen, back, left, kg, *mid in run(programs / "axles", rows)
    ]


def test_wheels_of_all_lines_become_axles_in_their_order(programs: Path) -> None:
    found = axles_of(programs, drive(1.0, 10, 6000, 0.55) + drive(1.13, 10, 5000) + drive(1.5, 12, 900, 0.4))
    assert [a.seen for a in found] == [ALL_LINES] * 3
    assert [a.left for a in found] == pytest.approx([0.55, 0.5, 0.4])
    assert found[0].mid == pytest.approx([(1.0 + x / 10) * RATE_HZ for x in LINES_M])
    assert found[0].kg > found[1].kg > 3 * found[2].kg


def test_a_line_that_misses_an_axle_does_not_shift_the_others(programs: Path) -> None:
    missed = [p for p in drive(1.36, 10, 5000) if p.line != 2]
    found = axles_of(programs, drive(1.0, 10, 6000) + missed + drive(1.9, 10, 7000))
    assert [a.seen for a in found] == [ALL_LINES, 0b1011, ALL_LINES]
    assert [a.mid[2] for a in found[::2]] == pytest.approx([(t + 0.29) * RATE_HZ for t in (1.0, 1.9)])


def test_a_half_that_is_missed_leaves_the_axle_and_its_side(programs: Path) -> None:
    prints = [p for p in drive(1.0, 10, 6000) if (p.line, p.half) != (1, 0)]
    (axle,) = axles_of(programs, prints)
    assert axle.seen == ALL_LINES
    assert axle.left == pytest.approx(0.5)


def test_what_one_line_alone_saw_is_no_axle(programs: Path) -> None:
    found = axles_of(programs, drive(1.0, 10, 6000) + crossing(3, 1.25, 10, 60) + drive(1.36, 10, 5000))
    assert [a.seen for a in found] == [ALL_LINES] * 2
    assert found[1].mid[3] == pytest.approx((1.36 + 0.41) * RATE_HZ)


def test_an_axle_that_rolls_back_over_a_line_and_comes_again_is_one(programs: Path) -> None:
    lines = (0, 1, 2)
    first = [p for j in lines for p in crossing(j, 1.0 + LINES_M[j] / 1.0, 1.0, 6000)]
    behind = [p for j in (0, 1) for p in crossing(j, 2.3 + LINES_M[j] / 1.0, 1.0, 9000)]
    back = crossing(2, 7.0, -0.4, 6000) + crossing(1, 7.0 + 0.4 / 0.4, -0.4, 9000)
    # The same places are met in reverse, then once more on the way on; then the lines that are left.
    again = crossing(1, 10.0, 0.4, 9000) + crossing(2, 11.0, 0.4, 6000)
    on = crossing(3, 14.0, 0.4, 6000) + crossing(2, 14.25, 0.4, 9000) + crossing(3, 17.25, 0.4, 9000)
    found = axles_of(programs, first + behind + back + again + on)
    assert [a.seen for a in found] == [ALL_LINES] * 2
    assert found[0].came_back


_PRINT = st.builds(
    Print,
    line=st.integers(0, 3),
    half=st.integers(0, 1),
    at_s=st.floats(0.1, 60.0),
    on_s=st.floats(0.004, 3.0),
    kg=st.floats(20.0, 12000.0),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_PRINT, max_size=150))
def test_any_footprints_give_axles_and_every_slot_back(programs: Path, prints: list[Print]) -> None:
    for axle in axles_of(
        programs, prints
    ):  # a slot that is lost, or one given back twice, ends the program with an error
        assert axle.seen.bit_count() >= 2
        assert axle.kg >= 0


# ---- axles to vehicles ----------------------------------------------------------------------------------------------


@dataclass
class Vehicle:
    flags: int
    whole: float
    gross_kg: float
    sigma_kg: float
    place_m: list[float]
    load_kg: list[float]


def truck(at_s: float, speed_mps: float, *axles: tuple[float, float]) -> list[tuple[float, ...]]:
    return [(at_s + place_m / speed_mps, speed_mps, kg) for place_m, kg in axles]


def vehicles_of(programs: Path, axles: list[tuple[float, ...]], *more: str) -> list[Vehicle]:
    found = []
    for _, flags, whole, gross, sigma, *rows in run(programs / "vehicles", axles, *more):
        pairs = [[float(word) for word in row.split(":")] for row in rows]
        places, loads = [p for p, _ in pairs], [kg for _, kg in pairs]
        found.append(Vehicle(int(flags), float(whole), float(gross), float(sigma), places, loads))
    return found


SEMITRAILER = ((0.0, 6800.0), (3.7, 9500.0), (9.4, 7000.0), (10.7, 7000.0), (12.0, 7000.0))
CAR = ((0.0, 700.0), (2.6, 600.0))


@pytest.mark.parametrize("on_m", [0.02, 1.2])
def test_what_no_tyre_prints_is_weighed_by_what_tyres_do_and_not_for_sure(programs: Path, on_m: float) -> None:
    """By the motion that the lines tell a wheel weighs a tenth or five times of what it does."""
    [vehicle] = vehicles_of(programs, truck(2, 8.0, *SEMITRAILER), str(on_m))
    true_kg = sum(kg for _, kg in SEMITRAILER)
    assert 0.5 * true_kg < vehicle.gross_kg < 2.0 * true_kg
    assert 0.15 * true_kg < vehicle.sigma_kg < 0.6 * true_kg
    assert abs(vehicle.gross_kg - true_kg) < 2.5 * vehicle.sigma_kg


@pytest.mark.parametrize("speed_mps", [1.5, 8.0, 25.0])
def test_axles_are_cut_into_the_vehicles_that_they_were_of(programs: Path, speed_mps: float) -> None:
    follows_s = 22.0 / speed_mps
    axles = [a for k, v in enumerate((SEMITRAILER, CAR, SEMITRAILER)) for a in truck(2 + follows_s * k, speed_mps, *v)]
    found = vehicles_of(programs, axles)
    for vehicle, true in zip(found, (SEMITRAILER, CAR, SEMITRAILER), strict=True):
        assert vehicle.place_m == pytest.approx([place for place, _ in true], abs=0.02)
        assert vehicle.load_kg == pytest.approx([kg for _, kg in true], rel=0.005)
        assert vehicle.gross_kg == pytest.approx(sum(kg for _, kg in true), rel=0.005)
        assert 0 < vehicle.sigma_kg < 0.3 * vehicle.gross_kg


def test_no_axle_leaves_heavier_than_axles_are(programs: Path) -> None:
    """A sensor that does not let go makes a wheel of any weight: it is told as what nobody knows."""
    monster = ((0.0, 6800.0), (3.7, 9500.0), (9.4, 7000.0), (10.7, 5e8), (12.0, 7000.0))
    found = vehicles_of(programs, truck(2, 10, *SEMITRAILER) + truck(9, 10, *monster) + truck(16, 10, *CAR))
    assert found[0].gross_kg == pytest.approx(sum(kg for _, kg in SEMITRAILER), rel=0.005)
    assert found[-1].gross_kg == pytest.approx(1300, rel=0.02)
    assert max(kg for v in found for kg in v.load_kg) <= 100e3
    for vehicle in found[1:-1]:
        if max(vehicle.load_kg) > 50e3:
            assert vehicle.flags
            assert vehicle.sigma_kg > 0.3 * vehicle.gross_kg


def test_an_axle_alone_is_no_vehicle_and_takes_none_from_its_neighbours(programs: Path) -> None:
    axles = truck(2, 10, *CAR) + truck(6, 10, (0.0, 900.0)) + truck(10, 10, *SEMITRAILER)
    assert [len(v.load_kg) for v in vehicles_of(programs, axles)] == [2, 5]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0.2, 8.0), st.floats(30.0, 12000.0)), max_size=60), st.floats(1.0, 30.0))
def test_any_axles_give_vehicles_with_loads_and_every_slot_back(
    programs: Path, axles: list[tuple[float, float]], speed_mps: float
) -> None:
    at_m, rows = 10.0, []
    for behind_m, kg in axles:
        at_m += behind_m
        rows.append((at_m / speed_mps, speed_mps, kg))
    found = vehicles_of(programs, rows)
    assert sum(len(v.load_kg) for v in found) <= len(axles)
    for vehicle in found:
        assert all(kg > 0 for kg in vehicle.load_kg)
        assert vehicle.place_m == sorted(vehicle.place_m)
        assert 0 < vehicle.whole <= 1
