"""The core's first stage alone: samples of one channel in, footprints out, beside what the samples were made from.

`stages/footprints.c` is linked with the files of the stage and with no others: what it needs of the rest is nothing.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

WEIGH = Path(__file__).parents[2] / "csrc" / "src" / "weigh"
STAGE = [
    "history",
    "baseline",
    "samples",
    "wheel",
    "clip",
    "below",
    "passage",
    "channel",
    "footprint",
    "hum",
    "lobe",
    "spike",
    "steps",
]
RATE_HZ = 5000.0

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def _compile(compiler: str, path: Path, *flags: str) -> None:
    command = [compiler, "-std=c11", "-ffp-contract=off", *flags, f"-I{WEIGH}", f"-I{WEIGH.parents[1] / 'include'}"]
    command += [str(Path(__file__).parent / "stages" / "footprints.c"), *(str(WEIGH / f"{name}.c") for name in STAGE)]
    subprocess.run([*command, "-lm", "-o", str(path)], check=True)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage under the sanitizers."""
    path = tmp_path_factory.mktemp("stage") / "footprints"
    _compile("gcc", path, "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    return path


@pytest.fixture(scope="module")
def arm_program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The stage as the core is built, for ARM, and what runs it here."""
    compiler, emulator = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64-static")
    if not compiler or not emulator:
        pytest.skip("aarch64-linux-gnu-gcc and qemu-aarch64-static are not installed")
    path = tmp_path_factory.mktemp("arm") / "footprints"
    _compile(compiler, path, "-O3", "-static")
    return [emulator, str(path)]


@dataclass
class Print:
    begin: float
    end: float
    rise: float
    fall: float
    centre: float
    peak: float
    area: float
    saturated: bool
    cut_short: bool


@dataclass
class Seen:
    prints: list[Print]
    state: int
    baseline: float
    noise: float
    footprints: int
    spikes: int


def look(
    program: Path | list[str],
    samples: npt.NDArray[np.float64],
    tau_s: float = 0.0,
    plate: bool = False,
    block: int = 4096,
) -> Seen:
    data = np.clip(np.rint(samples), -32768, 32767).astype(np.int16).tobytes()
    start = program if isinstance(program, list) else [str(program)]
    arguments = [*start, str(RATE_HZ), str(tau_s), str(int(plate)), str(block)]
    lines = subprocess.run(arguments, input=data, capture_output=True, check=True).stdout.decode().splitlines()
    rows = [[float(word) for word in line.split()] for line in lines[:-1]]
    state, baseline, noise, footprints, spikes = (float(word) for word in lines[-1].split()[1:])
    prints = [Print(*row[:7], saturated=bool(row[7]), cut_short=bool(row[8])) for row in rows]
    return Seen(prints, int(state), baseline, noise, int(footprints), int(spikes))


def quiet(seconds: float = 3.0, noise: float = 3.0, base: float = 200.0, seed: int = 1) -> npt.NDArray[np.float64]:
    return base + np.random.default_rng(seed).normal(0.0, noise, int(seconds * RATE_HZ))


def wheel(at: float, wide: float, peak: float, count: int, flank: float = 0.4) -> npt.NDArray[np.float64]:
    """A pulse with its middle at scan `at`: `wide` scans at half of its peak, raised cosines of `flank` of that."""
    t = np.abs(np.arange(count) - at)
    half, slope = wide / 2, wide * flank / 2
    return np.asarray(peak * np.interp(t, [half - slope, half + slope], [1.0, 0.0]), np.float64)


def high_pass(x: npt.NDArray[np.float64], tau_s: float) -> npt.NDArray[np.float64]:
    """What an AC-coupled amplifier makes of it: y' = x' - y / tau."""
    k = 1.0 / (tau_s * RATE_HZ)
    y, charge = np.empty_like(x), 0.0
    for i, v in enumerate(x):
        y[i] = (v - charge) / (1.0 + k)
        charge += y[i] * k
    return y


def test_a_quiet_channel_gives_nothing_but_its_noise(program: Path) -> None:
    seen = look(program, quiet())
    assert seen.prints == []
    assert seen.footprints == seen.spikes == seen.state == 0
    assert seen.baseline == pytest.approx(200, abs=1)
    assert seen.noise == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize("wide", [40, 150, 1200])
def test_a_wheel_is_measured_as_it_was_made(program: Path, wide: int) -> None:
    samples = quiet()
    true = wheel(7000.3, wide, 3000, len(samples))
    (f,) = look(program, samples + true).prints
    assert f.area == pytest.approx(true.sum(), rel=0.003)
    assert f.centre == pytest.approx(7000.3, abs=0.005 * wide)
    # 0.4 of the height lies a tenth of the flanks' span outside of the middle of each.
    assert (f.fall - f.rise) == pytest.approx(wide + 2 * 0.1 * 0.4 * wide, rel=0.02, abs=1)
    assert f.peak == pytest.approx(3000, rel=0.02)
    assert not f.saturated
    assert not f.cut_short


@pytest.mark.parametrize("block", [1, 7, 63, 64, 65, 15000])
def test_the_cut_into_blocks_makes_no_difference(program: Path, block: int) -> None:
    samples = quiet() + sum(wheel(at, 120, 2000, 15000) for at in (3000, 3500, 8000, 8200))
    samples[9000] += 4000  # a spike
    seen = look(program, samples, block=block)
    assert seen == look(program, samples)
    assert len(seen.prints) == 4
    assert seen.spikes == 1


def test_droop_is_taken_out_of_an_ac_coupled_channel(program: Path) -> None:
    samples = quiet(base=0.0)
    true = wheel(7000, 800, 3000, len(samples))
    drooped = high_pass(true, 0.5) + samples
    (f,) = look(program, drooped, tau_s=0.5).prints
    assert f.area == pytest.approx(true.sum(), rel=0.01)
    # Taken for a channel that is coupled to DC, the droop stays in.
    assert look(program, drooped).prints[0].area < 0.95 * true.sum()


def stand(at: int, seconds: float, peak: float, count: int) -> npt.NDArray[np.float64]:
    """A wheel that rolls onto the strip at walking pace, stands there and rolls off, the last of its print slowly."""
    on, off = np.linspace(0, 1, 200), np.concatenate([np.linspace(1, 0.03, 600), np.linspace(0.03, 0, 400)])
    shape = np.concatenate([on, np.ones(int(seconds * RATE_HZ)), off])
    return np.asarray(peak * np.concatenate([np.zeros(at), shape, np.zeros(count - at - len(shape))]), np.float64)


@pytest.mark.parametrize("stand_s", [0.0, 13.0, 60.0])
@pytest.mark.parametrize("tau_s", [0.0, 2.0, 8.0])
@pytest.mark.parametrize("drift", [-0.4, 0.4])
def test_a_wheel_that_stood_leaves_those_behind_it_as_they_are(
    program: Path, stand_s: float, tau_s: float, drift: float
) -> None:
    samples = quiet(stand_s + 14.0, base=0.0)
    count = len(samples)
    second = [int((stand_s + 2.0 + s) * RATE_HZ) for s in (2.0, 3.0, 10.0)]
    true = stand(15000, stand_s, 3500, count) + sum(wheel(at, 300, 2000, count) for at in second)
    true = high_pass(true, tau_s) if tau_s else true
    seen = look(program, samples + true + drift / RATE_HZ * np.arange(count), tau_s)
    assert len(seen.prints) == 4
    for f, at in zip(seen.prints[1:], second, strict=True):
        assert f.centre == pytest.approx(at, abs=5)
        assert f.area == pytest.approx(2000 * 300, rel=0.02)
    assert seen.state == 0


@pytest.mark.parametrize("moved", [-600.0, -60.0, 60.0, 600.0])
@pytest.mark.parametrize("in_s", [0.0, 1.5])
def test_a_baseline_that_moves_blinds_no_ac_coupled_channel(program: Path, moved: float, in_s: float) -> None:
    samples = quiet(40.0, base=0.0)
    count = len(samples)
    wheels = [2 * RATE_HZ, 25 * RATE_HZ, 30 * RATE_HZ]
    samples += high_pass(sum((wheel(at, 300, 2000, count) for at in wheels), np.zeros(count)), 2.0)
    samples += np.interp(np.arange(count) / RATE_HZ, [4.0, 4.0 + in_s + 1e-4], [0.0, moved])
    seen = look(program, samples, tau_s=2.0)
    heavy = [f for f in seen.prints if f.peak > 1000]
    assert [f.centre for f in heavy] == pytest.approx(wheels, abs=3)
    assert [f.area for f in heavy] == pytest.approx([2000 * 300] * 3, rel=0.01)
    assert seen.baseline == pytest.approx(moved, abs=3)


def test_what_no_wheel_makes_gives_no_footprint(program: Path) -> None:
    spikes = quiet()
    spikes[[2000, 5003, 9001]] += [9000, -4000, 500]
    seen = look(program, spikes)
    assert seen.prints == []
    assert seen.spikes == 3
    cable = quiet(6.0)
    cable[10000:20000] += 5000  # comes off and is put on again
    assert look(program, cable).prints == []
    louder = np.concatenate([quiet(noise=3.0), quiet(noise=15.0, seed=2)])
    seen = look(program, louder)
    assert seen.prints == []
    assert seen.noise == pytest.approx(15, rel=0.2)


def test_a_wheel_that_stands_and_one_that_is_cut_off_are_told(program: Path) -> None:
    stands = quiet(20.0)
    stands[20000:70000] += 2500 * np.minimum(1, np.minimum(np.arange(50000), np.arange(50000)[::-1]) / 200)
    (f,) = look(program, stands).prints
    assert f.fall - f.rise == pytest.approx(50000 - 2 * 80, abs=4)
    assert f.area == pytest.approx(2500 * 49801, rel=0.003)
    (f,) = look(program, stands[:50000]).prints
    assert f.cut_short
    high = quiet(noise=8.0) + wheel(7000, 150, 9000, 15000)
    assert not look(program, high).prints[0].saturated
    assert look(program, np.minimum(high, 6000)).prints[0].saturated  # the amplifier ends below the converter's rail
    assert look(program, high * 5).prints[0].saturated


def test_a_second_wheel_close_behind_has_a_footprint_of_its_own(program: Path) -> None:
    samples = quiet()
    pair = wheel(7000, 100, 3000, 15000) + wheel(7180, 100, 2000, 15000)
    a, b = look(program, samples + pair).prints
    assert a.peak == pytest.approx(3000, rel=0.02)
    assert b.peak == pytest.approx(2000, rel=0.02)
    assert a.area + b.area == pytest.approx(pair.sum(), rel=0.005)


def test_arm_gives_the_same_bits(program: Path, arm_program: list[str]) -> None:
    hum = 20 * np.sin(2 * np.pi * 50.2 / RATE_HZ * np.arange(15000))
    samples = quiet(noise=6.0) + hum + wheel(4000, 90, 1500, 15000) + wheel(9000.7, 700, 800, 15000)
    seen = look(program, samples, tau_s=2.0)
    assert len(seen.prints) == 2
    assert look(arm_program, samples, tau_s=2.0) == seen
