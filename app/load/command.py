"""The options of `python -m app load`."""

from pathlib import Path
from typing import Annotated

import typer

from app.load.plan import Arrivals
from app.settings import current

URL = "http://127.0.0.1:6066"


def load(  # noqa: PLR0913  # an option each
    *,
    rate: Annotated[float, typer.Option(min=0.01, max=1_000_000, help="Offer so many orders a second.")],
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="Offer them for so long.")],
    url: Annotated[
        list[str] | None, typer.Option(help="Post to this worker; several take turns.", show_default=URL)
    ] = None,
    skus: Annotated[int, typer.Option(min=1, max=1_000_000, help="Order so many SKUs, `load-sku-N`.")] = 100,
    hot_share: Annotated[
        float, typer.Option(min=0, max=1, help="Have this share of the orders want the first SKU.")
    ] = 0.0,
    lines: Annotated[int, typer.Option(min=1, max=500, help="Put so many lines into an order.")] = 1,
    token: Annotated[str, typer.Option(help="Pay with this token.")] = "tok_ok",  # noqa: S107  # no secret
    stock: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="First take in so much of each SKU; 0 restocks nothing.")
    ] = 1_000_000,
    arrivals: Annotated[
        Arrivals, typer.Option(help="Space the orders evenly or by chance.")
    ] = Arrivals.FIXED,
    connections: Annotated[int, typer.Option(min=1, max=10_000, help="Keep so many connections.")] = 128,
    queue: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Let so many orders wait for a connection.")
    ] = 10_000,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=600, help="Wait so many seconds for an answer.")
    ] = 10.0,
    settle: Annotated[bool, typer.Option(help="Wait until accepted orders are settled.")] = True,
    settle_timeout: Annotated[
        float, typer.Option(min=0.1, max=86_400, help="Wait so many seconds for that, after the last answer.")
    ] = 60.0,
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the figures to this file.")] = None,
    seed: Annotated[int, typer.Option(help="Draw other orders.")] = 0,
) -> None:
    """Offer orders over HTTP on a schedule, and show how long answers and settlements took."""
    from app.load.plan import Plan  # noqa: PLC0415  # other commands need none of it
    from app.load.pool import Limits  # noqa: PLC0415
    from app.load.run import Options  # noqa: PLC0415
    from app.load.show import run  # noqa: PLC0415

    plan = Plan(
        rate=rate,
        seconds=seconds,
        skus=skus,
        hot_share=hot_share,
        lines=lines,
        token=token,
        arrivals=arrivals,
        seed=seed,
    )
    options = Options(
        plan=plan,
        urls=tuple(url or [URL]),
        limits=Limits(connections, queue, timeout),
        stock=stock,
        settle=settle,
        settle_timeout_s=settle_timeout,
    )
    raise typer.Exit(run(current(), options, json))
