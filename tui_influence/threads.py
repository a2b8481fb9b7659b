"""Work on a sequence of items in threads, a few items ahead of the use of its results."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int, name: str
) -> Generator[Result, None, None]:
    """Yield the results in order. Unlike `Executor.map`, take no more items than are needed.

    Close the iterator if it is left before its end: that ends the threads.

    Args:
        work: of one item; what it raises is raised where its result is used.
        items: in order.
        threads: that work.
        ahead: results that are worked on or wait while one is used.
        name: prefix of the threads' names.
    """
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
