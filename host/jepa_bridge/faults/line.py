"""Cases 1 to 10 and 23: the line between host and robot."""

from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from pathlib import Path

import cbor2

from jepa_bridge.faults.case import Outcome, Settings, case
from jepa_bridge.faults.drive import Drive
from jepa_bridge.faults.rig import Rig, require, wait_for
from jepa_bridge.link.chaos import Faults, Way
from jepa_bridge.link.codec import frame_of
from jepa_bridge.link.frame import CRC_BYTES, MAGIC, SCHEMA_SEED, FrameError, FrameReader, cobs_encode, encode_frame
from jepa_bridge.link.schema import Cmd, LogCode, State, TimeSync

AFTER_S = 0.4  # how long a robot is watched that shall not move
RSS_GROWTH_MAX_KB = 2048


def finish(rig: Rig, began_s: float, **facts: object) -> Outcome:
    """The stop after `began_s`, measured."""
    stop_ms = rig.stopped_after_ms(began_s)
    return Outcome([stop_ms], facts)


@case(1, "cable pulled while driving", "wheels 0 within expiry + ramp; the host says so and retries", since="the pull")
def cable_pulled(_: Settings) -> Outcome:
    """The port hangs up under a host that drives at full speed."""
    with Rig() as rig:
        rig.drive(reopen=True)
        outcome = finish(rig, rig.proxy.cut())
        require([error.code for error in rig.lost] == ["link-lost"], f"the host said {rig.lost}")
        rig.proxy.replug()
        wait_for(lambda: rig.link.stats().sessions == 2, "a new session", 6)
        outcome.facts["reconnects"] = rig.link.stats().reconnects
        return outcome


@case(2, "replug under another device name", "same robot by its uid; disarmed until armed again", since="the pull")
def replugged(_: Settings) -> Outcome:
    """The host goes on commanding all the while."""
    with Rig() as rig:
        rig.drive(reopen=True)
        name = rig.proxy.path
        uid = rig.link.hello.uid if rig.link.hello else None
        outcome = finish(rig, rig.proxy.cut())
        rig.proxy.replug()
        require(rig.proxy.path != name, "the port kept its name")
        wait_for(lambda: rig.link.stats().sessions == 2, "a new session", 6)
        require(rig.link.hello is not None and rig.link.hello.uid == uid, "another robot")
        require(not rig.link.armed and rig.link.stats().reboots == 0, "armed, or restarted")
        rig.stays_at_rest(AFTER_S, "back and not armed")
        rig.wait_state(State.OPEN)
        rig.link.arm()
        rig.wait_full_speed()
        outcome.stops_ms.append(rig.stopped_after_ms(rig.silence()))
        return outcome


@case(3, "bit flips at 1e-5 to 1e-2 a byte", "dropped and counted, never acted on")
def bits_flipped(_: Settings) -> Outcome:
    """A damaged command that is acted on shows: no other output than 0 to 80, both wheels alike, is ever commanded."""
    outcome = Outcome()
    with Rig(Faults(seed=time.monotonic_ns())) as rig:
        rig.drive()
        for rate in (1e-5, 1e-4, 1e-3, 1e-2):
            rig.proxy.set_faults(Faults(flip=rate, seed=int(1 / rate)))
            rig.speak()
            time.sleep(0.4)
            outcome.stops_ms.append(rig.stopped_after_ms(rig.silence()))
        rig.proxy.set_faults(Faults())
        status = rig.status()
        odd = [output for output in rig.robot.outputs if output[1] != output[2] or not 0 <= output[1] <= 80]
        require(not odd, f"acted on damage: {odd}")
        intact, sent = rig.delivered[Way.ROBOT].total, rig.sent[Way.ROBOT].total
        require(status.frames_ok <= intact, f"{status.frames_ok} frames accepted, {intact} came intact")
        damaged = rig.proxy.done(Way.HOST).done.flipped + rig.proxy.done(Way.ROBOT).done.flipped
        counted = status.frames_bad + rig.link.stats().frames_bad
        require(damaged and counted, "no frame was damaged and counted")
        outcome.facts.update(flipped=damaged, bad=counted, sent=sent, intact=intact, accepted=status.frames_ok)
        return outcome


@case(4, "lost or inserted bytes", "resynchronised at the next delimiter, at most 2 frames lost")
def bytes_lost(_: Settings) -> Outcome:
    """One byte at a time, each way, and the frames that it cost."""
    worst = 0
    with Rig() as rig:
        rig.drive()
        for way in Way:
            for fault in ("drop", "insert", "flip") * 3:
                before = rig.sent[way].total, rig.delivered[way].total
                rig.proxy.done(way).once(fault)
                time.sleep(0.12)
                sent, intact = rig.sent[way].total - before[0], rig.delivered[way].total - before[1]
                worst = max(worst, sent - intact)
        require(0 < worst <= 2, f"a byte cost {worst} frames")
        rig.wait_full_speed()
        outcome = finish(rig, rig.silence(), frames_lost_at_most=worst)
        status = rig.status()
        missing = rig.sent[Way.ROBOT].total - status.frames_ok
        require(missing <= 2 * 9 + 1, f"the robot missed {missing} frames for 9 bytes")
        return outcome


