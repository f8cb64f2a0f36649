"""Cases 15 to 22: the robot itself, its firmware and its sensors."""

from __future__ import annotations

import time

from jepa_bridge.errors import BridgeError
from jepa_bridge.faults.case import RAMP_MS, Outcome, Settings, case
from jepa_bridge.faults.drive import Drive
from jepa_bridge.faults.rig import Rig, require, wait_for
from jepa_bridge.link.schema import Fault, LogCode, ResetCause, SensorFlag, State

AFTER_S = 0.4
TICKS_PERIOD_US = 1 << 30
WATCHDOG_MS = 1000  # the sim board's is played by the process around it; not measured on hardware
NOTICED_MS = 20  # how late the process around the firmware may see its end
SILENT_FLAG_MS = 500  # range_fault
ALL_SILENT_MS = 1000  # range_sensors_lost
STALL_MS = 2000
TURN_MS = 400  # a wheel at full speed first has to come to rest, or to turn round
OPPOSED_MS = 1000
STUCK_READINGS = 50
SLOWER = 64  # of 80: four fifths with one of eight sensors silent
INJECT_EXCEPTION, INJECT_HANG = 1, 2


@case(15, "device tick counter wraps", "no effect")
def ticks_wrap(_: Settings) -> Outcome:
    """The robot boots 1.5 s before its clock starts again from 0, and drives across."""
    with Rig(ticks_start=TICKS_PERIOD_US - 1_500_000) as rig:
        rig.drive()
        first = rig.status()
        wait_for(lambda: rig.link.status is not None and rig.link.status.t_us < first.t_us, "the wrap")
        time.sleep(0.5)
        status = rig.status()
        require(all(output[1:] != (0, 0) for output in rig.robot.outputs[2:]), "the wheels stopped on the way")
        require(status.commands_expired == status.frames_refused == 0, "the wrap made commands old")
        return stop(rig, rig.silence(), wrapped_to_us=status.t_us)


@case(16, "device reset in mid-run", "new boot id, session void, disarmed", limit_ms=NOTICED_MS, since="the reset")
def reset(_: Settings) -> Outcome:
    """An external reset under a commanding host."""
    return _reset(ResetCause.EXTERNAL)


@case(17, "brownout reset", "motors off at boot, told from uptime and boot id", limit_ms=NOTICED_MS, since="the reset")
def brownout(_: Settings) -> Outcome:
    """As a reset, and the host can tell what it was. MicroPython on an ESP32 reports a brownout as power-on."""
    return _reset(ResetCause.BROWNOUT)


def _reset(cause: ResetCause) -> Outcome:
    with Rig() as rig:
        rig.drive()
        old = rig.link.hello
        began_s = time.monotonic()
        rig.robot.tell(reset=int(cause))
        outcome = stop(rig, began_s)
        wait_for(lambda: rig.link.stats().sessions == 2, "a new session", 5)
        new = rig.link.hello
        require(old is not None and new is not None and new.boot_id != old.boot_id, "the boot id stayed")
        assert new is not None  # for mypy
        require(new.reset_cause is cause and new.uptime_ms < 1000, f"told as {new.reset_cause}, up {new.uptime_ms} ms")
        require(not rig.link.armed, "armed after a reset")
        rig.wait_state(State.OPEN)
        rig.stays_at_rest(AFTER_S, "after the boot")
        outcome.facts.update(reset_cause=new.reset_cause.name.lower(), uptime_ms=new.uptime_ms)
        return outcome


@case(18, "exception in the firmware loop", "stop, code reported", limit_ms=NOTICED_MS, since="the exception")
def loop_raises(_: Settings) -> Outcome:
    """Without the ramp: what raised might be the ramp. Armed again only when it is over and cleared."""
    with Rig() as rig:
        rig.drive()
        began_s = rig.robot.tell(inject=INJECT_EXCEPTION)
        outcome = stop(rig, began_s)
        wait_for(lambda: rig.link.state is State.STOPPED, "STOPPED")
        status = rig.link.status
        require(status is not None and status.fault is Fault.LOOP_EXCEPTION, f"the fault is {status and status.fault}")
        wait_for(lambda: any(log.code is LogCode.EXCEPTION for log in rig.logs), "the exception's name")
        rig.robot.tell(inject=0)
        require(refused_arm(rig), "armed while the fault was latched")
        rig.stays_at_rest(AFTER_S, "after the exception")
        rig.link.clear()
        rig.link.arm()
        rig.wait_full_speed()
        outcome.facts["said"] = next(log.text for log in rig.logs if log.code is LogCode.EXCEPTION)
        return outcome


@case(
    19, "firmware loop hangs", "watchdog; boots disarmed (simulated, not measured on hardware)",
    limit_ms=WATCHDOG_MS + 150, since="the hang",
)  # fmt: skip
def loop_hangs(_: Settings) -> Outcome:
    """The output stays as it was until the watchdog bites: PWM goes on without a program."""
    with Rig() as rig:
        rig.drive()
        began_s = rig.robot.tell(inject=INJECT_HANG)
        outcome = Outcome([rig.stopped_after_ms(began_s, within_s=3.0)])
        wait_for(lambda: rig.link.stats().sessions == 2, "a new session", 5)
        hello = rig.link.hello
        require(hello is not None and hello.reset_cause is ResetCause.WATCHDOG, "the host is not told why")
        require(not rig.link.armed, "armed after the watchdog")
        rig.stays_at_rest(AFTER_S, "after the watchdog")
        return outcome


