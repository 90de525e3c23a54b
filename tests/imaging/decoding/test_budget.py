"""All threads together decode no more pixels than the budget holds."""

from __future__ import annotations

import threading

from imaging.decoding import budget
from imaging.decoding.radiograph import MAX_SIDE


def test_two_of_the_largest_pictures_take_turns():
    begun, end, order = threading.Event(), threading.Event(), []

    def first():
        with budget.hold(MAX_SIDE**2):
            begun.set()
            end.wait(10)
            order.append("first")

    def second():
        begun.wait(10)
        with budget.hold(1):
            order.append("second")

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    begun.wait(10)
    threads[1].join(0.2)
    assert order == []
    end.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "second"]


def test_small_pictures_go_side_by_side():
    barrier = threading.Barrier(8)

    def work():
        with budget.hold(4_000_000):
            barrier.wait(10)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not barrier.broken


def test_an_error_gives_the_pixels_back():
    try:
        with budget.hold(MAX_SIDE**2):
            raise KeyError
    except KeyError:
        pass
    with budget.hold(MAX_SIDE**2):
        pass
