"""The server scenarios of the official conformance suite against a URL:

    python run.py URL --revision 2025-11-25|2026-07-28 [--only NAME …] [--skip NAME …] [--json] [--list] [--control URL]

A line per scenario; with --json one object {"scenario", "passed", "why", "seconds"} per line. Exits 1 when one fails.
--control names the same server without anything between: results must be the same there.

URL may be `direct:modern`, `direct:legacy`, `bridge:modern`, `bridge:legacy`: the fixture is then started, by itself or behind
`berth bridge` (BERTH_BRIDGE: its executable; PYTHON_MODERN, PYTHON_LEGACY: interpreters with mcp 2.x and 1.x), and ended."""

import argparse
import contextlib
import json
import time

import fixture
import legacy
import modern
from client import DEADLINE, Endpoint
from validation import Validator, brief, schema_file

REVISIONS = {"2025-11-25": legacy, "2026-07-28": modern}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--revision", choices=list(REVISIONS), required=True)
    parser.add_argument("--only", action="append")
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--control")
    options = parser.parse_args()
    module = REVISIONS[options.revision]
    names = [name for name in module.SCENARIOS if (not options.only or name in options.only) and name not in options.skip]
    if options.list:
        return print("\n".join(names))
    validator = Validator(options.revision, schema_file(options.revision))
    with contextlib.ExitStack() as started:
        endpoints = [Endpoint(fixture.url(each, started), validator) for each in (options.url, options.control) if each]
        failed = run_all(module, names, module.Run(*endpoints), options.json)
    raise SystemExit(1 if failed else 0)


def run_all(module, names, run, is_json):
    failed = 0
    for name in names:
        start = time.monotonic()
        why = attempt(module.SCENARIOS[name], run)
        failed += why is not None
        seconds = round(time.monotonic() - start, 2)
        if is_json:
            print(json.dumps({"scenario": name, "passed": why is None, "why": why or "", "seconds": seconds}), flush=True)
        else:
            print("%-55s %5.2f s  %s" % (name, seconds, "passed" if why is None else "failed: " + why), flush=True)
    run.reset()
    return failed


def attempt(scenario, run):
    """None, or why it failed; what a failure may have left is thrown away."""
    try:
        scenario(run)
        run.end_scenario()
        return None
    except AssertionError as failure:
        why = str(failure)
    except TimeoutError:
        why = "expected an answer within %d s, saw none" % DEADLINE
    except Exception as failure:  # a scenario must not end the run
        why = "%s: %s" % (type(failure).__name__, failure)
    run.reset()
    return brief(why, 900)


main()
