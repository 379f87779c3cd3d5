"""CleanStop turns the first signal of a run into its end, and leaves signals alone otherwise."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest
from ignite.engine import Engine, Events

from bundle.inference import CleanStop, Stopped


def engine_of(step: Any) -> tuple[Engine, CleanStop]:
    engine, stop = Engine(lambda engine, item: step(item)), CleanStop()
    stop.attach(engine)
    return engine, stop


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_the_status_of_a_shell(
    number: int, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    before, done = handlers(), []

    def step(item: int) -> None:
        if item == 2:
            os.kill(os.getpid(), number)
        done.append(item)

    engine, _ = engine_of(step)
    with pytest.raises(Stopped) as caught:
        engine.run([1, 2, 3], max_epochs=1)
    assert caught.value.code == status
    assert str(caught.value) == f"stopped by {signal.Signals(number).name}"
    assert "the current case is dropped" in caplog.text
    assert done == [1]
    assert handlers() == before


def test_a_signal_that_python_swallows_ends_the_run_behind_the_case() -> None:
    done = []

    def step(item: int) -> None:
        if item == 1:
            with pytest.raises(Stopped):
                os.kill(os.getpid(), signal.SIGTERM)
        done.append(item)

    engine, _ = engine_of(step)
    with pytest.raises(Stopped):
        engine.run([1, 2, 3], max_epochs=1)
    assert done == [1]


@pytest.mark.parametrize("ending", [Events.COMPLETED, Events.TERMINATE])
def test_behind_a_run_signals_are_as_before(ending: Events) -> None:
    before, during = handlers(), []
    engine, _ = engine_of(lambda item: during.append(handlers()))
    if ending is Events.TERMINATE:
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: engine.terminate(skip_completed=True))
    engine.run([1], max_epochs=1)
    assert handlers() == before
    assert during[0] != before
    engine.run([1], max_epochs=1)


def test_in_another_thread_signals_are_left_alone() -> None:
    before, during = handlers(), []
    engine, _ = engine_of(lambda item: during.append(handlers()))
    thread = threading.Thread(target=lambda: engine.run([1], max_epochs=1))
    thread.start()
    thread.join()
    assert during == [before]
