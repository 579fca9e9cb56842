"""The settings of hypothesis are those of all packages; here, since `pytest evals` reads every conftest.py below it."""

import schemas.tests.conftest  # noqa: F401
