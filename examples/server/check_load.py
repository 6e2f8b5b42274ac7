# SPDX-License-Identifier: MIT
"""Test of the measurement: check_load.py SERVER. What it writes, and what it does when something is wrong."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

counts = {"passed": 0, "failed": 0, "skipped": 0}
server = os.path.abspath(sys.argv[1])
load = [sys.executable, "-B", os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py")]
work = tempfile.mkdtemp()
names = ["pool", "glibc", "glibc tuned", "jemalloc", "mimalloc", "tcmalloc"]
figures = {"cpu_us", "rps", "p50_us", "p99_us", "p999_us", "rss", "requests"}


def report(good, what):
    counts["passed" if good else "failed"] += 1
    if not good:
        print("FAILED:", what, flush=True)


def script(name, text):
    path = os.path.join(work, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def run(*options, **more):
    return subprocess.run([*load, *options], capture_output=True, text=True, check=False, timeout=300, **more)


def refuses(status, words, *options, **more):
    done = run(*options, **more)
    said = done.stderr.splitlines()
    clean = "Traceback" not in done.stderr and not done.stdout
    report(done.returncode == status and said and words in said[-1] and clean,
           f"{options}: {done.returncode} {done.stderr}")


def errors():
    refuses(2, "--server", "--rounds=1")
    for option in ("--rounds=0", "--rounds=-1", "--seconds=x", "--timeline=", "--rounds=99999999999999999999"):
        refuses(2, "a number from 1 to 1000", f"--server={server}", option)
    refuses(1, "No such file", "--server=/none")
    refuses(1, "Permission denied", f"--server={work}")
    refuses(1, "did not start", "--server=/bin/true")
    refuses(1, "did not start: what it said", "--server=" + script("talks", "echo what it said >&2\nexit 3\n"))
    refuses(1, "no such folder", f"--server={server}", "--json=/none/x")
    refuses(1, "not a folder", f"--server={server}", f"--json={server}/x")
    refuses(1, "wrk: No such file", f"--server={server}", env={"PATH": work})


def errors_under_load():
    refused = script("refuses", f'exec {server} "$@" --connections=3\n')
    refuses(1, "requests failed", f"--server={refused}", "--rounds=1", "--seconds=3")
    # A server that is killed while wrk is at work, which may have found it or not. One that ended is not killed: its
    # number may be somebody else's.
    number = os.path.join(work, "number")
    dies = script("dies", f'echo $$ >{number}\nexec {server} "$@"\n')
    os.mkdir(os.path.join(work, "killer"))
    script("killer/wrk", f'{shutil.which("wrk")} "$@" &\nsleep 1\nkill -9 "$(cat {number})"\nwait $!\n')
    refuses(1, "load: wrk: ", f"--server={dies}", "--rounds=1", "--seconds=3", env=before_path("killer"))


def before_path(folder):
    return {**os.environ, "PATH": os.path.join(work, folder) + os.pathsep + os.environ["PATH"]}


def members(session):
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(entry)
    return found


def interrupted():
    """At any time, with a server and perhaps wrk at work: both end, long before they would, and nothing is written."""
    for seconds in (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 1.5, 2.5):
        path = os.path.join(work, "interrupted.json")
        with subprocess.Popen([*load, f"--server={server}", "--seconds=1000", f"--json={path}"], stderr=subprocess.PIPE,
                              text=True, start_new_session=True) as process:
            time.sleep(seconds)
            process.send_signal(signal.SIGTERM)
            try:
                said = process.communicate(timeout=60)[1]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                said = "it hangs"
            report(process.wait() in (130, -signal.SIGTERM) and "Traceback" not in said,
                   f"interrupted after {seconds} s: {process.returncode} {said}")
            report(not members(process.pid) and not os.path.exists(path), f"it leaves {members(process.pid)} behind")


def sound(result):
    return (set(result) == figures and result["requests"] > 0 and
            0 < result["p50_us"] <= result["p99_us"] <= result["p999_us"] and
            0 < result["cpu_us"] < 1e6 and 0 < result["rps"] < 1e8 and result["rss"] > 1 << 20)


def schema(results, found, rounds):
    report(results["part"] == "server" and sorted(results["workloads"]) == ["echo", "hello"], "the parts of the file")
    for workload, rows in results["workloads"].items():
        report(sorted(rows) == sorted(found), f"{workload}: configurations {sorted(rows)}")
        for name, runs in rows.items():
            report(len(runs) == rounds and all(sound(one) for one in runs), f"{workload}, {name}: {runs}")
    report(sorted(results["rss"]) == sorted(found), f"bursts of {sorted(results['rss'])}")
    for name, samples in results["rss"].items():
        at, sizes = [seconds for seconds, _ in samples], [size for _, size in samples]
        report(len(samples) > 10 and at == sorted(at), f"{name}: samples at {at}")
        report(max(sizes) - sizes[0] > 30 << 20, f"{name}: 1,000 bodies under way of 48 KiB hold memory: {max(sizes)}")
    pool = [size for _, size in results["rss"]["pool"]]
    report(pool[-1] - pool[0] < (max(pool) - pool[0]) / 8,
           f"what the pools held is back in the end: {pool[-1]} of {max(pool)}")


def whole(program, missing, timeline, **more):
    """A run of everything; `missing` are those that the program can not have."""
    path = os.path.join(work, "whole.json")
    done = run(f"--server={program}", "--rounds=2", "--seconds=1", f"--timeline={timeline}", f"--json={path}", **more)
    report(done.returncode == 0 and "Traceback" not in done.stderr, f"a whole run: {done.returncode} {done.stderr}")
    with open(path, encoding="utf-8") as file:
        results = json.load(file)
    absent = results["missing"]
    report(set(missing) <= set(absent) and all("is not installed" in why for why in absent.values()),
           f"missing: {absent}")
    schema(results, [name for name in names if name not in absent], 2)
    report(all(f"\n{name} " in done.stdout or f"\n{name}: left out: lib" in done.stdout for name in names), done.stdout)


def main():
    try:
        errors()
        if shutil.which("wrk"):
            errors_under_load()
            interrupted()
            whole(server, [], 4)
            # A wrk that is slow to come must not be interrupted before it can be.
            script("wrk", f'sleep 1.2\nexec {shutil.which("wrk")} "$@"\n')
            whole(script("alone", f'unset LD_PRELOAD\nexec {server} "$@"\n'), ["jemalloc", "mimalloc", "tcmalloc"], 8,
                  env=before_path(""))
        else:
            counts["skipped"] += 1
            print("skipped: no wrk")
    finally:
        shutil.rmtree(work)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0


sys.exit(main())