@case(5, "endless garbage, no delimiter", "bounded memory on both sides", since="the first garbage")
def garbage(_: Settings) -> Outcome:
    """Both ways at once, 100 kB/s, instead of all that was sent."""
    with Rig() as rig:
        rig.drive()
        rss_kb = resident_kb("self"), resident_kb(rig.robot.firmware_pid)
        outcome = finish(rig, rig.proxy.flood())
        time.sleep(1.0)
        now_kb = resident_kb("self"), resident_kb(rig.robot.firmware_pid)
        noise = rig.proxy.done(Way.ROBOT).done.noise + rig.proxy.done(Way.HOST).done.noise
        growth_kb = [after - before for after, before in zip(now_kb, rss_kb, strict=True)]
        require(max(growth_kb) < RSS_GROWTH_MAX_KB, f"{growth_kb} KB more for {noise} bytes")
        rig.proxy.flood(on=False)
        seen = len(rig.sensors)
        wait_for(lambda: len(rig.sensors) > seen + 5, "SENSOR after the garbage")
        outcome.facts.update(noise_bytes=noise, growth_kb=growth_kb)
        return outcome


@case(6, "truncated or over-long frame", "refused")
def frames_cut_short(_: Settings) -> Outcome:
    """Every third frame loses its end; then frames of more than 128 bytes with a good CRC."""
    with Rig(Faults(seed=6)) as rig:
        rig.drive()
        rig.proxy.set_faults(Faults(truncate=0.3, seed=6))
        time.sleep(0.8)
        rig.proxy.set_faults(Faults())
        rig.wait_full_speed()
        outcome = finish(rig, rig.silence(), truncated=rig.proxy.done(Way.ROBOT).done.truncated)
        before = rig.status()
        for extra in (121, 180, 240):
            rig.proxy.inject(Way.ROBOT, overlong(extra))
        rig.stays_at_rest(AFTER_S, "over-long frames")
        after = rig.status()
        require(after.frames_bad - before.frames_bad == 3, f"{after.frames_bad - before.frames_bad} of 3 counted")
        require(before.frames_bad > 0, "no truncated frame was counted")
        return outcome


@case(7, "valid CRC, invalid schema", "refused, answered")
def wrong_schema(_: Settings) -> Outcome:
    """Well-formed frames that no message is made of."""
    with Rig() as rig:
        rig.drive()
        outcome = finish(rig, rig.silence())
        cmd = command(rig)
        items = [cmd.TYPE, cmd.seq, cmd.session, cmd.t_us, 80, 80, cmd.expires_us]
        too_fast = [[*items[:4], wheel, 80, items[6]] for wheel in (81, -81)]
        wrong = [[99, *items[1:]], items[:-1], [*items, 0], *too_fast]
        before = rig.status()
        for number, one in enumerate(wrong):
            one[1] = (cmd.seq + number) % 65536
            rig.proxy.inject(Way.ROBOT, framed(cbor2.dumps(one)))
        rig.stays_at_rest(AFTER_S, "frames of a wrong schema")
        refused = rig.status().frames_refused - before.frames_refused
        require(refused == len(wrong), f"{refused} of {len(wrong)} refused")
        wait_for(lambda: any(log.code is LogCode.FRAME_INVALID for log in rig.logs), "the robot's answer")
        outcome.facts["refused"] = refused
        return outcome


@case(8, "NaN, infinity, out of range in a command or model output", "stop, not hold-last", since="the first such plan")
def not_a_number(_: Settings) -> Outcome:
    """In the planner's answer, in the host's call, and on the wire with a good CRC."""
    outcome = Outcome()
    for value in (float("nan"), float("inf"), 7.0):
        with Drive() as drive:
            drive.wait_full_speed()
            began_s = drive.planner.answer(value)
            outcome.stops_ms.append(drive.rig.stopped_after_ms(began_s))
    with Rig() as rig:
        rig.drive()
        rig.silence()
        for left in (float("nan"), float("inf"), 81):
            require(refuses(rig, left), f"the host's link took {left}")
        rig.stopped_after_ms(rig.written_s)
        cmd = command(rig)
        before = rig.status()
        for number, left in enumerate((float("nan"), float("inf"), 81)):
            items = [cmd.TYPE, (cmd.seq + number) % 65536, cmd.session, cmd.t_us, left, 80, cmd.expires_us]
            rig.proxy.inject(Way.ROBOT, framed(cbor2.dumps(items)))
        rig.stays_at_rest(AFTER_S, "commands that are no numbers")
        after = rig.status()
        counted = after.frames_bad + after.frames_refused - before.frames_bad - before.frames_refused
        require(counted == 3, f"{counted} of 3 refused")
    return outcome


