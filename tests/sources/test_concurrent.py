"""Work on many rows leaves the event loop free; a few rows are not worth a thread."""

import threading

import pytest

from pnl_backend.sources.concurrent import FEW, in_worker


def thread_of(rows, *, name):
    assert name == "rows"
    return len(rows), threading.current_thread()


@pytest.mark.parametrize(("count", "elsewhere"), [(0, False), (FEW, False), (FEW + 1, True), (1000, True)])
async def test_many_rows_are_worked_on_in_another_thread(count, elsewhere):
    done, thread = await in_worker(thread_of, [0] * count, name="rows")
    assert done == count
    assert (thread is not threading.current_thread()) == elsewhere


async def test_an_error_of_the_work_is_raised_as_it_is():
    def refuse(rows):
        raise ValueError(len(rows))

    for count in (1, FEW + 1):
        with pytest.raises(ValueError, match=str(count)):
            await in_worker(refuse, [0] * count)
