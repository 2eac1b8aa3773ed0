"""Property tests try the same examples in each run, so that red means a change; BORDERFLOW_RANDOM=1 tries new ones."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile("random" if os.environ.get("BORDERFLOW_RANDOM") else "repeatable")
