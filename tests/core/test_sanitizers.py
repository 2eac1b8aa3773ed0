"""The core under AddressSanitizer and UndefinedBehaviorSanitizer: the fuzz target is run on made inputs.

The target (csrc/fuzz/fuzz_wim.c) is linked with a small driver instead of libFuzzer, so that gcc is enough. Run as a
program, this writes the inputs into a folder: `make fuzz` begins with them.
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


def made_inputs() -> Iterator[bytes]:
    """Inputs of the target that draw whole vehicles, and some that do not."""
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


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_no_finding_under_the_sanitizers(tmp_path: Path) -> None:
    (tmp_path / "driver.c").write_text(DRIVER)
    binary = tmp_path / "fuzz"
    sources = sorted(str(path) for path in (ROOT / "csrc" / "src").rglob("*.c"))
    command = ["gcc", "-std=c11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command += [f"-I{ROOT}/csrc/include", str(tmp_path / "driver.c")]
    command += [str(ROOT / "csrc" / "fuzz" / "fuzz_wim.c"), *sources, "-lm", "-o", str(binary)]
    subprocess.run(command, check=True, capture_output=True)
    inputs = []
    for i, made in enumerate(made_inputs()):
        path = tmp_path / f"input{i}"
        path.write_bytes(made)
        inputs.append(str(path))
    ran = subprocess.run([str(binary), *inputs], capture_output=True, text=True, timeout=150)
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert ran.stdout.strip() == "done"


if __name__ == "__main__":
    for i, made in enumerate(made_inputs()):
        (Path(sys.argv[1]) / f"made{i}").write_bytes(made)
