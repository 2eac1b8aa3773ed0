#!/bin/sh
# SciPy 1.17.1: tmean() adds 16-bit samples in 16 bits, and counts them so: a baseline of 1202 counts comes out as 22.
. "$(dirname "$0")/lib/broker.sh"
python3 -m venv "$WORK/venv"
"$WORK/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1
echo "library   scipy 1.17.1, numpy 2.4.6 (PyPI)"
cat <<'TEXT'
expected  scipy.stats.tmean(a, limits) is the mean of what lies within the limits, a float; without limits that of
          ndarray.mean(), as its manual says. trim_mean() beside it is. A sum that does not fit is no result.
matters   The baseline of a strip is the mean of what lies near zero, and samples come as int16 from every logger. With 20
          samples all is well, with the 1000 of a calm second the mean is off by a multiple of 65536 / 1000, never above
          33 counts: it looks like a good zero, and the preload of a plate is gone. tstd() of the same samples is right.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import warnings

import numpy as np
from scipy import stats

warnings.simplefilter("error")
words = []
for n in (20, 1000):
    samples = (1200 + np.arange(n) % 5).astype(np.int16)  # counts, 1202 in the mean
    limits = (1000, 1400)
    found = [samples.mean(), stats.trim_mean(samples, 0.1), stats.tmean(samples.astype(float), limits)]
    found += [stats.tmean(samples, limits), stats.tmean(samples)]
    words.append(
        f"{n} samples: mean, trim_mean and tmean of floats {' '.join(f'{mean:.1f}' for mean in found[:3])}, "
        f"tmean {' '.join(f'{mean:.1f}' for mean in found[3:])}"
    )
print("; ".join(words))
PYTHON
verdict "$("$WORK/venv/bin/python" "$WORK/ask.py")" \
    "20 samples: mean, trim_mean and tmean of floats 1202.0 1202.0 1202.0, tmean 1202.0 1202.0; \
1000 samples: mean, trim_mean and tmean of floats 1202.0 1202.0 1202.0, tmean 22.4 22.4"
