"""The command line: `python -m app COMMAND`."""

import gc
import os
from pathlib import Path
from typing import Annotated

import typer

from app import settings as configuration
from app.audit.command import audit
from app.errors import Failure
from app.letters.command import dead_letters
from app.load.command import load
from app.rebuild.command import rebuild
from app.rewind.command import rewind
from app.stages import ALL, STAGES

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Orders through Kafka: the worker, its broker, its payment simulator, and the tools around them.",
)

WebPort = Annotated[int | None, typer.Option(min=1, max=65535, help="Serve HTTP on this port.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Listen on this port.")]


@cli.callback()
def main(
    config: Annotated[Path | None, typer.Option(help="Read this file in place of faust.yml.")] = None,
) -> None:
    """Remember which settings file to read, for this process and those it starts."""
    if config is not None:
        os.environ[configuration.CONFIG_VARIABLE] = str(config)


@cli.command()
def broker(
    port: Port = None,
    data_dir: Annotated[Path | None, typer.Option(help="Keep the broker's data here.")] = None,
    *,
    fetch: Annotated[bool, typer.Option("--fetch", help="Only fetch what the broker needs.")] = False,
) -> None:
    """Run the embedded Kafka broker in the foreground, until Ctrl-C."""
    from app import broker as embedded  # noqa: PLC0415  # needs packages a production image lacks

    if fetch:
        embedded.fetch()
    else:
        embedded.run(configuration.current(), port=port, data_dir=data_dir)


@cli.command()
def topics(
    *,
    check: Annotated[bool, typer.Option("--check", help="Create nothing, only report.")] = False,
) -> None:
    """Create the topics that are missing, and report those that differ from what the workers need."""
    from app import topics as administration  # noqa: PLC0415  # other commands need no Kafka client

    raise typer.Exit(administration.run(configuration.current(), check=check))


@cli.command()
def simulator(
    port: Port = None,
    ledger: Annotated[
        Path | None, typer.Option(help="Keep the ledger in this file, and carry it on from there.")
    ] = None,
    bind: Annotated[str, typer.Option(help="Listen on this address.")] = "127.0.0.1",
) -> None:
    """Run the simulated payment provider over HTTP, until Ctrl-C.

    What fails is ordered by the token of a charge; all refunds fail from `PUT /faults/refunds` with
    `{"failing": true}` on, until the same with `false`. It is a warehouse as well, which takes transfers.
    """
    from app import simulator as provider  # noqa: PLC0415  # other commands need no HTTP server

    provider.run(port=port, ledger=ledger, bind=bind)


@cli.command()
def worker(
    web_port: WebPort = None,
    stages: Annotated[
        str | None, typer.Option(help=f"Run these alone, of {', '.join(STAGES)}; or {ALL}.")
    ] = None,
) -> None:
    """Run one Faust worker: every stage of the saga or those that are named, and their HTTP."""
    if stages is not None:
        os.environ["ORDERS_STAGES"] = stages.replace(" ", "")
    if web_port is not None:
        os.environ["ORDERS_WEB__PORT"] = str(web_port)
    gc.disable()  # until all is imported: of so many new objects hardly any goes
    from app import worker as process  # noqa: PLC0415  # reads the settings that the options change

    process.run()


@cli.command()
def demo(
    *,
    exit_when_settled: Annotated[
        bool,
        typer.Option(
            "--exit", help="End by itself once every order is settled; with 1 if anything is wrong."
        ),
    ] = False,
    orders: Annotated[int, typer.Option(min=10, max=10_000, help="How many orders to place.")] = 100,
) -> None:
    """Start everything from nothing, place a first hundred orders and show how each ended."""
    from app import demo as show  # noqa: PLC0415  # other commands need no HTTP client

    raise typer.Exit(show.run(orders=orders, exit_when_settled=exit_when_settled))


cli.command()(load)
cli.command()(audit)
cli.command()(rebuild)
cli.command()(rewind)
cli.add_typer(dead_letters, name="dead-letters")


def run() -> None:
    """Run the command line; a known failure is one sentence on standard error and exit code 1."""
    try:
        cli()
    except Failure as failure:
        typer.echo(f"error: {failure}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    run()
