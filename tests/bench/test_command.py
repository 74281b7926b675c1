"""What the benchmark's command lines take."""

from pathlib import Path

import pytest
import typer

from bench.__main__ import main
from bench.engines import ENGINES, command
from bench.scenario import scenarios


def test_the_list_names_every_scenario_and_measures_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main(show_list=True)
    shown = capsys.readouterr().out
    assert all(f"{name}: " in shown for name in scenarios())


def test_a_scenario_that_does_not_exist_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="no-such: no such scenario"):
        main(["no-such"])


def test_a_subject_that_does_not_exist_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="no-such: no such subject"):
        main(["reference"], only=["quix", "no-such"])


def test_engines_share_one_command_line_and_make_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    given = command.options("x", ["--broker", "127.0.0.1:9092", "--state-dir", str(folder)])
    assert given == command.Options("127.0.0.1:9092", folder)
    assert folder.is_dir()


def test_no_two_engines_share_a_name_or_a_group() -> None:
    assert len({engine.name for engine in ENGINES}) == len(ENGINES)
    assert len({engine.group for engine in ENGINES}) == len(ENGINES)
