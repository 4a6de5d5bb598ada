"""Which jobs are ahead of one, by the class that they count as."""

from storage.records import Priority
from storage.specs import JobOptions
from storage.stores import Jobs

INTERACTIVE, STANDARD, BULK = Priority


def test_those_ahead_are_counted_by_class(jobs: Jobs) -> None:
    classes = (BULK, STANDARD, STANDARD, INTERACTIVE, BULK, STANDARD)
    added = [jobs.add("local", "sample", {}, options=JobOptions(priority=priority)) for priority in classes]
    assert jobs.ahead(added[3]) == {INTERACTIVE: 0, STANDARD: 0, BULK: 0}
    assert jobs.ahead(added[5]) == {INTERACTIVE: 1, STANDARD: 2, BULK: 0}
    assert jobs.ahead(added[4]) == {INTERACTIVE: 1, STANDARD: 3, BULK: 1}
    for job in added:
        assert sum(jobs.ahead(job).values()) == jobs.position(job)