@case(9, "duplicates, reordering", "ignored by sequence")
def out_of_order(_: Settings) -> Outcome:
    """A third of the frames each; then everything of the last second once more, in its right order."""
    kept: deque[bytes] = deque(maxlen=40)
    with Rig() as rig:
        reader = FrameReader()
        rig.on_sent = lambda data: kept.extend(b"\0" + cobs_encode(payload) + b"\0" for payload in reader.feed(data))
        rig.drive()
        rig.proxy.set_faults(Faults(duplicate=0.3, reorder=0.3, seed=9))
        time.sleep(1.0)
        rig.proxy.set_faults(Faults())
        rig.wait_full_speed()
        began_s = rig.silence()
        before = rig.link.status
        for raw in list(kept):
            rig.proxy.inject(Way.ROBOT, raw)
        outcome = finish(rig, began_s, replayed=len(kept))
        after = rig.status()
        counted = after.frames_refused - (before.frames_refused if before else 0)
        require(counted >= 10, f"{counted} repeats were counted")
        require(after.frames_bad == 0 and not reader.frames_bad, "whole frames were called damaged")
        done = rig.proxy.done(Way.ROBOT).done
        outcome.facts.update(duplicated=done.duplicated, reordered=done.reordered, refused=after.frames_refused)
        return outcome


@case(10, "commands queued behind a stall", "refused by the expiry on the robot's clock", since="the stall")
def stalled(_: Settings) -> Outcome:
    """The line takes hundreds of commands and delivers them when they are old."""
    with Rig() as rig:
        rig.drive()
        rig.period_s = 0.002
        began_s = rig.proxy.stall(Way.ROBOT)
        before = rig.commands
        stop_ms = rig.stopped_after_ms(began_s)
        time.sleep(0.6)
        rig.silence()
        queued = rig.commands - before
        time.sleep(0.2)  # now even the last one has expired
        rig.proxy.stall(Way.ROBOT, on=False)
        rig.stays_at_rest(AFTER_S, "commands out of the stall")
        status = rig.status()
        require(status.commands_expired >= 50, f"{status.commands_expired} of {queued} expired")
        require(status.frames_bad == 0, "the stall damaged frames")
        facts: dict[str, object] = {"queued": queued, "expired": status.commands_expired}
        return Outcome([stop_ms], facts)


@case(23, "host stops reading, the robot's writes block", "wheel deadline unaffected")
def not_read(_: Settings) -> Outcome:
    """The robot is asked for more than its line takes, and commanded on; then the commands end."""
    with Rig() as rig:
        rig.drive()
        rig.proxy.stall(Way.HOST)
        ended = threading.Event()
        session = rig.session_now()

        def ask() -> None:
            while not ended.wait(0.002):
                asked = b"".join(frame_of(TimeSync(rig.next_seq(), session, 0)) for _ in range(5))
                rig.proxy.inject(Way.ROBOT, asked)
                rig.proxy.inject(Way.ROBOT, frame_of(command(rig)))
                rig.written_s = time.monotonic()

        rig.silence()
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        time.sleep(1.2)
        require(rig.robot.outputs[-1][1:] == (80, 80), "the robot stopped while it was commanded")
        ended.set()
        asking.join()
        outcome = finish(rig, rig.written_s)
        rig.proxy.stall(Way.HOST, on=False)
        wait_for(lambda: rig.status().frames_dropped, "a robot that says how much its full line cost")
        dropped = rig.status().frames_dropped
        outcome.facts["frames_dropped"] = dropped
        return outcome


def command(rig: Rig) -> Cmd:
    """A fresh command at full speed, as the host would make it, whatever its link thinks of the moment."""
    clock = rig.clock_now()
    return Cmd(rig.next_seq(), rig.session_now(), 0, 80, 80, (clock + 140_000) % (1 << 30))


def framed(body: bytes) -> bytes:
    """Any body with a good CRC."""
    return encode_frame(body, SCHEMA_SEED)


def overlong(extra: int) -> bytes:
    """A frame with a good CRC that is longer than any may be."""
    payload = MAGIC + cbor2.dumps([19, "x" * extra])
    payload += zlib.crc32(payload, SCHEMA_SEED).to_bytes(CRC_BYTES, "little")
    return b"\0" + cobs_encode(payload) + b"\0"


def refuses(rig: Rig, left: float) -> bool:
    """Whether the host's own link refuses a command, before the wire."""
    try:
        return rig.link.command(left, 0) is None  # type: ignore[arg-type]
    except (ValueError, FrameError):
        return True


def resident_kb(pid: int | str) -> int:
    """Memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
