from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from monailabel.endpoints import activelearning

from bundle.server.server_errors import RequestError
from bundle.server.workarounds import next_sample

USER = SimpleNamespace(username="ann")


class App:
    """An app that returns the first image as the next one, or none."""

    def __init__(self, *images: str, left: bool = True) -> None:
        self.images, self.left, self.infos = list(images), left, {}
        self._strategies = {"first": None, "random": None}

    def info(self) -> dict[str, Any]:
        return {}

    def datastore(self) -> Any:
        return SimpleNamespace(
            list_images=lambda: self.images,
            get_image_info=lambda name: {"name": name},
            update_image_info=self.infos.__setitem__,
        )

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"id": self.images[0], "asked": request} if self.left and self.images else {}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch):
    def put(app: App) -> App:
        for module in (next_sample, activelearning):
            monkeypatch.setattr(module, "app_instance", lambda: app)
        return app

    return put


def test_the_next_image_is_that_of_the_strategy(serve) -> None:
    app = serve(App("a", "b"))
    found = next_sample.next_sample("first", {"limit": 1}, USER)
    assert (found["id"], found["name"]) == ("a", "a")
    assert found["asked"] == {"strategy": "first", "limit": 1}
    assert app.infos["a"]["strategy"]["first"]["client_id"] == "ann"


@pytest.mark.parametrize(
    ("images", "message"),
    [("ab", "all 2 images have a final label"), ("", "the study folder contains no images")],
)
def test_the_reason_is_returned_if_there_is_no_next_image(images: str, message: str, serve) -> None:
    serve(App(*images, left=False))
    assert next_sample.next_sample("random", None, USER) == {"message": message}


def test_an_unknown_strategy_is_refused(serve) -> None:
    serve(App("a"))
    with pytest.raises(RequestError, match="unknown strategy 'x'; available: first, random") as caught:
        next_sample.next_sample("x", None, USER)
    assert caught.value.status == 404


def test_monailabel_still_returns_no_reason(serve) -> None:
    """When this fails, bundle/server/workarounds/next_sample.py is no longer needed."""
    serve(App(left=False))
    assert activelearning.sample("first") == {}