@case(
    20, "range sensors time out", "null with a flag; the policy slows and stops",
    limit_ms=ALL_SILENT_MS + RAMP_MS + 20, since="the last reading",
)  # fmt: skip
def sensors_silent(_: Settings) -> Outcome:
    """One after the other under the whole drive loop; then all at once under a host that would drive on."""
    with Drive() as drive:
        drive.wait_full_speed()
        drive.rig.robot.tell(ranges=[None, *[1500] * 7])
        wait_for(lambda: drive.rig.robot.outputs[-1][1] == SLOWER, "a slower robot")
        slower = drive.rig.robot.outputs[-1][1]
        wait_for(lambda: drive.run.core.observation and drive.run.core.observation.ranges_m[0] is None, "a null")
        began_s = drive.rig.robot.tell(ranges=[None] * 5 + [1500] * 3)
        policy_ms = drive.rig.stopped_after_ms(began_s)
    with Rig() as rig:
        rig.drive()
        began_s = rig.robot.tell(ranges=[None, *[1500] * 7])
        flagged_ms = flagged_after_ms(rig, SensorFlag.RANGE_FAULT, began_s)
        require(flagged_ms < SILENT_FLAG_MS + 150, f"flagged after {flagged_ms:.0f} ms")
        require(rig.sensors[-1][1].ranges_mm[0] is None, "no null")
        began_s = rig.robot.tell(ranges=[None] * 8)
        outcome = Outcome([policy_ms, rig.stopped_after_ms(began_s, within_s=3.0)])
        require(rig.status().fault is Fault.RANGE_SENSORS_LOST, "no fault")
        require(refused_arm(rig), "armed blind")
        outcome.facts.update(slower_wheel=slower, policy_ms=round(policy_ms), flagged_ms=round(flagged_ms))
        return outcome


@case(21, "range sensor stuck at one value", f"flagged within {STUCK_READINGS} samples, its reading null")
def sensor_stuck(_: Settings) -> Outcome:
    """While the robot moves and the other sensors change."""
    with Rig() as rig:
        rig.drive()
        began_s = rig.robot.tell(stuck={"3": 700})
        flagged_ms = flagged_after_ms(rig, SensorFlag.RANGE_STUCK, began_s)
        samples = sum(at_s > began_s and sensor.ranges_mm[3] == 700 for at_s, sensor in rig.sensors)
        require(samples <= STUCK_READINGS + 2, f"flagged after {samples} samples")
        require(rig.sensors[-1][1].ranges_mm[3] is None, "still believed")
        rig.robot.tell(stuck={})
        wait_for(lambda: not rig.sensors[-1][1].flags, "a sound sensor is believed again")
        return stop(rig, rig.silence(), samples=samples, flagged_ms=round(flagged_ms))


@case(
    22, "encoder disagrees with the command", "stall or runaway, latched",
    limit_ms=STALL_MS + TURN_MS + RAMP_MS + 20, since="the disagreement",
)  # fmt: skip
def encoders_disagree(_: Settings) -> Outcome:
    """A wheel that is held, a wheel that turns the other way, and wheels that turn unasked."""
    outcome = Outcome()
    for gain, fault, limit_ms in (
        ([0.0, 1.0], Fault.WHEEL_STALL, STALL_MS),
        ([-1.0, 1.0], Fault.WHEEL_RUNAWAY, OPPOSED_MS),
    ):
        with Rig() as rig:
            rig.drive()
            began_s = rig.robot.tell(gain=gain)
            stop_ms = rig.stopped_after_ms(began_s, within_s=4.0)
            outcome.stops_ms.append(stop_ms)
            wanted_ms = limit_ms + TURN_MS + RAMP_MS + 20
            require(stop_ms < wanted_ms, f"{fault.name.lower()} after {stop_ms:.0f} ms")
            require(rig.status().fault is fault, f"the fault is {rig.status().fault.name.lower()}")
            rig.stays_at_rest(AFTER_S, "latched")
            require(refused_arm(rig), "armed while latched")
            outcome.facts[fault.name.lower() + "_ms"] = round(stop_ms)
    with Rig() as rig:
        rig.drive()
        rig.silence()
        rig.stopped_after_ms(rig.written_s)
        began_s = rig.robot.tell(push=0.4)
        wait_for(lambda: rig.link.state is State.STOPPED, "runaway", 3)
        outcome.facts["undriven_latched_ms"] = round((time.monotonic() - began_s) * 1000)
        require(rig.status().fault is Fault.WHEEL_RUNAWAY, "no runaway")
    return outcome


def stop(rig: Rig, began_s: float, **facts: object) -> Outcome:
    """The stop after `began_s`, measured."""
    stop_ms = rig.stopped_after_ms(began_s)
    return Outcome([stop_ms], facts)


def flagged_after_ms(rig: Rig, flag: SensorFlag, began_s: float) -> float:
    """From `began_s` to the first SENSOR with this flag."""
    wait_for(lambda: rig.sensors[-1][0] > began_s and rig.sensors[-1][1].flags & flag, f"flag {flag.name.lower()}")
    return (next(at_s for at_s, sensor in rig.sensors if at_s > began_s and sensor.flags & flag) - began_s) * 1000


def refused_arm(rig: Rig) -> bool:
    """Whether the robot refuses to be armed."""
    try:
        rig.link.arm()
    except BridgeError as error:
        return error.code == "robot-refused"
    return False
