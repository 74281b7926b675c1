"""Orders of the demo as its tests need them."""

from app.demo.customers import Outcome

KETTLE = "kettle"


def outcome(number: int, status: str = "COMPLETED", quantity: int = 1) -> Outcome:
    """Return the end of an order of so many kettles."""
    reason = "PAYMENT_DECLINED" if status == "CANCELLED" else None
    return Outcome(number, f"order-{number}", {KETTLE: quantity}, "tok_ok", status, reason, 0.1)
