"""Failures in the shared suite show what differed, as those in test files do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("spaces", "conformance_writing", "conformance_reading")
