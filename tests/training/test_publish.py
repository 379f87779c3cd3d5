from __future__ import annotations

from pathlib import Path

import ignite.distributed as idist
import pytest
from ignite.engine import Engine, Events

from bundle.training import PublishWeights


def run(handler: PublishWeights, source: Path, *, fails: bool = False) -> None:
    """Run an engine that writes ``source`` at the end of its epoch, and then fails where it is asked to."""

    def step(_: Engine, __: int) -> None:
        source.write_bytes(b"new")
        if fails:
            raise RuntimeError("cut off")

    engine = Engine(step)
    handler.attach(engine)
    engine.run([0], max_epochs=1)


def test_the_weights_of_a_training_that_ended_well_replace_those_in_use(tmp_path: Path) -> None:
    target = tmp_path / "models" / "model.pt"
    run(PublishWeights(tmp_path / "out.pt", target), tmp_path / "out.pt")
    assert target.read_bytes() == b"new"
    assert [file.name for file in target.parent.iterdir()] == ["model.pt"]


def test_a_training_that_fails_leaves_the_weights_in_use_alone(tmp_path: Path) -> None:
    target = tmp_path / "model.pt"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="cut off"):
        run(PublishWeights(tmp_path / "out.pt", target), tmp_path / "out.pt", fails=True)
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("target", [None, ""])
def test_without_a_target_nothing_is_copied(target: str | None, tmp_path: Path) -> None:
    run(PublishWeights(tmp_path / "out.pt", target), tmp_path / "out.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["out.pt"]


def test_one_process_of_several_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    engine = Engine(lambda *_: None)
    PublishWeights("a.pt", "b.pt").attach(engine)
    assert not engine._event_handlers[Events.COMPLETED]
