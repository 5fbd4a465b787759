"""Work is shared between threads, and nothing of it is left running or waiting for itself."""

import os
import threading
import time

import pytest

from arraystore import pool


@pytest.mark.parametrize("threads", [1, 2, 8, None])
def test_every_job_runs_once_and_is_over_on_return(threads):
    done = []
    pool.run_jobs([lambda number=number: done.append(number) for number in range(200)], threads)
    assert sorted(done) == list(range(200))


@pytest.mark.parametrize("threads", [1, 2, 8, None])
def test_jobs_can_be_made_while_others_run_by_one_thread_at_a_time(threads):
    done, making = [], threading.Lock()

    def made():
        for number in range(200):
            assert making.acquire(blocking=False), "two threads make jobs at once"
            time.sleep(0)
            making.release()
            yield lambda number=number: done.append(number)

    pool.run_jobs(made(), threads)
    assert sorted(done) == list(range(200))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_making_jobs_is_raised(threads):
    done = []

    def made():
        for _ in range(5):
            yield lambda: done.append(1)
        raise ValueError("six")

    with pytest.raises(ValueError, match="six"):
        pool.run_jobs(made(), threads)
    assert len(done) <= 5


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_is_raised_and_the_rest_isnt_begun(threads):
    done = []

    def job(number):
        if number == 5:
            raise ValueError("five")
        time.sleep(0.001)
        done.append(number)

    with pytest.raises(ValueError, match="five"):
        pool.run_jobs([lambda number=number: job(number) for number in range(300)], threads)
    count = len(done)
    assert count < 100
    time.sleep(0.01)
    assert len(done) == count


def test_jobs_may_have_jobs_of_their_own_on_few_threads():
    done = []
    inner = [lambda: done.append(1)] * 5
    outer = [lambda: pool.run_jobs(inner, 4)] * (2 * pool.MOST_THREADS)
    pool.run_jobs(outer, 4)
    assert len(done) == 5 * len(outer)


def test_small_jobs_stay_in_the_callers_thread_unless_one_waits():
    seen = []
    pool.run_small_jobs([lambda: seen.append(threading.current_thread())] * 20)
    assert set(seen) == {threading.current_thread()}

    barrier = threading.Barrier(3, timeout=10)
    slow = [lambda: time.sleep(2 * pool.SLOW_JOB_SECONDS), *[barrier.wait] * 3]
    pool.run_small_jobs(slow)  # three that wait for each other can only end side by side


def test_jobs_that_wait_get_company():
    barrier = threading.Barrier(4, timeout=10)
    pool.run_jobs([*[lambda: time.sleep(3 * pool.SLOW_JOB_SECONDS)] * 2, *[barrier.wait] * 4], 2)  # four that wait for each other

    seen = set()

    def job():
        time.sleep(2 * pool.SLOW_JOB_SECONDS)
        seen.add(threading.current_thread())

    pool.run_jobs([job] * 10, 1)
    assert seen == {threading.current_thread()}, "one thread is one thread"


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order_and_few_are_computed_ahead(threads):
    begun = []

    def work(number):
        begun.append(number)
        return number * number

    results = pool.map_in_order(work, range(100), threads)
    for number in range(100):
        assert next(results) == number * number
        assert len(begun) <= number + 1 + 2 * threads
    assert list(results) == []


def test_an_error_of_one_item_is_raised_in_its_place():
    def work(number):
        if number == 3:
            raise ValueError("three")
        return number

    results = pool.map_in_order(work, range(100), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own():
    pool.run_jobs([lambda: None] * 10, 4)
    child = os.fork()
    if not child:  # pragma: no cover - another process
        try:
            done = []
            pool.run_jobs([lambda: done.append(1)] * 10, 4)
            os._exit(0 if len(done) == 10 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
