"""A result is judged by its distance from the results of the training cases of its weights."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from bundle.inference import Plausibility
from bundle.inference.plausibility import (
    CROP,
    NO_DISTANCE,
    NOT_JUDGED,
    REGION,
    FeatureDistribution,
    Reference,
    learn_distribution,
    plausibility_file,
    read_reference,
    write_reference,
)
from bundle.utils.errors import FileError

NAMES = ["volume_mm3", "view_share", "center_mm", "confidence"]


def results(count: int = 40, seed: int = 0) -> list[dict[str, float]]:
    """Return features of results that depend on each other."""
    mix = np.array([[300, 0, 0, 0], [0.1, 0.02, 0, 0], [0, 1, 2, 0], [0.01, 0, 0, 0.02]])
    values = np.random.default_rng(seed).normal(size=(count, 4)) @ mix.T + [3000, 0.5, 6, 0.9]
    return [dict(zip(NAMES, map(float, row), strict=True)) for row in values]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def learned(checkpoint: Path) -> FeatureDistribution:
    distribution = learn_distribution(results())
    write_reference(checkpoint, Reference({CROP: distribution}))
    return distribution


class TestDistance:
    """The distance is that of Mahalanobis."""

    def test_it_is_that_of_scipy(self) -> None:
        distribution = learn_distribution(results())
        for features in results(seed=1):
            inverse = np.linalg.inv(distribution.covariance)
            expected = mahalanobis([features[name] for name in NAMES], distribution.mean, inverse)
            assert distribution.distance(features) == pytest.approx(expected)

    def test_training_cases_are_near_and_others_far(self) -> None:
        distribution = learn_distribution(results())
        assert max(map(distribution.distance, results())) < 5
        assert distribution.distance({**results()[0], "volume_mm3": 30000.0}) > 30

    def test_a_usual_value_that_does_not_fit_the_others_is_far(self) -> None:
        distribution = learn_distribution(results(400))
        mean = dict(zip(NAMES, distribution.mean, strict=True))
        fitting = {**mean, "volume_mm3": mean["volume_mm3"] + 600, "view_share": mean["view_share"] + 0.2}
        against = {**mean, "volume_mm3": mean["volume_mm3"] + 600, "view_share": mean["view_share"] - 0.2}
        assert distribution.distance(against) > 3 * distribution.distance(fitting)

    def test_a_result_without_a_label_is_at_no_distance(self) -> None:
        assert learn_distribution(results()).distance({"volume_mm3": 0.0}) == NO_DISTANCE


class TestLearning:
    """Mean and covariance are those of the results, the covariance is shrunk towards its diagonal."""

    def test_the_covariance_is_shrunk_by_the_share_of_features_in_results(self) -> None:
        found = learn_distribution(results())
        values = np.array([list(features.values()) for features in results()])
        covariance = np.cov(values.T)
        expected = 0.9 * covariance + (0.1 + 0.01) * np.diag(np.diag(covariance))
        np.testing.assert_allclose(found.covariance, expected)
        np.testing.assert_allclose(found.mean, values.mean(0))
        assert (found.cases, found.names) == (40, NAMES)

    def test_few_results_have_variances_alone(self) -> None:
        found = np.array(learn_distribution(results(4)).covariance)
        assert np.count_nonzero(found - np.diag(np.diag(found))) == 0

    def test_results_without_a_label_do_not_count(self) -> None:
        assert learn_distribution([*results(), {"volume_mm3": 0.0}]) == learn_distribution(results())

    def test_a_feature_that_is_always_the_same_does_not_count(self) -> None:
        constant = [{**features, "only_x_mm": 0.0} for features in results()]
        assert learn_distribution(constant) == learn_distribution(results())

    @pytest.mark.parametrize(("given", "count"), [([], 0), (results(2), 2), ([*results(2), {"volume_mm3": 0.0}], 2)])
    def test_three_results_are_needed(self, given: list[dict[str, float]], count: int) -> None:
        with pytest.raises(ValueError, match=f"at least 3 results with labeled voxels are needed, got {count}"):
            learn_distribution(given)

    def test_results_of_one_image_are_refused(self) -> None:
        with pytest.raises(ValueError, match="the 3 results are all the same"):
            learn_distribution([results()[0]] * 3)


class TestFile:
    """The distributions are in a file next to the weights, and serve these weights alone."""

    def test_it_is_read_as_it_was_written(self, checkpoint: Path) -> None:
        written = {CROP: learn_distribution(results()), REGION: learn_distribution(results(seed=1))}
        path = write_reference(checkpoint, Reference(written))
        assert path == plausibility_file(checkpoint) == checkpoint.parent / "model_plausibility.json"
        assert read_reference(checkpoint).distributions == written
        assert json.loads(path.read_text())["weights"] == hashlib.sha256(b"weights").hexdigest()

    def test_without_it_nothing_is_known(self, checkpoint: Path, tmp_path: Path) -> None:
        assert read_reference(checkpoint).distributions == {}
        assert read_reference(tmp_path / "none.pt").distributions == {}

    def test_results_of_unknown_weights_get_the_remark_that_they_were_not_judged(self, checkpoint: Path) -> None:
        assert Plausibility(checkpoint).remarks == [NOT_JUDGED]
        assert Plausibility(checkpoint, limit=None).remarks == []
        write_reference(checkpoint, Reference({CROP: learn_distribution(results())}))
        assert Plausibility(checkpoint).remarks == []

    def test_without_weights_nothing_is_known(self, checkpoint: Path, learned: FeatureDistribution) -> None:
        checkpoint.unlink()
        assert read_reference(checkpoint).distributions == {}

    def test_other_weights_are_logged_and_nothing_is_known(
        self, checkpoint: Path, learned: FeatureDistribution, caplog: pytest.LogCaptureFixture
    ) -> None:
        checkpoint.write_bytes(b"other weights")
        with caplog.at_level(logging.WARNING):
            assert read_reference(checkpoint).distributions == {}
        assert f"model_plausibility.json belongs to other weights than {checkpoint} and is not used" in caplog.text

    @pytest.mark.parametrize(
        "content",
        ["", "[]", "{}", '{"weights": "a"}', '{"weights": "a", "distributions": {"crop": 1}}', "{'weights'"],
    )
    def test_a_damaged_one_is_an_error(self, content: str, checkpoint: Path) -> None:
        plausibility_file(checkpoint).write_text(content)
        with pytest.raises(FileError, match=r"model_plausibility\.json: is damaged; write it again by python"):
            read_reference(checkpoint)

    def test_a_distribution_without_a_covariance_is_damaged(
        self, checkpoint: Path, learned: FeatureDistribution
    ) -> None:
        path = plausibility_file(checkpoint)
        content = json.loads(path.read_text())
        del content["distributions"][CROP]["covariance"]
        path.write_text(json.dumps(content))
        with pytest.raises(FileError, match="is damaged"):
            Plausibility(checkpoint)


class TestJudgement:
    """A result beyond the limit is not plausible, and the message has the reasons."""

    @pytest.mark.parametrize("known", [None, "", "file"])
    def test_without_a_file_every_result_is_plausible(self, known: str | None, checkpoint: Path) -> None:
        plausibility = Plausibility(checkpoint if known == "file" else known)
        assert not plausibility.is_known(CROP)
        assert plausibility.judge(CROP, {"volume_mm3": 0.0}) == (None, None)

    def test_a_kind_without_results_is_not_judged(self, checkpoint: Path, learned: FeatureDistribution) -> None:
        plausibility = Plausibility(str(checkpoint))
        assert (plausibility.is_known(CROP), plausibility.is_known(REGION)) == (True, False)
        assert plausibility.judge(REGION, {**results()[0], "volume_mm3": 30000.0}) == (None, None)

    def test_a_result_within_the_limit_is_plausible(self, checkpoint: Path, learned: FeatureDistribution) -> None:
        distance, problem = Plausibility(checkpoint).judge(CROP, results()[3])
        assert distance == round(learned.distance(results()[3]), 2)
        assert problem is None

    def test_the_message_names_the_three_worst_features(self, checkpoint: Path, learned: FeatureDistribution) -> None:
        sigma = np.sqrt(np.diag(learned.covariance))
        steps = dict(zip(NAMES, (-3.0, 40.0, 0.5, 9.0), strict=True))
        features = {
            name: mean + steps[name] * width for name, mean, width in zip(NAMES, learned.mean, sigma, strict=True)
        }
        distance, problem = Plausibility(checkpoint, limit=7).judge(CROP, features)
        assert problem is not None
        start, words = problem.split(": ")
        assert start == f"distance {distance:.3g} from the training cases, limit 7"
        parts = words.split("), ")
        assert [part.split()[0] for part in parts] == ["view_share", "confidence", "volume_mm3"]
        assert parts[0] == (
            f"view_share {features['view_share']:g} ({learned.mean[1]:.3g} in training, +40.0 standard deviations"
        )
        assert words.endswith("-3.0 standard deviations)")

    def test_a_result_without_a_label_is_not_plausible(self, checkpoint: Path, learned: FeatureDistribution) -> None:
        assert Plausibility(checkpoint).judge(CROP, {"volume_mm3": 0.0}) == (NO_DISTANCE, "nothing is labeled")

    def test_structures_of_other_names_are_logged_and_not_judged(
        self, checkpoint: Path, learned: FeatureDistribution, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            assert Plausibility(checkpoint).judge(CROP, {"volume_mm3": 9.0, "view_share": 1.0}) == (None, None)
        assert "label_names differ from those of the training (center_mm)" in caplog.text

    @pytest.mark.parametrize("limit", [None, "null", "None"])
    def test_without_a_limit_nothing_is_judged(
        self, limit: Any, checkpoint: Path, learned: FeatureDistribution
    ) -> None:
        plausibility = Plausibility(checkpoint, limit=limit)
        assert plausibility.limit is None
        distance, problem = plausibility.judge(CROP, {**results()[0], "volume_mm3": 30000.0})
        assert distance is not None
        assert distance > 30
        assert problem is None

    @pytest.mark.parametrize("limit", [0, -1, float("nan"), "far", [10]])
    def test_the_limit_is_positive(self, limit: Any) -> None:
        with pytest.raises(ValueError, match="plausible_distance must be above 0, or null, got"):
            Plausibility(None, limit=limit)
