"""The build step that pyproject.toml cannot describe: configs, weights and pages go into the wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
ROOT_FILES = ("configs/**/*", "models/**/*", "docs/*.md", "docs/*.png", "requirements/*.txt", "LICENSE")
"""Files of the bundle root that the package reads."""


class BuildWithRoot(build_py):
    """Copy the files of the bundle root to ``bundle/_root``, which is ``bundle.ROOT`` of an installed wheel."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        if self.editable_mode:
            return
        root = Path(self.build_lib, "bundle", "_root")
        shutil.rmtree(root, ignore_errors=True)
        for file in sorted(file for pattern in ROOT_FILES for file in HERE.glob(pattern) if file.is_file()):
            target = root / file.relative_to(HERE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


setup(cmdclass={"build_py": BuildWithRoot})
