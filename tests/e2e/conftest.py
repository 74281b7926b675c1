"""The old address of `System`: it has moved to `tests.e2e.system`, the fixtures to `tests/conftest.py`."""

from tests.e2e.system import System

__all__ = ["System"]
