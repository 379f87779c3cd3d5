from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from bundle.server import background_tasks as background
from bundle.server.background_tasks import check_request, install_error_hook
from bundle.server.server_errors import RequestError


class Checked:
    """A trainer or scoring method that records the requests it checks."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def check(self, request: Any, datastore: Any) -> None:
        self.seen.append(request)


@pytest.fixture
def app() -> SimpleNamespace:
    images: list[str] = ["a"]
    store = SimpleNamespace(list_images=lambda: images, images=images)
    return SimpleNamespace(
        _trainers={"volumes": Checked()},
        _scoring_methods={"dice": Checked()},
        _infers={"volumes": None},
        datastore=lambda: store,
    )


def test_trainings_and_scorings_check_their_requests(app) -> None:
    check_request(app, "train", {"model": "volumes", "max_epochs": 1})
    check_request(app, "scoring", {"method": "dice"})
    assert app._trainers["volumes"].seen == [{"model": "volumes", "max_epochs": 1}]
    assert app._scoring_methods["dice"].seen == [{"method": "dice"}]


@pytest.mark.parametrize(
    ("method", "request_", "message"),
    [
        ("train", {"model": "x"}, "unknown model for training 'x'; available: volumes"),
        ("train", {}, "unknown model for training None"),
        ("scoring", {"method": "x"}, "unknown scoring method 'x'; available: dice"),
        ("batch_infer", {"model": "x"}, "unknown model 'x'; available: volumes"),
    ],
)
def test_unknown_models_and_methods_are_refused(method: str, request_: dict[str, Any], message: str, app) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        check_request(app, method, request_)
    assert caught.value.status == 404


def test_a_batch_needs_images(app) -> None:
    check_request(app, "batch_infer", {"model": "volumes"})
    app.datastore().images.clear()
    with pytest.raises(RequestError, match="the study folder contains no images") as caught:
        check_request(app, "batch_infer", {"model": "volumes"})
    assert caught.value.status == 409


def test_a_task_process_logs_user_errors_without_a_traceback(monkeypatch, capsys, caplog) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name=background.TASK_PROCESS))
    install_error_hook()
    mistake, fault = RequestError(409, "no labels"), ZeroDivisionError("a fault of ours")
    sys.excepthook(type(mistake), mistake, None)
    assert caplog.messages == ["no labels"]
    assert capsys.readouterr().err == ""
    sys.excepthook(type(fault), fault, None)
    assert "ZeroDivisionError: a fault of ours" in capsys.readouterr().err


@pytest.mark.parametrize("spec", [None, SimpleNamespace(name="pytest.__main__")])
def test_other_processes_stay_as_they_are(spec: Any, monkeypatch) -> None:
    before = sys.excepthook
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
    install_error_hook()
    assert sys.excepthook is before
