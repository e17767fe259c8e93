"""Work in child processes, because XGBoost's own reader can crash on a damaged file and takes its process with it.

The children are forked from a server process that has everything imported, which makes one cheap enough for a
single small model (about 10 ms). They answer in JSON: nothing that a compromised child sends is ever unpickled.
"""

import importlib
import json
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess
from typing import Any, Generic, TypeVar

from tools.compile.errors import RefusedError
from tools.compile.interruption import Interruption

Work = TypeVar("Work")
JsonObject = dict[str, Any]

_ANSWER_BYTES_MAX = 1 << 20
# Imported once, before any child is forked. Python has one fork server per process, so there is one list.
_PRELOADED = ["__main__", "tools.compile.worker"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may use: bytes of memory of its own, and seconds, of CPU and (its parent looks) by the clock."""

    memory_bytes: int = 4 << 30
    seconds: int = 600

    def apply_to_this_process(self) -> None:
        """Let the kernel hold this process to them: it gets no more memory, and SIGXCPU ends it when time is up."""
        resource.setrlimit(resource.RLIMIT_DATA, (self.memory_bytes, self.memory_bytes))
        resource.setrlimit(resource.RLIMIT_CPU, (self.seconds, self.seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Work]):
    """What came of one piece of work: an answer, or the reason why there is none."""

    work: Work
    answer: JsonObject | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class _Child(Generic[Work]):
    work: Work
    process: ForkServerProcess
    answers: connection.Connection
    deadline: float

    def stop(self) -> None:
        """End it, if it has not ended; again if need be."""
        with suppress(ValueError):  # closed already
            self.process.kill()
            self.process.join()
            self.process.close()
        self.answers.close()


def run_in_children(
    module: str,
    function: str,
    works: Iterable[Work],
    jobs: int,
    limits: Limits,
) -> Generator[Outcome[Work]]:
    """Call `function` of `module` on each of `works` in a child process of its own, at most `jobs` at once.

    They are named, not given, so that this process need not import what the children do. The function takes one
    work, which must be picklable, and returns a JSON object. The outcomes come as they are ready. Whoever stops
    early (an exception, Ctrl-C, closing the iterator) stops the children with it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    waiting, running, interruption = iter(works), list[_Child[Work]](), Interruption()
    with interruption.watched():
        try:
            while True:
                while len(running) < jobs and (work := next(waiting, None)) is not None:
                    # A child that is started but not yet written down could not be stopped.
                    with interruption.held():
                        running.append(_start(context, (module, function), work, limits))
                    interruption.check()
                if not running:
                    return
                first = min(child.deadline for child in running)
                ready = connection.wait([child.answers for child in running], max(0.0, first - time.monotonic()))
                for child in [c for c in running if c.answers in ready or c.deadline <= time.monotonic()]:
                    outcome = _outcome(child, limits)
                    child.stop()
                    running.remove(child)
                    yield outcome
        finally:
            for child in running:
                child.stop()


def failure_of(exit_code: int) -> str:
    """Why a child that said nothing ended, from its exit code (negative: the signal that ended it)."""
    if exit_code == -signal.SIGXCPU:
        return "it took too long: the time limit stopped it"
    if exit_code == -signal.SIGKILL:
        return "it was killed, probably for want of memory"
    if exit_code < 0:
        return f"the reader crashed (signal {-exit_code}): the file is damaged"
    return f"the child ended with status {exit_code} and no answer"


def answer_of(function: Callable[[], JsonObject]) -> JsonObject:
    """What `function` answers, or {"refused": why} or {"broken": why}."""
    try:
        return function()
    except RefusedError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": "it needs more memory than the limit allows"}
    except OSError as error:
        return {"broken": f"a file cannot be read or written: {error}"}
    except Exception as error:
        if "bad_alloc" in str(error):
            return {"refused": "it needs more memory than the limit allows"}
        return {"broken": f"unexpected {type(error).__name__}: {str(error)[:300]}"}


def _start(
    context: multiprocessing.context.ForkServerContext,
    target: tuple[str, str],
    work: Work,
    limits: Limits,
) -> _Child[Work]:
    answers, send = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(target, work, limits, send), daemon=True)
    process.start()
    # The only writer left is the child, so that its death is the end of the pipe.
    send.close()
    return _Child(work, process, answers, time.monotonic() + limits.seconds)


def _child(target: tuple[str, str], work: Any, limits: Limits, send: connection.Connection) -> None:
    # Ctrl-C goes to the whole terminal; the parent stops us. What a crash prints would spoil the progress bar.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    limits.apply_to_this_process()
    module, name = target
    function = getattr(importlib.import_module(module), name)
    send.send_bytes(json.dumps(answer_of(lambda: function(work))).encode())


def _outcome(child: _Child[Work], limits: Limits) -> Outcome[Work]:
    if not child.answers.poll():
        return Outcome(child.work, failure=f"it took longer than {limits.seconds} s")
    try:
        answer: JsonObject = json.loads(child.answers.recv_bytes(_ANSWER_BYTES_MAX))
    except EOFError:
        child.process.join()
        return Outcome(child.work, failure=failure_of(child.process.exitcode or 0))
    except (OSError, ValueError):
        return Outcome(child.work, failure="the child's answer makes no sense: the file may be hostile")
    failure = answer.get("refused", answer.get("broken"))
    return Outcome(child.work, failure=failure) if failure else Outcome(child.work, answer)
