"""The processes of a training share the cases of one order, and validate the same network."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pytest
import torch
import torch.distributed as dist
from helpers.processes import imagine_process, in_processes
from helpers.trainings import ScriptedEvaluator, small_network, small_trainer
from ignite.engine import Engine
from monai.data import DataLoader, Dataset, MetaTensor
from monai.handlers import MeanDice, ValidationHandler
from monai.utils import set_determinism
from torch import nn
from torch.utils.data import SequentialSampler, WeightedRandomSampler

from bundle.inference import CaseMetrics
from bundle.tasks.classification import ClassificationMetrics
from bundle.tasks.images import ImageMetrics
from bundle.tasks.spine import DiscMetrics
from bundle.tasks.spine.discs import Disc
from bundle.training import EarlyStop, ProcessSampler, SameBuffers, share_loader, start_processes


def shares(count: int, processes: int, *, even: bool, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    found = []
    for rank in range(processes):
        imagine_process(monkeypatch, rank, processes)
        sampler = ProcessSampler(SequentialSampler(range(count)), even=even)
        found.append(list(sampler))
        assert len(sampler) == len(found[-1])
    return found


@pytest.mark.parametrize(
    ("count", "processes", "expected"),
    [
        (5, 1, [[0, 1, 2, 3, 4]]),
        (5, 2, [[0, 2, 4], [1, 3]]),
        (3, 3, [[0], [1], [2]]),
        (1, 2, [[0], [0]]),
        (2, 3, [[0, 1], [0, 1], [0, 1]]),
    ],
    ids=str,
)
def test_a_validation_repeats_nothing_unless_there_are_fewer_cases_than_processes(
    count: int, processes: int, expected: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shares(count, processes, even=False, monkeypatch=monkeypatch) == expected


@pytest.mark.parametrize(
    ("count", "processes", "expected"),
    [(4, 2, [[0, 2], [1, 3]]), (5, 2, [[0, 2, 4], [1, 3, 0]]), (1, 3, [[0], [0], [0]]), (3, 1, [[0, 1, 2]])],
    ids=str,
)
def test_every_process_trains_on_as_many(
    count: int, processes: int, expected: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shares(count, processes, even=True, monkeypatch=monkeypatch) == expected


def test_a_loader_keeps_its_sampler_and_its_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    imagine_process(monkeypatch, 1, 2)
    data = Dataset([{"image": torch.tensor([float(number)])} for number in range(10)])
    sampler = WeightedRandomSampler([0.0] * 9 + [1.0], 8)
    loader = share_loader(DataLoader(data, batch_size=3, sampler=sampler, drop_last=True), even=True)
    assert [batch["image"].flatten().tolist() for batch in loader] == [[9.0] * 3]
    assert (loader.batch_size, loader.drop_last, len(loader)) == (3, True, 1)


def test_processes_are_joined_and_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[str] = []
    monkeypatch.setattr(dist, "init_process_group", lambda backend: joined.append(backend))
    drawn = []
    for _ in range(2):
        start_processes(backend="gloo", seed=3)
        drawn.append((random.random(), torch.rand(1).item()))
    set_determinism(None)
    assert joined == ["gloo", "gloo"]
    assert drawn[0] == drawn[1]


def test_a_process_alone_keeps_its_buffers() -> None:
    network = nn.BatchNorm1d(1)
    SameBuffers(network)(Engine(lambda *_: None))
    assert network.running_mean.item() == 0


def test_buffers_are_those_of_the_first_process_in_every_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    imagine_process(monkeypatch, 1, 2)
    monkeypatch.setattr(dist, "broadcast", lambda buffer, src: buffer.fill_(7))
    network, engine = nn.BatchNorm1d(1), Engine(lambda *_: None)
    SameBuffers(network).attach(engine)
    engine.run([0])
    assert (network.running_mean.item(), network.num_batches_tracked.item()) == (7, 7)
    assert network.weight.item() == 1


def image_case(name: str, filled: int) -> dict[str, Any]:
    """Return a case for all handlers: a mask of 8 pixels whose prediction fills some of them and one beside."""
    label, pred = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    label[:, :2], pred[:, 3, 3] = 1, 1
    pred.flatten()[:filled] = 1
    return {"case": name, "pred": pred, "label": label}


def classified_case(name: str, number: int) -> dict[str, Any]:
    return {"case": name, "pred": torch.tensor([number / 10]), "label": torch.tensor([number % 3 % 2])}


def disc_case(name: str, number: int) -> dict[str, Any]:
    points = torch.tensor([[20.0, 0, 0, 0], [21, 0, 0, -30]]).numpy()
    return {"case": name, "discs": [Disc(20, (0.0, 0.0, float(number)), 1.0)], "points": points}


def volume_case(name: str, filled: int) -> dict[str, Any]:
    item = image_case(name, filled)
    return {"case": name, **{key: MetaTensor(item[key][..., None]) for key in ("pred", "label")}}


def metrics_of(cases: list[Any], handler: Any) -> dict[str, float]:
    def step(engine: Engine, item: Any) -> Any:
        engine.state.batch = [item]
        return [item]

    engine = Engine(step)
    handler.attach(engine, "key")
    engine.run(cases, epoch_length=len(cases))
    return {name: float(value) for name, value in engine.state.metrics.items()}


def handlers() -> dict[str, tuple[Any, Any]]:
    dice = MeanDice(output_transform=lambda output: tuple([item[key] for item in output] for key in ("pred", "label")))
    return {
        "images": (ImageMetrics(), image_case),
        "classes": (ClassificationMetrics(["a"]), classified_case),
        "discs": (DiscMetrics(), disc_case),
        "volumes": (CaseMetrics({"a": 1}), volume_case),
        "dice": (dice, image_case),
    }


def all_metrics(rank: int, count: int) -> dict[str, dict[str, float]]:
    """Return the metrics of 7 cases, of which process 0 has more; the sampler gives one to both."""
    found = {}
    for kind, (handler, case_of) in handlers().items():
        cases = [case_of(f"case{number}", number) for number in range(7)]
        share = cases[rank::count]
        found[kind] = metrics_of(share + ([cases[0]] if rank and kind != "dice" else []), handler)
    return found


def stopped_at(rank: int, _: int) -> int:
    """Return the last epoch of a training whose processes disagree about the best one."""
    network = small_network()
    evaluator = ScriptedEvaluator(network, [[0.5, 0.6, 0.4, 0.4, 0.4], [0.9, 0.1, 0.1, 0.1, 0.1]][rank])
    trainer = small_trainer(network, [ValidationHandler(1, evaluator), EarlyStop(evaluator, 2)], epochs=5, cases=2)
    trainer.run()
    return trainer.state.epoch


def drawn_shares(rank: int, _: int) -> list[int]:
    torch.manual_seed(rank)
    return list(ProcessSampler(torch.utils.data.RandomSampler(range(9)), even=True))


def together(rank: int, count: int) -> dict[str, Any]:
    return {
        "metrics": all_metrics(rank, count),
        "last epoch": stopped_at(rank, count),
        "share": drawn_shares(rank, count),
    }


@pytest.mark.slow
def test_two_processes_have_the_same_metrics_stop_together_and_share_one_order(tmp_path: Path) -> None:
    alone = {kind: pytest.approx(metrics) for kind, metrics in all_metrics(0, 1).items()}
    first, second = in_processes(together, 2, tmp_path)
    assert first["metrics"] == alone
    assert second["metrics"] == alone
    assert first["last epoch"] == second["last epoch"] == 4
    assert sorted(first["share"] + second["share"][:4]) == list(range(9))
    assert second["share"][4] == first["share"][0]


def test_one_process_writes_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imagine_process(monkeypatch, 1, 1)
    options: dict[str, Any] = {"output_dir": tmp_path / "out"}
    metrics_of([image_case("a", 5)], ImageMetrics(**options))
    metrics_of([classified_case("a", 5)], ClassificationMetrics(["a"], **options))
    metrics_of([disc_case("a", 5)], DiscMetrics(**options))
    metrics_of([volume_case("a", 5)], CaseMetrics({"a": 1}, **options))
    assert not (tmp_path / "out").exists()
    assert idist.get_rank() == 1
