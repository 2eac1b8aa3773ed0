"""The core under AddressSanitizer and UndefinedBehaviorSanitizer: the fuzz targets are run on made inputs.

The targets (csrc/fuzz) are linked with a small driver instead of libFuzzer, so that gcc is enough. Run as a program,
this writes the inputs of a target into a folder: `make fuzz` begins with them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DRIVER = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; ++i) {
        FILE *f = fopen(argv[i], "rb");
        static uint8_t data[1 << 16];
        if (!f) return 2;
        const size_t n = fread(data, 1, sizeof data, f);
        fclose(f);
        LLVMFuzzerTestOneInput(data, n);
    }
    puts("done");
    return 0;
}
"""


def made_samples() -> Iterator[bytes]:
    """Inputs of fuzz_wim that draw whole vehicles, and some that do not."""
    rng = np.random.default_rng(2026)
    for i in range(60):
        # A table of a few strips (and a loop), then operations; half of them pulses that run from line to line.
        lines = int(rng.integers(1, 9))
        head = bytes([1, 0, 0, 20, lines, i & 1, lines + (i & 1), 0])
        table = b""
        for j in range(lines):
            x = (j * 1000).to_bytes(2, "little")
            table += bytes([0, j]) + x + bytes([3, 5]) + (400).to_bytes(2, "little") + bytes([0, i % 3 * 100, 0, 0])
        if i & 1:
            table += bytes([7, lines]) + (500).to_bytes(2, "little") + bytes([3, 150, 0, 0, 0, 0, 100, 0])
        operations = b"".join(bytes([0, 255, j, 0]) for j in range(lines))
        if i % 4 < 3:
            for _ in range(int(rng.integers(2, 30))):
                for j in range(lines):
                    operations += bytes(
                        [int(rng.choice([0, 8])), int(rng.integers(20, 120)), j, int(rng.integers(20, 255))]
                    )
                    operations += bytes([0, int(rng.integers(5, 255)), j, 0])
        else:
            operations += rng.bytes(2000)
        yield head + table + operations


# What the first byte of an operation of fuzz_match says.
_PUT, _RUN, _SETTLE, _LINES, _NAME, _QUEUE = 0, 8, 11, 12, 13, 14


def made_sightings() -> Iterator[bytes]:
    """Inputs of fuzz_match: vehicles that pass two points of one or two lanes, and some that do not."""
    rng = np.random.default_rng(2027)
    for i in range(40):
        lanes, counts_only = 1 + i % 2, int(i % 10 == 9)
        # Lines are taken each second, three seconds out of order; the way to the booth, and at times the way on.
        head = bytes([lanes - 1, 2, 4, 1, 4, 3, counts_only, 5])
        ways = [bytes([0x80 | 1 << 2, lanes - 1, *[25, 30] * lanes]), bytes([1 | 2 << 2, lanes - 1, *[5, 2] * lanes])]
        made = head + bytes([i % 3 // 2]) + b"".join(ways[: 1 + i % 3 // 2])
        made += b"".join(bytes([_NAME, place]) for place in range(3 * lanes))
        passed: list[tuple[int, int, int]] = []  # second, point, plate
        second = 0
        for _ in range(int(rng.integers(10, 60))):
            second += int(rng.integers(3, 30))
            plate = int(rng.integers(0, 256))
            passed += [(second, 0, plate), (second + int(rng.integers(30, 100)), 1, plate)]
        now = 0
        for at, point, plate in sorted(passed):
            kinds = [0, int(rng.choice([1, 2, 3, 4]))] if i % 4 < 3 else [int(rng.integers(0, 256))]
            for kind in kinds:
                identity = bytes([plate, int(rng.integers(0, 4)), *[plate] * 20][: 2 if kind in (0, 1, 2) else 22])
                made += bytes([_PUT, kind, plate % lanes, point, 4, min(at - now, 127)]) + identity
                now = at
            made += bytes([_RUN, 4, 3, 6, 100]) if rng.random() < 0.5 else bytes([_SETTLE])
            if rng.random() < 0.1:
                made += bytes([_QUEUE, 0, 0, int(rng.integers(0, 8)), int(rng.integers(0, 256))])
            if rng.random() < 0.2:
                made += bytes([_LINES, 6, 100, at % 256, at // 60 % 60, plate % (3 * lanes), 2, plate, 0])
        yield made if i % 8 < 7 else made[: len(head)] + rng.bytes(1500)


INPUTS = {"fuzz_wim": made_samples, "fuzz_match": made_sightings}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("target", sorted(INPUTS))
def test_no_finding_under_the_sanitizers(tmp_path: Path, target: str) -> None:
    (tmp_path / "driver.c").write_text(DRIVER)
    binary = tmp_path / "fuzz"
    sources = sorted(str(path) for path in (ROOT / "csrc" / "src").rglob("*.c"))
    command = ["gcc", "-std=c11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command += [f"-I{ROOT}/csrc/include", str(tmp_path / "driver.c")]
    command += [str(ROOT / "csrc" / "fuzz" / f"{target}.c"), *sources, "-lm", "-o", str(binary)]
    subprocess.run(command, check=True, capture_output=True)
    inputs = []
    for i, made in enumerate(INPUTS[target]()):
        path = tmp_path / f"input{i}"
        path.write_bytes(made)
        inputs.append(str(path))
    ran = subprocess.run([str(binary), *inputs], capture_output=True, text=True, timeout=150)
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert ran.stdout.strip() == "done"


if __name__ == "__main__":
    for i, made in enumerate(INPUTS[sys.argv[1]]()):
        (Path(sys.argv[2]) / f"made{i}").write_bytes(made)
