"""Names of version 0.1 work, with a warning that tells the new one."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from pydoc import locate

import pytest
from monai.bundle import ConfigParser

import bundle
from bundle.deprecated_modules import MODULES
from bundle.deprecated_names import NAMES
from bundle.utils.describe import describe

OLD = [(f"{package}.{name}", new) for package, names in NAMES.items() for name, new in names.items()]


@pytest.mark.parametrize(("old", "new"), OLD, ids=[old for old, _ in OLD])
def test_an_old_name_leads_to_the_new_place(old: str, new: str) -> None:
    with pytest.warns(FutureWarning, match=f"bundle.{old} is now bundle.{new}; .* version 0.3.0"):
        found = locate(f"bundle.{old}")
    assert (found.args[0] if isinstance(found, partial) else found) is locate(f"bundle.{new}")


def test_a_config_of_a_user_with_old_names_runs() -> None:
    config = {"a": {"_target_": "bundle.transforms.Standardized", "keys": "image"}, "b": "$bundle.datasets.list_cases"}
    parser = ConfigParser({"imports": ["$import bundle"], **config})
    with pytest.warns(FutureWarning, match="StandardizeIntensityd"):
        assert type(parser.get_parsed_content("a")) is bundle.transforms.StandardizeIntensityd
    with pytest.warns(FutureWarning, match=r"bundle\.data\.list_cases"):
        assert parser.get_parsed_content("b") is bundle.data.list_cases


def test_arguments_of_version_0_1_have_their_new_names(tmp_path: Path) -> None:
    config = {"_target_": "bundle.resume.DoneCases", "output_dir": str(tmp_path), "parts": [1]}
    save = {"keys": "pred", "label_names": {"a": 1}, "output_dir": str(tmp_path), "threshold": 0.25, "overlay": False}
    parser = ConfigParser({"done": config, "save": {"_target_": "bundle.transforms.SavePictured", **save}})
    with pytest.warns(FutureWarning, match="CompletedCases"):
        done = parser.get_parsed_content("done")
    assert done.settings == bundle.inference.CompletedCases(tmp_path, settings=[1]).settings
    with pytest.warns(FutureWarning, match="SaveMaskd"):
        old = parser.get_parsed_content("save")
    del save["threshold"], save["overlay"]
    new = bundle.tasks.images.SaveMaskd(**save, decision={"threshold": 0.25}, outputs={"overlay": False})
    assert describe(old) == describe(new)


@pytest.mark.parametrize(("old", "new"), MODULES.items(), ids=MODULES)
def test_an_old_module_leads_to_the_new_one(old: str, new: str) -> None:
    module = import_module(f"bundle.{new}")
    public = next(name for name, value in vars(module).items() if callable(value) and not name.startswith("_"))
    with pytest.warns(FutureWarning, match=f"bundle.{old}.{public} is now bundle.{new}.{public}"):
        assert getattr(import_module(f"bundle.{old}"), public) is getattr(module, public)


def test_a_renamed_class_is_found_in_its_old_module() -> None:
    with pytest.warns(FutureWarning, match=r"bundle\.grid\.resample\.ResampleSpacingd"):
        from bundle.transforms.resample import Resampled
    assert Resampled is bundle.grid.ResampleSpacingd


@pytest.mark.parametrize("name", ["nothing", "transforms.Nothing", "datasets.Nothing", "datasets.msd.nothing"])
def test_a_name_that_never_was_is_still_unknown(name: str) -> None:
    assert locate(f"bundle.{name}") is None
    assert not hasattr(bundle, "nothing")


def test_a_package_that_is_gone_is_an_attribute_without_an_import() -> None:
    assert bundle.__getattr__("datasets") is import_module("bundle.datasets")
