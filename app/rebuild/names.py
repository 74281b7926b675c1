"""The names that a record has in its value, and nothing else of it: where it belongs, at little cost."""

from msgspec import Struct
from msgspec.json import Decoder


class Names(Struct, gc=False):
    """Be what a record is about."""

    order_id: str = ""
    sku: str = ""
    event_id: str = ""


names_of = Decoder(Names).decode
