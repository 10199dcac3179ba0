"""Threads that work on what one caller hands out, and end with it."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def at_work(work: Callable[[], None], count: int, abort: Callable[[], None]) -> Iterator[None]:
    """Run ``work`` in ``count`` threads while the body runs, and wait for them to end.

    Whatever the body raises, Ctrl-C too, calls ``abort`` first, which has to make the threads end soon.
    """
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        yield
    except BaseException:
        abort()
        raise
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()
