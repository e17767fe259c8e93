"""Work on many things at once, in threads, the results as they come."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def as_ready(work: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Iterator[Result]:
    """`work(item)` of every item, at most `jobs` at once, in the order they finish.

    An item is taken only when there is room for it. The first exception ends it; work under way is waited for.
    """
    with ThreadPoolExecutor(jobs) as pool:
        running: set[Future[Result]] = set()
        for item in items:
            running.add(pool.submit(work, item))
            done, running = wait(running, None if len(running) == jobs else 0, FIRST_COMPLETED)
            yield from (future.result() for future in done)
        yield from (future.result() for future in as_completed(running))
