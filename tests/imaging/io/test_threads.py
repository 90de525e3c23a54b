from __future__ import annotations

import threading
import time

import pytest

from imaging.io.threads import cores, ordered_map


def test_results_keep_the_order_of_the_items():
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item % 4 == 0 else 0)
        return item * item

    assert list(ordered_map(slow_first, range(50), 4)) == [item * item for item in range(50)]


def test_few_items_are_taken_ahead():
    taken = []

    def items():
        for item in range(1000):
            taken.append(item)
            yield item

    results = ordered_map(lambda item: item, items(), threads=2)
    next(results)
    assert len(taken) <= 8
    results.close()  # type: ignore[attr-defined]


def test_an_error_stops_the_work():
    done, lock = [], threading.Lock()

    def work(item: int) -> int:
        if item == 3:
            raise RuntimeError("third")
        with lock:
            done.append(item)
        return item

    with pytest.raises(RuntimeError, match="third"):
        list(ordered_map(work, range(10_000), 2))
    assert len(done) < 100


def test_cores():
    assert cores() >= 1
