"""The 27 cases: the real firmware behind a real pty, and what breaks between it and the host.

Each runs the scenario that `jepa-bridge bench faults` measures. A machine that is busy wakes processes late, which a
robot's microcontroller does not: that lateness is measured in the same run and allowed, and a case gets three runs.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from jepa_bridge.faults.bench import CASES
from jepa_bridge.faults.case import LINK_STOP_MS, Case, Outcome, Settings, run_case
from jepa_bridge.faults.rig import Broken, Rig, require

ATTEMPTS = 3
AT_ONCE = 3
MEMORY_CASE = 5


def test_there_are_27_cases():
    assert [one.number for one in CASES] == list(range(1, 28))


def attempt(one):
    for _ in range(ATTEMPTS):
        result = run_case(one, allowed_late=True)
        if result.passed:
            break
    return result


@pytest.fixture(scope="module")
def results(request):
    """The chosen cases, some at a time: they mostly wait. One looks at this process' memory and has it for itself."""
    chosen = [item.callspec.params["one"] for item in request.session.items if item.name.startswith("test_case[")]
    alone = {one.number: attempt(one) for one in chosen if one.number == MEMORY_CASE}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {one.number: pool.submit(attempt, one) for one in chosen if one.number not in alone}
        yield lambda number: alone[number] if number in alone else futures[number].result()


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.number:02}-{one.fault.replace(' ', '-')}")
def test_case(one, results, record_property):
    result = results(one.number)
    record_property("stops_ms", result.stops_ms)
    assert result.passed, (result.error, result.late_ms, result.facts)


def test_a_stop_that_is_late_fails():
    late = Case(0, "", "", lambda _: Outcome([LINK_STOP_MS + 0.1, 5.0]), LINK_STOP_MS, "")
    assert "expected at most 270 ms" in run_case(late).error
    assert run_case(Case(0, "", "", lambda _: Outcome([LINK_STOP_MS]), LINK_STOP_MS, "")).passed


def test_what_a_case_requires_fails_it():
    def broken(_: Settings) -> Outcome:
        require(False, "it does not stop")
        return Outcome()

    assert run_case(Case(0, "", "", broken, 1.0, "")).error == "it does not stop"


def test_wheels_that_go_on_are_seen():
    """A host that goes on commanding is not at rest, whatever it is asked."""
    with Rig() as rig:
        rig.drive()
        with pytest.raises(Broken, match="still turn"):
            rig.stopped_after_ms(rig.written_s, within_s=0.4)
        with pytest.raises(Broken, match="the wheels turn"):
            rig.stays_at_rest(0.1, "driving")
