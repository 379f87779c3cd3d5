"""ComputeClassProbabilityd calibrates classes one by one."""

from __future__ import annotations

import pytest
import torch
from scipy.special import expit

from bundle.metrics import calibrated
from bundle.tasks.classification import ComputeClassProbabilityd


def test_logits_become_probabilities_by_one_temperature_or_one_a_class() -> None:
    logits = torch.tensor([1.0, -2.0])
    assert ComputeClassProbabilityd("pred")({"pred": logits})["pred"].tolist() == pytest.approx(expit([1, -2]))
    found = ComputeClassProbabilityd("pred", temperature=[2.0, 0.5])({"pred": logits})["pred"]
    assert found.tolist() == pytest.approx(expit([0.5, -4]))
    assert found[1] == pytest.approx(float(calibrated(expit(-2), 0.5)))


def test_invalid_temperatures_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0, one for all classes or one per class, got 0"):
        ComputeClassProbabilityd("pred", temperature=0)
    with pytest.raises(ValueError, match="above 0"):
        ComputeClassProbabilityd("pred", temperature=[])
    with pytest.raises(ValueError, match="2 temperatures do not match 3 classes"):
        ComputeClassProbabilityd("pred", temperature=[1, 2])({"pred": torch.zeros(3)})
