"""Plan, train and predict with nnU-Net on one thread; run by ``benchmarks/nnunet.py`` where nnunetv2 is installed."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import torch
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

ITERATIONS = 10
"""Iterations per epoch, fewer than the default of 250, so that the schedule of the learning rate has enough epochs."""

WARM_UP, TIMED = 2, 6


def train(dataset: Path, minutes: float) -> tuple[Path, dict[str, float]]:
    """Train 3d_fullres on all cases with as many epochs as fit into the budget of CPU time; return the folder."""
    preprocessed = Path(os.environ["nnUNet_preprocessed"], dataset.name)  # noqa: SIM112 - the name that nnU-Net reads
    plans = json.loads((preprocessed / "nnUNetPlans.json").read_text())
    description = json.loads((dataset / "dataset.json").read_text())
    trainer = nnUNetTrainer(plans, "3d_fullres", "all", description, device=torch.device("cpu"))
    trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = ITERATIONS, 1
    started = time.process_time()
    trainer.initialize()
    trainer.on_train_start()
    trainer.network.train()
    for step in range(WARM_UP + TIMED):
        if step == WARM_UP:
            first = time.process_time()
        trainer.train_step(next(trainer.dataloader_train))
    seconds = (time.process_time() - first) / TIMED
    left = minutes * 60 - (time.process_time() - started)
    trainer.num_epochs = max(int(left / (seconds * (ITERATIONS + 1))), 1)
    trainer.save_every = trainer.num_epochs + 1
    trainer.optimizer, trainer.lr_scheduler = trainer.configure_optimizers()
    for epoch in range(trainer.num_epochs):
        trainer.on_epoch_start()
        trainer.on_train_epoch_start()
        losses = [trainer.train_step(next(trainer.dataloader_train)) for _ in range(ITERATIONS)]
        trainer.on_train_epoch_end(losses)
        with torch.no_grad():
            trainer.on_validation_epoch_start()
            found = [trainer.validation_step(next(trainer.dataloader_val))]
            trainer.on_validation_epoch_end(found)
        trainer.current_epoch = epoch
        trainer.on_epoch_end()
    trainer.save_checkpoint(str(Path(trainer.output_folder, "checkpoint_final.pth")))
    used = {"cpu_minutes": (time.process_time() - started) / 60, "seconds_per_iteration": seconds}
    return Path(trainer.output_folder_base), {**used, "epochs": trainer.num_epochs, "iterations_per_epoch": ITERATIONS}


def predict(model: Path, images: Path, output: Path) -> float:
    """Segment a folder with nnU-Net's default settings; return the seconds of CPU time."""
    started = time.process_time()
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), use_folds=("all",))
    files = sorted(images.glob("*_0000.nii.gz"))
    cases = [[str(file)] for file in files]
    output.mkdir(parents=True, exist_ok=True)
    names = [str(output / file.name.removesuffix("_0000.nii.gz")) for file in files]
    predictor.predict_from_files_sequential(cases, names)
    return time.process_time() - started


def main() -> None:
    """Run all steps for the dataset and the minutes of the command line, and write ``nnunet.json``."""
    dataset, output, minutes = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    number = int(dataset.name[7:10])
    started = time.monotonic()
    extract_fingerprints([number], num_processes=1)
    plan_experiments([number])
    preprocess([number], configurations=["3d_fullres"], num_processes=[1])
    content: dict[str, object] = {"preprocessing_seconds": time.monotonic() - started}
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 - augment in this process; the planner takes no 0
    torch.set_num_threads(1)
    model, used = train(dataset, minutes)
    content |= used
    content["prediction_cpu_seconds"] = predict(model, dataset / "imagesTs", output / "predictions")
    (output / "nnunet.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
