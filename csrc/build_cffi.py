"""Builds `edge._core` from csrc/: the public header is both the C interface and the cffi definition."""

import os
import re
from pathlib import Path

from cffi import FFI

ROOT = Path("csrc")  # setuptools runs this from the project's root
HEADER = ROOT / "include" / "borderflow_core.h"

# No contraction and no fast-math: the same samples give the same bits on every machine.
cflags = ["-std=c11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra", "-ffp-contract=off"]
ldflags = ["-lm"]
if sanitize := os.environ.get("BORDERFLOW_SANITIZE"):  # e.g. address,undefined
    cflags += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1", "-g"]
    ldflags += [f"-fsanitize={sanitize}"]

match = re.search(r"/\* CFFI-BEGIN \*/(.*)/\* CFFI-END \*/", HEADER.read_text(), re.DOTALL)
assert match, f"{HEADER}: the CFFI-BEGIN and CFFI-END marks are missing"

ffibuilder = FFI()
ffibuilder.cdef(match.group(1))
ffibuilder.set_source(
    "edge._core",
    '#include "borderflow_core.h"',
    sources=sorted(str(path) for path in (ROOT / "src").rglob("*.c")),
    include_dirs=[str(ROOT / "include")],
    extra_compile_args=cflags,
    extra_link_args=ldflags,
    libraries=["m"],
)
