from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from PIL import Image

from bundle.tasks.spine import DiscMetrics, TrainingGif, training_gif
from bundle.tasks.spine.discs import Disc
from bundle.tasks.spine.sagittal_slab import SLAB_POSITIONS
from bundle.tasks.spine.training_gif import frames_in, write_gif

AFFINE = torch.tensor([[6.0, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 1.5, 0], [0, 0, 0, 1]], dtype=torch.float64)
POINTS = np.array([[21, 0, 12, 36], [22, 0, 12, 12.0]])


def slabs(brightest: int | None = None, positions: tuple[float, ...] = (-6.0, 1.0, 6.0)) -> MetaTensor:
    """Return three slabs, of which one may be bright, with their places."""
    values = torch.rand(3, 1, 16, 32, generator=torch.Generator().manual_seed(0))
    if brightest is not None:
        values = torch.zeros(3, 1, 16, 32)
        values[brightest] = 5
    return MetaTensor(values, affine=AFFINE, meta={SLAB_POSITIONS: torch.tensor(positions, dtype=torch.float64)})


class Heat(torch.nn.Module):
    """A network with all that a look at it could disturb: dropout and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, stride=4, padding=1), torch.nn.BatchNorm2d(4), torch.nn.Dropout(), torch.nn.Tanh()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def find(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "discs": [Disc(21, (0, 12, 36), 0.5), Disc(22, (0, 12, float(data["pred"].max())))]}


def train(folder: Path, epochs: int = 2, first: int = 0, attach: bool = True, **options: Any) -> dict[str, Any]:
    """Train with a validation after every epoch; ``first`` epochs are taken for done."""
    torch.manual_seed(0)
    network = Heat()
    cases = [{"case": f"case{i}", "image": slabs(), "points": POINTS} for i in range(3)]
    evaluator = SupervisedEvaluator(
        torch.device("cpu"),
        DataLoader(Dataset(cases), batch_size=1),
        network,
        postprocessing=find,
        key_val_metric={"identification_rate": DiscMetrics()},
    )
    batch = {"image": slabs()[None].as_tensor(), "label": torch.zeros(1, 3, 4, 4, 8)}
    trainer = SupervisedTrainer(
        torch.device("cpu"),
        epochs,
        [batch] * 2,
        network,
        torch.optim.SGD(network.parameters(), lr=0.1),
        torch.nn.MSELoss(),
        train_handlers=[ValidationHandler(1, evaluator)],
    )

    trainer.state.epoch = first
    if attach:
        TrainingGif(folder, evaluator, **options).attach(trainer)
    trainer.run()
    return network.state_dict()


@pytest.fixture
def _plain_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let frames be of one color, for tests of when there are any."""
    monkeypatch.setattr(training_gif, "_save_frame", lambda _, __, path: Image.new("RGB", (9, 9)).save(path, "PNG"))


def test_every_validation_gives_a_frame_and_the_end_an_animation(tmp_path: Path) -> None:
    train(tmp_path, cases=2, seconds=0.2)
    frames = frames_in(tmp_path / "progress")
    assert list(frames) == [1, 2]
    with Image.open(tmp_path / "progress.gif") as gif, Image.open(frames[2]) as frame:
        assert (gif.n_frames, gif.size) == (2, frame.size)
        assert gif.info["duration"] == 200
        gif.seek(1)
        assert gif.info["duration"] == 1000, "the last is shown for longer"
        difference = np.abs(np.asarray(gif.convert("RGB"), int) - np.asarray(frame.convert("RGB"), int))
    assert difference.mean() < 6


def test_a_training_is_the_same_with_it_and_without(tmp_path: Path) -> None:
    seen, unseen = train(tmp_path), train(tmp_path, attach=False)
    assert all(torch.equal(seen[name], unseen[name]) for name in unseen)


@pytest.mark.usefixtures("_plain_frames")
def test_frames_keep_their_distance_but_the_last_epoch_has_one(tmp_path: Path) -> None:
    train(tmp_path, epochs=6, every=3, cases=1)
    assert list(frames_in(tmp_path / "progress")) == [1, 4, 6]


@pytest.mark.usefixtures("_plain_frames")
def test_a_resumed_training_keeps_its_frames_and_a_new_one_removes_them(tmp_path: Path) -> None:
    train(tmp_path, epochs=3, cases=1)
    kept = (tmp_path / "progress" / "epoch_00001.png").stat().st_mtime_ns
    (tmp_path / "progress" / "epoch_00009.png").write_bytes(b"of a longer run")
    train(tmp_path, epochs=4, first=2, cases=1)
    assert list(frames_in(tmp_path / "progress")) == [1, 2, 3, 4]
    assert (tmp_path / "progress" / "epoch_00001.png").stat().st_mtime_ns == kept
    train(tmp_path, epochs=1, cases=1)
    assert list(frames_in(tmp_path / "progress")) == [1]


def test_no_cases_no_other_process_and_no_matplotlib_draw_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    train(tmp_path, epochs=1, cases=0)
    with monkeypatch.context() as patch:
        patch.setattr(idist, "get_rank", lambda: 1)
        handler = TrainingGif(tmp_path, Engine(lambda *_: None))
        handler.attach(Engine(lambda *_: None))
    monkeypatch.setattr(training_gif, "find_spec", lambda _: None)
    with caplog.at_level(logging.WARNING):
        train(tmp_path, epochs=1)
    assert "no animation of the training" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_training_without_validation_has_no_animation(tmp_path: Path) -> None:
    trainer, evaluator = Engine(lambda *_: None), Engine(lambda *_: None)
    TrainingGif(tmp_path, evaluator).attach(trainer)
    trainer.run([0], max_epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_validations_of_failed_cases_draw_nothing(tmp_path: Path) -> None:
    def fail(engine: Engine, _: Any) -> list[Any]:
        engine.state.batch = []
        return []

    evaluator = Engine(fail)
    trainer = Engine(lambda *_: evaluator.run([0]))
    TrainingGif(tmp_path, evaluator).attach(trainer)
    trainer.run([0], max_epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_the_slab_nearest_to_the_middle_is_shown() -> None:
    heat = torch.zeros(3, 4, 4, 8)
    heat[0, 1, 2, 3], heat[2, 3, 0, 0] = 0.5, 0.25
    for positions, nearest in (((-6.0, 1.0, 6.0), 1), ((0.5, 6.0, 12.0), 0)):
        panel = training_gif._panel({"image": slabs(nearest, positions), "pred": heat})
        assert panel.image.min() == 5
        assert panel.affine[0, 3] == positions[nearest]
        assert (panel.heat[2, 3], panel.heat[0, 0], panel.heat.sum()) == (0.5, 0.25, 0.75)
        assert panel.reference == panel.discs == []
    single = training_gif._panel({"image": MetaTensor(torch.ones(1, 16, 32), affine=AFFINE), "pred": heat[0]})
    assert single.image.shape == (16, 32)
    assert np.array_equal(single.affine, AFFINE)


def test_frames_of_a_run_that_was_cut_off_can_be_put_together(tmp_path: Path) -> None:
    for epoch, width in ((10, 40), (9, 50)):
        Image.new("RGB", (width, 20), "red").save(tmp_path / f"epoch_{epoch:05d}.png")
    (tmp_path / "epoch_other.png").touch()
    assert write_gif(tmp_path, tmp_path / "all.gif") == 2
    with Image.open(tmp_path / "all.gif") as gif:
        assert (gif.n_frames, gif.size) == (2, (50, 20))
    assert write_gif(tmp_path / "none", tmp_path / "none.gif") == 0
    assert not (tmp_path / "none.gif").exists()
