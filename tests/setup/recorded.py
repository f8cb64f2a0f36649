"""Findings as the doctor's tests hold them: codes that are known, sentences that are one."""

from __future__ import annotations

from jepa_bridge.setup.doctor.finding import CODES, Level


def codes(findings):
    findings = list(findings)
    assert all(finding.code in CODES for finding in findings), findings
    assert all(finding.sentence and "\n" not in finding.sentence for finding in findings)
    assert all(finding.do for finding in findings if finding.level is Level.PROBLEM)
    return {finding.code: finding for finding in findings}
