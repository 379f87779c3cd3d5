"""The MONAI Label app of this bundle."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.tasks.activelearning.first import First
from monailabel.tasks.activelearning.random import Random
from requests import RequestException

from bundle import __version__

from .background_tasks import check_request, install_error_hook
from .batch_inference import BatchInference
from .bundle_inference import BundleInference
from .bundle_training import BundleTraining
from .datastore import StudyDatastore
from .label_tasks import LabelTask, choose_tasks, parse_models, served_tasks
from .panel_options import CONSECUTIVE
from .scoring import Evaluation, ServedScoring, UncertaintyScoring, get_outdated_methods
from .server_errors import RequestError
from .sessions import StudySessions
from .strategies import Review, Uncertainty
from .study_ratings import rate_studies
from .workarounds import shutdown, task_requests

logger = logging.getLogger(__name__)


class KeysliceApp(MONAILabelApp):
    """Inference, training and active learning for the tasks of the bundle that fit a folder of studies.

    Args:
        app_dir: working folder; the server writes everything except the labels into it.
        studies: folder of the images.
        conf: ``{"models": "volumes,discs"}`` chooses tasks; the default is all that fit the images.
            ``{"model": folder}`` serves the weights of a training. ``{"qc": file}`` adds the strategy ``review``.
    """

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        self.work = Path(app_dir)
        chosen = choose_tasks(studies, parse_models(conf.get("models")), served_tasks(conf.get("model")))
        self.tasks: dict[str, LabelTask] = {
            task.name: replace(task, work=self.work / "model" / task.name) for task in chosen
        }
        self.kind = chosen[0].kind
        self.ratings = rate_studies(conf["qc"], studies, self.kind) if "qc" in conf else None
        self.uploads = self.work / "uploads"
        install_error_hook()
        task_requests.install(lambda method, request: check_request(self, method, request))
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=dict(conf),
            name="Keyslice",
            description="Attention-based segmentation of medical images",
            version=__version__,
        )

    def init_datastore(self) -> StudyDatastore:
        """Return the folder of studies."""
        reload = settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD
        return StudyDatastore(self.studies, self.kind, tasks=list(self.tasks.values()), auto_reload=reload)

    def init_infers(self) -> dict[str, BundleInference]:
        """Return the inference of every task."""
        return {name: BundleInference(task, self.work / "results") for name, task in self.tasks.items()}

    def init_trainers(self) -> dict[str, BundleTraining]:
        """Return the training of every task that has one."""
        trained = {name: task for name, task in self.tasks.items() if (task.config_dir / "train.json").is_file()}
        return {name: BundleTraining(task) for name, task in trained.items()}

    def init_strategies(self) -> dict[str, Any]:
        """Return the strategies that choose the next image to label."""
        tasks = list(self.tasks.values())
        review = {} if self.ratings is None else {"review": Review(tasks, self.ratings)}
        return {**review, "random": Random(), "first": First(), "uncertainty": Uncertainty(tasks)}

    def init_scoring_methods(self) -> dict[str, ServedScoring]:
        """Return the scoring methods."""
        tasks = list(self.tasks.values())
        return {"dice": Evaluation(tasks), "uncertainty": UncertaintyScoring(tasks)}

    def init_batch_infer(self) -> BatchInference:
        """Return batch inference."""
        return BatchInference(self.tasks)

    def on_init_complete(self) -> None:
        """Complete the start; background tasks will stop with the server."""
        super().on_init_complete()
        shutdown.install()

    def async_scoring(self, method: str | None, params: Any = None) -> dict[str, Any]:
        """Score in a separate process: with one method, or with None with all methods whose results are outdated."""
        if method:
            return dict(super().async_scoring(method, params) or {})
        results = {}
        for name in get_outdated_methods(self._scoring_methods, self.datastore()):
            try:
                results[name] = super().async_scoring(name, params)
            except (RequestException, RequestError) as error:
                logger.info("%s is not recomputed now: %s", name, error)
        return results

    def infer(self, request: Mapping[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Answer an inference request.

        Args:
            request: ``"model"``, ``"image"`` (id of an image in the datastore, or path of an upload), ``"device"``,
                options of the model; ``"save_label"`` and ``"label_tag"`` to save the result as a label.
            datastore: datastore to use; None for that of the app.

        Raises:
            RequestError: 404 for an unknown model or image, 400 for an invalid image or option.
        """
        name, image_id = self.task(str(request.get("model"))).name, str(request.get("image") or "")
        store = self.datastore() if datastore is None else datastore
        is_stored = image_id in store.list_images()
        path = store.get_image_uri(image_id) if is_stored else self._check_upload(image_id)
        is_saved = is_stored and bool(request.get("save_label"))
        values = {CONSECUTIVE: False} if is_saved else {}
        file, params = self._infers[name]({**request, **values, "image": path})
        tag = DefaultLabelTag.ORIGINAL if request.get("label_tag") is None else request["label_tag"]
        tag = str(getattr(tag, "value", tag))
        label = file
        if file is not None and is_saved:
            label = store.save_label(image_id, file, tag, {"model": name, "params": params["result"]})
        return {"label": label, "tag": tag, "file": file, "params": params}

    def task(self, name: str) -> LabelTask:
        """Return a task by its name.

        Raises:
            RequestError: 404, if it is not served.
        """
        if name not in self.tasks:
            raise RequestError(404, f"model {name!r} is not served; choose one of {', '.join(self.tasks)}.")
        return self.tasks[name]

    def _check_upload(self, image: str) -> str:
        """Return the path of an image that the server stored as an upload or a session."""
        path = Path(os.path.realpath(image))
        folders = [self.uploads, Path(self._sessions.store_path)] if self._sessions else [self.uploads]
        if not image or not any(folder.resolve() in path.parents for folder in folders) or not path.exists():
            raise RequestError(
                404, f"image {image!r} is not in the study folder; GET /datastore/?output=all lists its images."
            )
        return str(path)

    def _load_sessions(self, load: bool = False) -> StudySessions | None:
        if not load:
            return None
        return StudySessions(settings.MONAI_LABEL_SESSION_PATH, settings.MONAI_LABEL_SESSION_EXPIRY)
