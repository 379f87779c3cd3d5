"""Commands as ``python -m`` runs them, but for the seconds that it takes to import MONAI: forked when it is there."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from bundle import ROOT

PRELOADED = ["monai.bundle", "bundle.inference", "bundle.training", "bundle.tasks.spine", "bundle.explain"]


def warm_command_line(*arguments: str, cwd: str | Path = ROOT) -> subprocess.CompletedProcess:
    """Run ``python -m ...`` like :func:`helpers.workflows.command_line`, without warnings."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "output")
        process = context.Process(target=_run_module, args=(arguments, output, str(cwd)))
        process.start()
        process.join()
        return subprocess.CompletedProcess(arguments, process.exitcode or 0, output.read_text(encoding="utf-8"))


def _run_module(arguments: tuple[str, ...], output: Path, cwd: str) -> None:
    """Run a module as the main one, and what it left for the exit, which multiprocessing leaves out."""
    with open(output, "wb") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    os.chdir(cwd)
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path[0] = cwd
    sys.argv = list(arguments)
    warnings.simplefilter("ignore")
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
