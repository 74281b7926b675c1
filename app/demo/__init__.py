"""The demo: everything from nothing, a first hundred orders, and how each of them ended."""

from app.demo.show import run

__all__ = ["run"]
