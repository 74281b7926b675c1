"""Outbound delivery: what is told to others outside, once each, in order, however long that takes.

One mechanism for every stage that does it. A message is an intent in the stage's table first; then it is
carried outside, away from the stream; what came of it goes back into the stream, and is recorded. A stage
says what it reads, which message of its order each event makes (`models`), and who carries it.
"""

from app.outbound.requirements import require

__all__ = ["require"]
