"""The demo: everything from nothing, a first hundred orders, how each ended, and what was promised."""

from app.demo.show import run

__all__ = ["run"]
