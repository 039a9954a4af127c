"""Makes batches ahead in a separate thread, so that a step does not wait for its rows."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

# How often the thread looks whether the consumer has stopped.
WAIT_S = 0.1


class _End:
    """Marks the end of an iterator in the queue."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetched(items: Iterator[T], depth: int) -> Generator[T, None, None]:
    """Yield an iterator's items, with the next ``depth`` of them made ahead.

    The items and their order are those of the iterator: only one thread runs it. When the
    consumer closes this generator the thread stops with it.

    Args:
        items: What to yield.
        depth: Items made ahead; 0 uses no thread.

    Raises:
        BaseException: Whatever the iterator raises, at its place in the sequence.
    """
    if depth == 0:
        yield from items
        return
    ready: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def offer(item: T | _End) -> bool:
        # A put without a time limit would wait for ever once nobody takes items any more.
        while not stopped.is_set():
            try:
                ready.put(item, timeout=WAIT_S)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not offer(item):
                    return
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, who raises it
            offer(_End(error))
            return
        offer(_End())

    thread = threading.Thread(target=produce, name="dygenept-batches", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        thread.join()
