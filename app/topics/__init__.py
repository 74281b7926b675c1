"""The topics of the system: what there must be, what there is, and how the two differ."""

from app.topics.admin import check, ensure, identify, require
from app.topics.plan import (
    DEAD_LETTER_OUTCOMES,
    DEAD_LETTERS,
    TABLES,
    Difference,
    Kind,
    Layout,
    TopicSpec,
    changelog_of,
    differences,
    explain,
    plan,
)
from app.topics.report import run

__all__ = [
    "DEAD_LETTERS",
    "DEAD_LETTER_OUTCOMES",
    "TABLES",
    "Difference",
    "Kind",
    "Layout",
    "TopicSpec",
    "changelog_of",
    "check",
    "differences",
    "ensure",
    "explain",
    "identify",
    "plan",
    "require",
    "run",
]
