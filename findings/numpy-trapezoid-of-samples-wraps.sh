#!/bin/sh
# NumPy 2.4.6 and SciPy 1.17.1: the trapezoid rule adds two 16-bit samples in 16 bits: only the heavy axle comes out wrong.
. "$(dirname "$0")/lib/broker.sh"
python3 -m venv "$WORK/venv"
"$WORK/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1
echo "library   scipy 1.17.1, numpy 2.4.6 (PyPI)"
cat <<'TEXT'
expected  The integral of samples, a float, is their sum times the step where both ends are zero. sum() widens what it adds,
          simpson() is right; the manual of trapezoid() names no limit of the type.
matters   The load of a wheel is the integral of a strip's signal, and samples come as int16. Up to half of the range, where
          a method is tried out, each axle is right. One of 25000 counts weighs nearly nothing, without a warning: an
          overloaded axle is the one that is let through.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import warnings

import numpy as np
from scipy import integrate

warnings.simplefilter("error")
words = []
for peak in (15_000, 25_000):
    axle = (peak * np.exp(-(((np.arange(401) - 200) / 40) ** 2))).astype(np.int16)
    found = {
        "sum": axle.sum(),
        "simpson": integrate.simpson(axle),
        "numpy": np.trapezoid(axle),
        "scipy": integrate.trapezoid(axle),
        "cumulative": integrate.cumulative_trapezoid(axle)[-1],
    }
    words.append(f"peak {peak}: " + ", ".join(f"{name} {value / 1000:.0f}" for name, value in found.items()))
print("; ".join(words) + " thousand counts")
PYTHON
verdict "$("$WORK/venv/bin/python" "$WORK/ask.py")" \
    "peak 15000: sum 1063, simpson 1063, numpy 1063, scipy 1063, cumulative 1063; \
peak 25000: sum 1772, simpson 1772, numpy 68, scipy 68, cumulative 68 thousand counts"
