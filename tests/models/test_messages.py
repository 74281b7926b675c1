from uuid import UUID, uuid5

from hypothesis import given as any_of
from hypothesis import strategies as st

from models.messages import NAMESPACE, derive_id


@any_of(parts=st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_an_id_is_the_uuid5_of_what_the_message_is_about(parts: list[str]) -> None:
    assert derive_id(*parts) == str(uuid5(UUID(str(NAMESPACE)), "/".join(parts)))


def test_ids_are_these_for_ever() -> None:
    assert derive_id("ORDER_CREATED", "order-1") == "e7f07d3f-8e00-50b4-9c16-aad906f14eeb"
    assert derive_id("INVENTORY_DEDUCTED", "order-1", "SKU-1:blue") == "dcf417f5-b68e-54f9-9126-07e78aa8c83a"
