"""Mistakes of the user end a process with one line and status 2; other errors keep their traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ignite.engine import Engine
from monai.bundle import ConfigParser, ConfigWorkflow

from bundle.utils.errors import FileError
from bundle.utils.mistakes import HINT, TRACEBACK, describe_mistake, report_mistakes
from bundle.utils.option_checks import check_positive

COMMAND_LINE = ["/site/monai/bundle/__main__.py", "run"]


def error_of(call: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - of any kind
        call()
    return caught.value


def resolve(**content: Any) -> Callable[[], Any]:
    return lambda: ConfigParser(content).get_parsed_content("x")


def raise_error(error: BaseException) -> None:
    """Stand for a component."""
    raise error


THIS = f"{__name__}.raise_error"


class TestMessages:
    def test_an_error_of_the_package_is_found_below_those_of_monai(self) -> None:
        error = error_of(resolve(x={"_target_": THIS, "error": FileError("a.nii", "is empty", "copy it\n again")}))
        assert str(error).startswith("Failed to instantiate component")
        assert describe_mistake(error) == "a.nii: is empty; copy it again."

    def test_a_refused_value_needs_no_place(self) -> None:
        error = error_of(resolve(x="$bundle.utils.option_checks.check_positive(n=0)", bundle="$import bundle"))
        assert describe_mistake(error) == "n must be at least 1, got 0."
        assert describe_mistake(error_of(lambda: check_positive(n=0))) == "n must be at least 1, got 0."

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({"_target_": "torch.nn.Linear", "inn": 1}, "x: TypeError: Linear.__init__() got an unexpected keyword"),
            ("$1 / 0", "x: ZeroDivisionError: division by zero."),
            ("$int('a')", "x: invalid literal for int() with base 10: 'a'."),
            ("@none", "x: the referring item `@none` is not defined in the config content."),
            ({"_target_": "none.none"}, "Cannot locate class or function path: 'none.none'."),
            ({"_target_": THIS, "error": RuntimeError()}, "x: RuntimeError"),
        ],
    )
    def test_whatever_goes_wrong_in_a_config_names_its_id(self, value: Any, message: str) -> None:
        found = describe_mistake(error_of(resolve(x=value)))
        assert found is not None
        assert found.startswith(message)
        assert ("Cannot locate" in message) != found.endswith(HINT)

    def test_an_unknown_run_id_is_a_mistake(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        workflow = ConfigWorkflow(str(tmp_path / "config.json"), meta_file=None, logging_file=False, run_id="rnu")
        assert describe_mistake(error_of(workflow.run)) == f"run ID 'rnu' doesn't exist in the config file. {HINT}"

    def test_a_file_that_cannot_be_opened_is_named(self) -> None:
        assert describe_mistake(error_of(Path("/none/x").read_bytes)) == f"/none/x: No such file or directory. {HINT}"

    def test_other_errors_are_no_mistakes(self) -> None:
        assert describe_mistake(error_of(lambda: int("a"))) is None
        assert describe_mistake(error_of(lambda: {}["a"])) is None
        assert describe_mistake(error_of(resolve(x={"_target_": THIS, "error": KeyboardInterrupt()}))) is None

    def test_a_mistake_in_a_step_has_to_be_of_the_package(self) -> None:
        def run(error: BaseException) -> Callable[[], Any]:
            engine = Engine(lambda *_: raise_error(error))
            return resolve(x="$@engine.run([0])", engine=engine)

        assert describe_mistake(error_of(run(ValueError("a")))) is None
        assert describe_mistake(error_of(run(FileError("a", "b", "c")))) == "a: b; c."


class TestHook:
    @pytest.fixture
    def hook(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
        monkeypatch.setattr(sys, "argv", COMMAND_LINE)
        report_mistakes()
        return sys.excepthook

    def test_a_mistake_ends_the_process_with_status_2(self, hook: Any, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(SystemExit) as end:
            hook(FileError, FileError("a", "b", "c"), None)
        assert end.value.code == 2
        assert [record.getMessage() for record in caplog.records] == ["a: b; c."]

    def test_the_traceback_can_be_shown(
        self, hook: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv(TRACEBACK, "1")
        error = error_of(lambda: raise_error(FileError("a", "b", "c")))
        with pytest.raises(SystemExit):
            hook(FileError, error, error.__traceback__)
        assert "Traceback" in capsys.readouterr().err

    def test_another_error_is_shown_as_usual(self, hook: Any, capsys: pytest.CaptureFixture[str]) -> None:
        hook(KeyError, KeyError("a"), None)
        assert "KeyError: 'a'" in capsys.readouterr().err

    def test_another_program_keeps_its_hook(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
        monkeypatch.setattr(sys, "argv", ["pytest"])
        report_mistakes()
        assert sys.excepthook is sys.__excepthook__
