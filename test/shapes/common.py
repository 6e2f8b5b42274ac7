# SPDX-License-Identifier: MIT
"""What the scripts of this folder share: counting, compilers, and running the tool."""

import json
import os
import shutil
import subprocess

counts = {"passed": 0, "failed": 0, "skipped": 0}


def check(name, wrong):
    """Counts one test; wrong: None or an empty value when it passed, else what to show."""
    if wrong:
        counts["failed"] += 1
        print("FAILED: %s\n  %s" % (name, str(wrong).rstrip().replace("\n", "\n  ")))
    else:
        counts["passed"] += 1
    return not wrong


def skip(name, why):
    counts["skipped"] += 1
    print("skipped: %s: %s" % (name, why))


def finish(name):
    print("%s: %d passed, %d failed, %d skipped" % (name, counts["passed"], counts["failed"], counts["skipped"]))
    raise SystemExit(1 if counts["failed"] or not counts["passed"] else 0)


def installed(*commands):
    return [command for command in commands if shutil.which(command.split()[0])]


def run(command, **options):
    """Of a command that takes too long, exit status 124."""
    options.setdefault("timeout", 120)
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              env=dict(os.environ, LC_ALL="C"), **options)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, b"", b"took too long")


def compile(name, command):
    """Runs a compiler. True, or a failed test."""
    done = run(command)
    return check("%s: %s" % (name, " ".join(command)), done.returncode and done.stderr.decode(errors="replace"))


class Tool:
    def __init__(self, path):
        self.path = os.path.abspath(path)

    def run(self, *arguments, **options):
        return run([self.path, "shapes"] + list(arguments), **options)

    def read(self, *arguments):
        """Exit status and the JSON object."""
        done = self.run("--json", *arguments)
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            return done.returncode, {"files": [], "broken": done.stdout.decode(errors="replace") or done.stderr.decode()}

    def pools(self, *arguments):
        """Exit status and the reports of all files, or None with what went wrong."""
        status, answer = self.read(*arguments)
        return status, [pool for file in answer["files"] for pool in file["pools"]]
