"""Ctrl-C in the middle of something."""

import os
import signal
import threading

import pytest

from tools.compile.interruption import Interruption


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_it_strikes_at_once_where_it_may() -> None:
    interruption = Interruption()
    with interruption.watched(), pytest.raises(KeyboardInterrupt):
        interrupt()


def test_while_held_it_waits_until_it_is_asked_for() -> None:
    interruption, finished = Interruption(), False
    with interruption.watched():
        with interruption.held():
            interrupt()
            finished = True
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
    assert finished


def test_one_that_python_dropped_is_found_later() -> None:
    class Finalised:
        def __del__(self) -> None:
            interrupt()

    interruption = Interruption()
    with interruption.watched():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.unraisablehook", lambda _: None)
            Finalised()
        with pytest.raises(KeyboardInterrupt):
            interruption.check()


def test_without_one_nothing_is_raised_and_the_handler_before_is_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    interruption = Interruption()
    with interruption.watched():
        assert signal.getsignal(signal.SIGINT) != before
        interruption.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_signals_are_left_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with Interruption().watched():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
