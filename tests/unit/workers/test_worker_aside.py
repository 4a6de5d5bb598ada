"""Work beside other work: begun at once where a core is free, and what it raises is its caller's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from workers.aside import aside


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


def test_where_a_core_is_free_it_begins_at_once_in_another_thread() -> None:
    began, go_on = threading.Event(), threading.Event()

    def work() -> str:
        began.set()
        assert go_on.wait(10)
        return threading.current_thread().name

    result = aside(work, free=True)
    assert began.wait(10)
    go_on.set()
    assert result() == result() != threading.current_thread().name


def test_where_none_is_it_is_done_in_this_thread() -> None:
    done: list[str] = []
    result = aside(lambda: done.append(threading.current_thread().name), free=False)
    assert done == [threading.current_thread().name]
    result()
    assert len(done) == 1


def test_what_it_raises_is_raised_where_it_is_asked_for() -> None:
    result = aside(lambda: 1 / 0, free=True)
    with pytest.raises(ZeroDivisionError):
        result()


def test_it_computes_on_one_thread_as_what_it_is_beside() -> None:
    with threads(2):
        assert aside(torch.get_num_threads, free=True)() == 1
