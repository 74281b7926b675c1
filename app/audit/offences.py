"""What can be wrong, and which rule it breaks; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from app.audit.facts import Place


class Rule(StrEnum):
    """Name what is checked."""

    ENDS = "orders end once and in time"
    STOCK = "stock adds up and is never negative"
    PAYMENTS = "orders are charged once, or not at all"
    CAUSES = "events have a cause, and an id of their own"
    TABLES = "tables are what the topics say"


class Kind(StrEnum):
    """Name one way to break a rule."""

    NO_END = "no end"
    LATE_END = "late end"
    NO_REFUND = "no refund"
    SECOND_END = "second end"
    END_NOT_TOLD = "end not told"

    NEGATIVE_STOCK = "negative stock"
    STOCK_SUM = "stock does not add up"
    WRONG_QUANTITY = "wrong quantity"
    SOLD_UNRESERVED = "sold unreserved"
    SETTLED_WRONGLY = "settled wrongly"
    STOCK_LEFT = "stock not settled"

    CHARGED_TWICE = "charged twice"
    WRONG_AMOUNT = "wrong amount"
    COMPLETED_UNCHARGED = "completed uncharged"
    CANCELLED_CHARGED = "cancelled but charged"
    CHARGE_UNKNOWN = "charge unknown"
    REFUNDED_TWICE = "refunded twice"
    REFUNDED_UNCHARGED = "refunded uncharged"
    COMPLETED_REFUNDED = "completed but refunded"
    REFUNDED_CHARGED = "refunded but charged"

    NO_ORDER = "no such order"
    NO_CAUSE = "no cause"
    OTHER_CORRELATION = "other correlation"
    SAME_ID = "same id, other content"

    TABLE_ORDER = "order differs"
    TABLE_STOCK = "stock differs"


RULES: Mapping[Rule, tuple[Kind, ...]] = MappingProxyType(
    {
        Rule.ENDS: (Kind.NO_END, Kind.LATE_END, Kind.NO_REFUND, Kind.SECOND_END, Kind.END_NOT_TOLD),
        Rule.STOCK: (
            Kind.NEGATIVE_STOCK,
            Kind.STOCK_SUM,
            Kind.WRONG_QUANTITY,
            Kind.SOLD_UNRESERVED,
            Kind.SETTLED_WRONGLY,
            Kind.STOCK_LEFT,
        ),
        Rule.PAYMENTS: (
            Kind.CHARGED_TWICE,
            Kind.WRONG_AMOUNT,
            Kind.COMPLETED_UNCHARGED,
            Kind.CANCELLED_CHARGED,
            Kind.CHARGE_UNKNOWN,
            Kind.REFUNDED_TWICE,
            Kind.REFUNDED_UNCHARGED,
            Kind.COMPLETED_REFUNDED,
            Kind.REFUNDED_CHARGED,
        ),
        Rule.CAUSES: (Kind.NO_ORDER, Kind.NO_CAUSE, Kind.OTHER_CORRELATION, Kind.SAME_ID),
        Rule.TABLES: (Kind.TABLE_ORDER, Kind.TABLE_STOCK),
    }
)
"""Each rule and the ways to break it."""


@dataclass(frozen=True, kw_only=True)
class Offence:
    """Be one thing that is wrong: with which order or SKU, what was expected, and what is there."""

    kind: Kind
    subject: str
    expected: str
    found: str
    place: Place | None = None
