"""What the customer was told of each order: written by the notifications agent alone."""

from app.main import delivery
from app.outbound.rows import Rows

state = delivery.table("notifications", stage="notifications")
rows = Rows(state)
