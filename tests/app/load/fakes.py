"""A clock that tests set."""

from app.load.pace import Clock


class SetClock(Clock):
    """Stand still until told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def now(self) -> float:
        """Return the time that was set."""
        return self.time
