"""The settings of hypothesis are those of all packages."""

import schemas.tests.conftest  # noqa: F401
