"""What the external system was told of each order: written by the transfer agent alone."""

from app.main import delivery
from app.outbound.rows import Rows

state = delivery.table("transfer", stage="transfer")
rows = Rows(state)
