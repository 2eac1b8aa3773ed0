"""What the daemon frees goes back to the system, also after it once needed a large block."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from edge.machine.memory import keep_small

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6

if sys.argv[1] == "small":
    keep_small()
bytearray(20_000_000)
before = resident_mb()
blocks = [bytearray(100_000) for _ in range(300)]
del blocks
print(resident_mb() - before)
"""


def kept_mb(how: str) -> float:
    command = [sys.executable, "-c", PROGRAM, how]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a matter of glibc")
def test_freed_blocks_go_back_to_the_system() -> None:
    assert kept_mb("small") < 3.0
    assert kept_mb("usual") > 20.0, "else there is nothing to mend"
