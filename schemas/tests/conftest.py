"""Settings of hypothesis for all tests: no deadlines, since machines are shared; the same examples every time in CI."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("verbatim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("verbatim"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "verbatim")
