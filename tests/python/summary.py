#!/usr/bin/env python3
"""Adds up the results of one ctest run, case by case, and prints `N passed, M failed, K skipped` as the last line.

usage: summary.py RESULTS
RESULTS holds ctest.xml (ctest --output-junit) and, where a test program reports its single cases, one file more for it:
NAME.xml from GoogleTest or NAME.json ({"passed": [..], "failed": [..], "skipped": {case: reason}}) from the Python tests.
A program that ended without such a report counts as one case, as ctest saw it; so does one that reports no failure but
failed all the same (a crash at exit, a leak found by a sanitizer).
"""
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def google_test(path):
    cases = {"passed": 0, "failed": [], "skipped": []}
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None:
            cases["failed"].append(name)
        elif case.get("result") == "skipped" or case.find("skipped") is not None:
            skipped = case.find("skipped")
            reason = (skipped.get("message") or "") if skipped is not None else ""
            cases["skipped"].append(f"{name}: {' '.join(reason.split())[-160:]}")
        elif case.get("status") == "run":
            cases["passed"] += 1
    return cases


def python_test(path):
    report = json.loads(path.read_text(encoding="utf-8"))
    return {"passed": len(report["passed"]), "failed": report["failed"],
            "skipped": [f"{name}: {reason}" for name, reason in report["skipped"].items()]}


def program_cases(folder, name):
    for suffix, read in ((".xml", google_test), (".json", python_test)):
        path = folder / (name + suffix)
        try:
            if path.exists():
                return read(path)
        except (ElementTree.ParseError, ValueError, KeyError):
            pass  # cut off by a crash: ctest's own verdict stands
    return {"passed": 0, "failed": [], "skipped": []}


def main():
    folder = pathlib.Path(sys.argv[1])
    passed, failed, skipped = 0, [], []
    for test in ElementTree.parse(folder / "ctest.xml").iter("testcase"):
        name = test.get("name")
        cases = program_cases(folder, name)
        passed += cases["passed"]
        failed += [f"{name}: {case}" for case in cases["failed"]]
        skipped += [f"{name}: {case}" for case in cases["skipped"]]
        if test.get("status") == "fail" and not cases["failed"]:
            failed.append(name)
        elif test.get("status") in ("notrun", "disabled") and not cases["skipped"]:
            said = (test.findtext("system-out") or "").split("\n")
            skipped.append(": ".join([name, *[line.strip()[-160:] for line in said if line.strip()][-1:]]))
        elif test.get("status") == "run" and not any(cases.values()):
            passed += 1
    for line in skipped:
        print(f"skipped: {line}")
    for line in failed:
        print(f"failed: {line}")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else 0


sys.exit(main())
