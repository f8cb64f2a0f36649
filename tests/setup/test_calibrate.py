"""`calibrate`: its sums, its questions, and twins built otherwise than drawn, whose settings it recovers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
from program import error_of, run

from jepa_bridge.errors import BridgeError
from jepa_bridge.setup import calibration as sums
from jepa_bridge.setup.measured import Answers
from jepa_bridge.twin.robot_settings import drawn_settings, read_settings

# what the twin is, and how near the settings must come: README of the firmware says the same
BODY = "track_mm=171&left_gain=0.9&left_dead=60&right_dead=80&left_ticks=1.06&right_ticks=1.06&speed=2"
OFFSETS = (20, -30, 10, 0, 5, -15, 25, -8)
TICKS_SHARE, TRACK_SHARE, FULL_SPEED_SHARE, DEAD_PERMILLE, OFFSET_MM = 0.01, 0.02, 0.04, 20, 5


def curve_of_twin(side: str) -> tuple[float, float]:
    """(dead permille, m/s a permille) as the twin's body was built by BODY."""
    dead, gain = {"left": (60, 0.9), "right": (80, 1.0)}[side]
    return dead, 0.5 * gain / 800


@pytest.mark.slow
def test_a_twin_with_wrong_settings_is_recovered(tmp_path):
    body = f"sim://open?{BODY}&range_offsets_mm={','.join(map(str, OFFSETS))}&left_motor=-1&right_encoder=-1"
    first, second = tmp_path / "first.py", tmp_path / "second.py"

    ran = run("calibrate", "--port", body, "--out", str(first), "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert not told["complete"], "with a wrong direction nothing else is measured"
    signs = {name: value for name, value in read_settings(first).items() if name.endswith("_SIGN")}
    assert (signs["LEFT_MOTOR_SIGN"], signs["RIGHT_MOTOR_SIGN"]) == (-1, 1)
    assert (signs["LEFT_ENCODER_SIGN"], signs["RIGHT_ENCODER_SIGN"]) == (1, -1)

    ran = run(
        "calibrate", "--port", f"{body}&settings={first}", "--settings", str(first), "--out", str(second), "--json",
        timeout_s=240,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["complete"]
    found = read_settings(second)
    assert {name: found[name] for name in signs} == signs
    assert found["TICKS_PER_METRE"] == pytest.approx(3000 * 1.06, rel=TICKS_SHARE)
    assert found["TRACK_UM"] == pytest.approx(171_000, rel=TRACK_SHARE)
    for side in ("left", "right"):
        dead, slope = curve_of_twin(side)
        assert found[f"{side.upper()}_DEAD_PERMILLE"] == pytest.approx(dead, abs=DEAD_PERMILLE)
        output = sums.output_permille(side, 80, found)
        assert (output - dead) * slope == pytest.approx(0.5, rel=FULL_SPEED_SHARE), "m/s at 80 units"
    assert found["RANGE_OFFSETS_MM"] == pytest.approx([-offset for offset in OFFSETS], abs=OFFSET_MM)


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("ticks", [200, -200])
def test_signs_come_from_eyes_and_encoder(forward, ticks):
    changes = sums.directions("left", sums.Nudge(ticks, 3, forward), drawn_settings())
    assert changes["LEFT_MOTOR_SIGN"] == (1 if forward else -1)
    # driven backward and counted down: the encoder is right and only the motor is not
    assert changes["LEFT_ENCODER_SIGN"] == (1 if forward == (ticks > 0) else -1)


@pytest.mark.parametrize(("own", "other", "code"), [(2, 300, "wheels-swapped"), (2, 3, "encoder-silent")])
def test_wires_that_settings_cannot_mend_are_said(own, other, code):
    with pytest.raises(BridgeError) as refused:
        sums.directions("right", sums.Nudge(own, other, True), drawn_settings())
    assert refused.value.code == code


def test_a_motor_is_a_line_from_its_dead_zone_on():
    speeds = [(output, max(0, output - 130) * 1.7) for output in (100, 300, 450, 600, 750)]
    curve = sums.fit_motor("left", speeds)
    assert curve.dead_permille == pytest.approx(130)
    assert curve.ticks_s_per_permille == pytest.approx(1.7)
    weak = sums.MotorCurve(200, 1.4)
    changes, full_m_s = sums.motor_settings(curve, weak, 3000)
    settings = {**drawn_settings(), **changes}
    assert full_m_s == pytest.approx(800 * 1.4 / 3000), "no more than the weaker one makes at full voltage"
    assert curve.ticks_s(sums.output_permille("left", 80, settings)) == pytest.approx(full_m_s * 3000, rel=0.01)
    assert weak.ticks_s(sums.output_permille("right", 80, settings)) == pytest.approx(full_m_s * 3000, rel=0.01)
    assert sums.units_for("left", sums.output_permille("left", 33, settings), settings) == pytest.approx(33)
    noisy = sums.fit_motor("left", [(300, 520), (600, 1030), (750, 1280)])
    assert noisy.dead_permille == 0
    assert noisy.ticks_s_per_permille == pytest.approx(1.71, abs=0.01), "through nothing at nothing"
    with pytest.raises(BridgeError, match="does not turn faster"):
        sums.fit_motor("left", [(300, 500), (600, 500), (750, 490)])


@pytest.mark.parametrize(
    "measure",
    [
        lambda: sums.ticks_per_metre(3000, 3000, 5),
        lambda: sums.ticks_per_metre(3000, 3000, 1e6),
        lambda: sums.track_um(-3000, 3000, 10, 3000),
        lambda: sums.track_um(3000, -3000, 1080, 3000),
        lambda: sums.range_offset_mm(0, 1000, 100),
    ],
)
def test_a_slip_of_the_ruler_is_not_believed(measure):
    with pytest.raises(BridgeError) as refused:
        measure()
    assert refused.value.code == "calibration-implausible"


def test_offsets_build_on_those_that_are_there():
    assert sums.range_offset_mm(-12, 500, 507) == -5
    assert sums.track_um(-1508, 1508, 360, 3000) == pytest.approx(160_000, rel=0.001)


def test_a_gyro_that_counts_the_wrong_way_is_turned_around():
    settings = {**drawn_settings(), "GYRO": "mpu6050"}
    assert sums.gyro_sign(drawn_settings(), -900, 1080) == {}
    assert sums.gyro_sign(settings, 1050, 1080) == {"GYRO_SIGN": 1}
    # 15 of 16 parts the wrong way, one the wheels'
    assert sums.gyro_sign(settings, -1080 * 14 / 16, 1080) == {"GYRO_SIGN": -1}
    with pytest.raises(BridgeError) as refused:
        sums.gyro_sign(settings, 100, 1080)
    assert refused.value.code == "gyro-scale"


def test_answers_are_asked_for_by_name():
    answers = Answers({"left-forward": "no", "distance-mm": "1012", "turned-deg": "many"}, print)
    assert not answers.forward("left")
    assert answers.distance_mm(1000) == 1012
    assert answers.range_mm("front", 500) is None
    for ask in (lambda: answers.turned_deg(1080), lambda: answers.forward("right")):
        with pytest.raises(BridgeError) as refused:
            ask()
        assert refused.value.code == "answer-missing"
    ran = run("calibrate", "--port", "/dev/nothing", "--answer", "colour=red", "--json")
    assert error_of(ran)["code"] == "answer-unknown"
    assert error_of(run("calibrate", "--port", "/dev/nothing", "--yes", "--json"))["code"] == "port-missing"


def test_nothing_moves_that_was_not_armed():
    from jepa_bridge.link import open_transport
    from jepa_bridge.setup.calibrate_drive import CalibrationDrive

    drive = CalibrationDrive(open_transport("sim://open?speed=2"))
    try:
        drive.connect()
        before = drive.rest()
        with pytest.raises(BridgeError) as refused:
            drive.hold(40, 40, 1.0)
        assert refused.value.code == "calibration-stopped"
        after = drive.rest()
        assert (after.left_ticks, after.right_ticks) == (before.left_ticks, before.right_ticks)
    finally:
        drive.close()


def test_a_person_is_asked_before_and_after(monkeypatch):
    from click.testing import CliRunner

    import jepa_bridge.cli.calibrate as verb

    def talk():
        person = verb._Terminal({"distance-mm": "990"}, print)
        person.permit("it will move")
        print(person.forward("left"), person.distance_mm(1000), person.turned_deg(1080))
        print(person.range_mm("front", 500), person.range_mm("back", 500))

    import click

    told = CliRunner().invoke(click.command()(talk), input="\nn\n1090\n505\n\n").output
    assert "it will move. Enter to begin, Ctrl-C to stop it at any time" in told
    assert "False 990.0 1090.0" in told
    assert "505.0 None" in told
