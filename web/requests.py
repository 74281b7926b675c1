"""What a request may hold: strict types, every limit of the settings, every fault named at once."""

import asyncio
from functools import lru_cache
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from pydantic_extra_types.currency_code import ISO4217

from app.settings import current
from web.problems import Problem

limits = current().limits

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Token = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")]
Currency = Annotated[
    str,
    Field(pattern=r"^[A-Z]{3}$"),  # ISO4217 alone takes "eur" for "EUR"
    AfterValidator(lru_cache(TypeAdapter(ISO4217).validate_python)),
]
Quantity = Annotated[int, Field(ge=1, le=limits.quantity)]
UnitPrice = Annotated[int, Field(ge=0, le=limits.unit_price)]
RestockQuantity = Annotated[int, Field(ge=1, le=limits.restock)]
WaitSeconds = Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)]
PageLimit = Annotated[int, Field(ge=1, le=limits.page)]

M = TypeVar("M", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Item(_Body):
    """Be one line of the order as the customer wants it; `unit_price` in minor units."""

    sku: Id
    quantity: Quantity
    unit_price: UnitPrice


class PaymentMeans(_Body):
    """Be how the customer pays: the provider's token, never a card."""

    token: Token


class PlaceOrder(_Body):
    """Be the body of `POST /orders`."""

    customer_id: Id
    currency: Currency
    # No tuple: of that, pydantic counts the valid items alone, and so finds too few where one is bad.
    items: Annotated[list[Item], Field(min_length=1, max_length=limits.lines)]
    payment: PaymentMeans

    @field_validator("items")
    @classmethod
    def _distinct(cls, items: list[Item]) -> list[Item]:
        skus = [item.sku for item in items]
        if len(set(skus)) < len(skus):
            repeated = sorted({sku for sku in skus if skus.count(sku) > 1})
            raise ValueError(f"each SKU may stand in one line only, and these do not: {', '.join(repeated)}")
        return items


class Restock(_Body):
    """Be the body of `POST /inventory/{sku}/restock`."""

    quantity: RestockQuantity


class NoBody(_Body):
    """Be the body of whatever takes none: an empty object."""


class NoQuery(_Query):
    """Be the query of whatever takes none."""


class OrderQuery(_Query):
    """Be the query of `GET /orders/{order_id}`."""

    wait: WaitSeconds = 0
    as_of: AwareDatetime | None = None


class SummaryQuery(_Query):
    """Be the query of `GET /analytics/summary`."""

    minutes: Annotated[int, Field(ge=1, le=current().analytics.retention_minutes)] = 60


class ShareQuery(SummaryQuery):
    """Be how workers ask each other for it: all of them for the same minutes."""

    since: AwareDatetime


class InventoryQuery(_Query):
    """Be the query of `GET /inventory`."""

    limit: PageLimit = 100
    cursor: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{0,64}$")] = ""


async def read_body(request: web.Request, model: type[M]) -> M:
    """Return the request's body.

    Raises:
        Problem: 415 not JSON by its media type, 413 too large, 408 too slow, 400 malformed, 422 the rest.
    """
    if request.content_type != "application/json":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body is {request.content_type!r}, expected 'application/json'",
        )
    try:
        return model.model_validate_json(await _read(request))
    except ValidationError as error:
        raise _unfit(error, "body") from None
    except web.RequestPayloadError as error:
        reason = " ".join(str(error).split())
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"the body can't be read: {reason}", headers={"Connection": "close"}
        ) from None


async def read_no_body(request: web.Request) -> None:
    """See that the request has no body, or an empty object.

    Raises:
        Problem: as `read_body` does, where there is more.
    """
    if request.can_read_body:
        await read_body(request, NoBody)


def read_query(request: web.Request, model: type[M]) -> M:
    """Return the request's query.

    Raises:
        Problem: 422 for a parameter that is unknown, repeated or out of its limits.
    """
    if not request.query_string:
        return model()
    repeated = sorted(name for name in set(request.query) if len(request.query.getall(name)) > 1)
    if repeated:
        errors = [
            {"loc": ["query", name], "msg": "Given more than once", "type": "repeated"} for name in repeated
        ]
        detail = f"given more than once in the query: {', '.join(repeated)}"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise _unfit(error, "query") from None


async def _read(request: web.Request) -> bytes:
    if request.content.is_eof():  # it came with the head, as small ones do
        whole = request.content.read_nowait()
        _check_size(len(whole))
        return whole
    raw = bytearray()
    try:
        async with asyncio.timeout(limits.body_ms / 1000):
            async for chunk in request.content.iter_any():
                raw += chunk
                _check_size(len(raw))
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body has not arrived within {limits.body_ms} ms: {len(raw)} bytes of it have",
            headers={"Connection": "close"},
        ) from None
    return bytes(raw)


def _check_size(length: int) -> None:
    if length > limits.body_bytes:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is larger than {limits.body_bytes} bytes",
            headers={"Connection": "close"},
        )


def _unfit(error: ValidationError, where: str) -> Problem:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    if faults[0]["type"] == "json_invalid":
        return Problem(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {faults[0]['msg']}")
    errors: list[dict[str, Any]] = [
        {"loc": [where, *fault["loc"]], "msg": fault["msg"], "type": fault["type"]} for fault in faults
    ]
    names = ", ".join(".".join(str(part) for part in fault["loc"]) for fault in errors)
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, f"{len(errors)} fault(s) in the {where}: {names}", errors=errors
    )
