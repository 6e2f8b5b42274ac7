# SPDX-License-Identifier: MIT
"""Tests of the driver, without the programs that it runs: figures from fixed samples, files of every kind, fake
programs.

Usage: test_driver.py; the last line is "N passed, N failed, N skipped".
"""
import contextlib
import html.parser
import importlib.util
import io
import json
import math
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
import xml.dom.minidom
from pathlib import Path
from unittest import mock

MAIN = Path(__file__).resolve().parent
sys.path.insert(0, str(MAIN / 'driver'))

import burst  # pylint: disable=wrong-import-position
import compare  # pylint: disable=wrong-import-position
import figures  # pylint: disable=wrong-import-position
import intervals  # pylint: disable=wrong-import-position
import measure  # pylint: disable=wrong-import-position
import mode  # pylint: disable=wrong-import-position
import page  # pylint: disable=wrong-import-position
import plot  # pylint: disable=wrong-import-position
import report  # pylint: disable=wrong-import-position
import results as earlier  # pylint: disable=wrong-import-position
import server  # pylint: disable=wrong-import-position
from errors import JobError, UsageError  # pylint: disable=wrong-import-position
from interrupts import Interrupts  # pylint: disable=wrong-import-position
from progress import Progress  # pylint: disable=wrong-import-position

MALLOCS = list(measure.MALLOCS)
ROUNDS = 7


# ---- made-up measurements of known truth


def wobble(middle, rounds=ROUNDS):
    """Rounds that differ by a percent."""
    return [middle * (1 + 0.01 * ((7 * i) % 5 - 2) / 2) for i in range(rounds)]


def runs(middle):
    return [{'ns': [value]} for value in wobble(middle)]


def micro_samples():
    middles = {'glibc': 20, 'glibc tuned': 18, 'jemalloc': 12, 'mimalloc': 11, 'tcmalloc': 4, 'basic': 2,
               'unchecked': 1.9, 'uncounted': 1.95}
    return {(workload, size): {name: runs(middle) for name, middle in middles.items()}
            for workload in figures.WORKLOADS for size in (64, 256, 4096)}


def decode_samples():
    ways = {**dict.fromkeys(MALLOCS, 14000.0), 'initialise': 13900.0, 'keep': 5000.0}
    return {(frame, threads): {name: [{**run, 'wall_ns': run['ns'], 'frames': 9} for run in runs(middle)]
                               for name, middle in ways.items()}
            for frame in (4096, 65536, 1048576) for threads in (1, 2)}


def decoders_samples():
    """The pool of glibc's process says 400, and in each process it takes half of what is made and freed."""
    made = {name: [{'ns': [value], 'pooled': [value / 2]} for value in wobble(1000.0 + 100 * i)]
            for i, name in enumerate(MALLOCS)}
    return {('inflate', 'member of 4 KiB'): {**made, 'pooled': runs(400.0)}}


def burst_run(idle_kib):
    return {'samples': [[0.0, 1000], [50.0, 30000], [100.0, idle_kib]], 'peak_kib': 30000, 'idle_kib': idle_kib,
            'end_kib': idle_kib, 'back_ms': 10.0, 'first_cpu_ms': 20.0, 'second_cpu_ms': 10.0}


def burst_samples():
    idle = {**dict.fromkeys(MALLOCS, 28000), 'glibc, malloc_trim': 7000, 'opool': 2800}
    return {stays: {name: [burst_run(kib)] for name, kib in idle.items()} for stays in (0, 100)}


def load():
    """As load.py writes it: one call."""
    def run(value):
        return {'cpu_us': value, 'rps': 1e5, 'p50_us': 200, 'p99_us': 900, 'p999_us': 5000, 'rss': 3 << 20,
                'requests': 1000}

    names = ['pool', *MALLOCS]
    ways = {name: [run(value) for value in wobble(6.0 if name == 'pool' else 12.0)] for name in names}
    return {'part': 'server', 'workloads': {'hello': ways, 'echo': ways}, 'missing': {},
            'rss': {name: [[0.0, 2 << 20], [0.1, 70 << 20], [0.2, (2 if name == 'pool' else 70) << 20]]
                    for name in names}}


def costs():
    spread = {'unit': 'ms', 'raw': [1.2], 'median': 1.2, 'min': 1.1, 'max': 1.3}
    return {'compile': {'definition': spread, 'used': spread}, 'code_bytes': {'get': 75, 'put': 115}}


def facts():
    return {'mode': 'short', 'started': '2026-01-02T03:04:05+0000', 'seconds': 240.0, 'missing': {},
            'machine': {'processor': 'A processor', 'architecture': 'x86_64', 'processors': 2, 'memory_bytes': 1 << 30,
                        'kernel': 'Linux 6', 'distribution': 'Debian', 'virtual_machine': 'kvm', 'load_at_start': 0.1},
            'versions': {'opool': '0.1.0', 'libzstd': '1.5.4', 'compiler': 'gcc 12', 'cpuid_ns': 3700.0,
                         'tunables': 'glibc.malloc.trim_threshold=9',
                         'sources': {'jemalloc': {'file': 'lib', 'package': 'libjemalloc2', 'version': '5.3'}}},
            'input': [{'file': '/bin/bash', 'bytes': 1000}]}


def all_samples():
    return {'decode': decode_samples(), 'micro': micro_samples(), 'decoders': decoders_samples(),
            'burst': burst_samples(), 'server': server.merge([load()]), 'cost': costs()}


def evaluated(**changed):
    return json.loads(report.to_json(figures.evaluate({**facts(), **changed}, all_samples())))


def row(results, **names):
    found = figures.find(results['rows'], **names)
    assert found, names
    return found


# ---- tests


class Intervals(unittest.TestCase):
    def test_known_case(self):
        """Of seven ratios the interval is from the least to the largest: no narrower one has 95 %."""
        entry = intervals.paired([1, 2, 3, 4, 5, 6, 7], [10] * 7)
        self.assertEqual((entry['ratio'], entry['low'], entry['high'], entry['n']), (0.4, 0.1, 0.7, 7))

    def test_narrower_with_more_rounds(self):
        """Of 25 the exact interval (signs) is from the 8th to the 18th."""
        entry = intervals.paired(list(range(1, 26)), [1] * 25)
        self.assertEqual(entry['ratio'], 13)
        self.assertIn(entry['low'], (7, 8, 9))
        self.assertIn(entry['high'], (17, 18, 19))

    def test_rounds_are_paired(self):
        """A machine that is ten times slower in some rounds does not blur a ratio."""
        slow = [1, 10, 1, 10, 1, 10, 1]
        entry = intervals.paired([s * value for s, value in zip(slow, wobble(5))], [s * 10 for s in slow])
        self.assertLess(entry['high'], 0.52)
        self.assertGreater(entry['low'], 0.48)

    def test_same_again(self):
        first = intervals.resampled_medians(wobble(3, 12))
        intervals.median_ranks.cache_clear()
        self.assertEqual(first, intervals.resampled_medians(wobble(3, 12)))

    def coverage(self, make, count=7, experiments=400):
        generator = random.Random(7)
        hits = 0
        for _ in range(experiments):
            entry = make([math.exp(generator.gauss(0, 0.05)) for _ in range(count)],
                         [2 * math.exp(generator.gauss(0, 0.05)) for _ in range(count)])
            hits += entry['low'] <= 0.5 <= entry['high']
        return hits / experiments

    def test_coverage(self):
        """What is called 95 % is met in about 95 of 100 experiments of known truth."""
        for count in (6, 7, 9, 12):
            self.assertGreater(self.coverage(intervals.paired, count), 0.93, count)
        self.assertGreater(self.coverage(lambda a, b: intervals.unpaired(a, b)), 0.93)

    def test_coverage_is_not_had_by_width(self):
        entry = intervals.paired(wobble(1, 21), [2] * 21)
        self.assertLess(entry['high'] - entry['low'], 0.01)

    def test_few_rounds(self):
        entry = intervals.paired([1.0, 1.1, 1.2], [2, 2, 2])
        self.assertEqual((entry['low'], entry['high'], entry['level']), (0.5, 0.6, None))
        self.assertEqual(intervals.paired(wobble(1, 6), wobble(2, 6))['level'], 0.95)

    def test_verdicts(self):
        def of(ratio, low, high, n=7):
            return intervals.verdict({'ratio': ratio, 'low': low, 'high': high, 'n': n})

        self.assertEqual(of(0.5, 0.4, 0.6), 'less')
        self.assertEqual(of(2.0, 1.5, 2.5), 'more')
        self.assertEqual(of(0.9, 0.8, 1.0), 'tie')  # covers 1
        self.assertEqual(of(1.2, 0.99, 1.4), 'tie')
        self.assertEqual(of(0.985, 0.98, 0.99), 'tie')  # sure, but nothing
        self.assertEqual(of(0.975, 0.97, 0.98), 'less')
        self.assertEqual(of(0.92, 0.92, 0.92, 1), 'tie')  # one round knows no noise
        self.assertEqual(of(0.80, 0.80, 0.80, 1), 'less')

    def test_words(self):
        def of(ratio, low, high, n=7, level=0.95):
            entry = {'ratio': ratio, 'low': low, 'high': high, 'n': n, 'level': level}
            return intervals.words({**entry, 'verdict': intervals.verdict(entry)}, 'CPU', 'glibc')

        self.assertEqual(of(1 / 2.1, 1 / 2.3, 1 / 1.9), '2.1x less CPU than glibc (95 % CI 1.9 to 2.3)')
        self.assertEqual(of(1.5, 1.25, 1.61), '1.5x more CPU than glibc (95 % CI 1.2 to 1.6)')
        self.assertEqual(of(1 / 1.18, 1 / 1.2, 1 / 1.15), '1.18x less CPU than glibc (95 % CI 1.15 to 1.20)')
        self.assertEqual(of(1 / 4.7, 1 / 78, 1 / 2), '4.7x less CPU than glibc (95 % CI 2.0 to 78)')
        self.assertEqual(of(1.01, 0.97, 1.03), 'tie with glibc (95 % CI 0.97 to 1.03)')
        self.assertEqual(of(1.01, 0.5, 1.9), 'tie, or too noisy to tell, with glibc (95 % CI 0.50 to 1.90)')
        self.assertEqual(of(0.05, 0.04, 0.0625), '20x less CPU than glibc (95 % CI 16 to 25)')
        self.assertEqual(of(0.5, 0.4, 0.625, 3, None), '2.0x less CPU than glibc (3 rounds: 1.6 to 2.5)')
        self.assertEqual(of(0.5, 0.5, 0.5, 1, None), '2.0x less CPU than glibc (one round)')


class Figures(unittest.TestCase):
    def setUp(self):
        self.results = evaluated()

    def test_best_malloc_is_the_best(self):
        found = row(self.results, part='micro', workload='pair', bytes=256)
        self.assertEqual(found['best_malloc'], 'tcmalloc')
        self.assertEqual(found['against']['basic'].keys(), set(MALLOCS))
        self.assertAlmostEqual(found['against']['basic']['tcmalloc']['ratio'], 0.5, 3)
        self.assertAlmostEqual(found['against']['basic']['glibc tuned']['ratio'], 2 / 18, 3)

    def test_decoders_are_paired_in_their_process(self):
        found = row(self.results, part='decoders')
        self.assertEqual({entry['ratio'] for entry in found['against']['pooled'].values()}, {0.5})
        self.assertAlmostEqual(found['cells']['pooled']['median'], 0.4, 2)

    def test_server(self):
        found = row(self.results, part='server', workload='hello', figure='cpu_us')
        self.assertEqual(report.verdict(found), '2.0x less CPU than glibc (95 % CI 2.0 to 2.0); n = 7')
        found['cells']['tcmalloc']['median'] = 9
        found['best_malloc'] = 'tcmalloc'
        self.assertEqual(report.verdict(found), '2.0x less CPU than glibc (95 % CI 2.0 to 2.0), '
                                                '2.0x less than tcmalloc, the best (2.0 to 2.0); n = 7')
        self.assertEqual({entry['figure'] for entry in self.results['rows'] if entry['part'] == 'server'},
                         {'cpu_us', 'p50_us', 'p99_us', 'p999_us', 'rss', 'peak', 'end'})
        end = row(self.results, part='server', figure='end')
        self.assertEqual((end['cells']['pool']['median'], end['cells']['glibc']['median']), (2, 70))
        self.assertEqual(report.verdict(end), '35x less memory than glibc (one round); n = 1')

    def test_burst_knows_malloc_trim_but_no_best_of_it(self):
        found = row(self.results, part='burst', stays=0, figure='idle_kib')
        self.assertEqual(found['best_malloc'], 'glibc')
        self.assertAlmostEqual(found['against']['opool']['glibc, malloc_trim']['ratio'], 0.4)

    def test_targets(self):
        found = {entry['name']: entry for entry in self.results['targets']}
        self.assertEqual(len(found), 12)
        best = found['get + put, 256 B, basic checks / best malloc']
        self.assertEqual((best['result'], round(best['measured'], 3)), ('met', 0.5))
        self.assertEqual(found['256 at a time, 256 B, no checks / best malloc']['result'], 'met')
        self.assertEqual(found['hand over, 256 B, basic checks / best malloc']['result'], 'missed')

    def test_parts_alone(self):
        """Each part without the others gives a report, and all of it is in the text."""
        for part, samples in all_samples().items():
            results = figures.evaluate(facts(), {part: samples})
            text = report.to_text(results)
            self.assertIn(report.TITLES[part], text)
            self.assertEqual({entry['part'] for entry in results['rows']}, set() if part == 'cost' else {part})

    def test_server_that_is_missing(self):
        results = figures.evaluate({**facts(), 'missing': {'server': 'wrk is not installed'}},
                                   {**all_samples(), 'server': None})
        self.assertIn('missing: server: wrk is not installed', report.to_text(results))
        self.assertNotIn('server', {entry['part'] for entry in results['rows']})

    def test_verdict_for_each_row(self):
        text = report.verdicts_text(self.results)
        self.assertEqual(len(text.splitlines()), 2 + len(self.results['rows']))
        self.assertRegex(text, r'micro: get \+ put, 256 B +10x less CPU than glibc \(95 % CI \S+ to \S+\), '
                               r'2\.0x less than tcmalloc, the best \(\S+ to \S+\); n = 7\n')

    def test_schema(self):
        self.assertEqual((self.results['format'], self.results['program']), (2, 'opool examples/run'))
        for entry in self.results['rows']:
            self.assertLessEqual({'part', 'name', 'unit', 'what', 'cells', 'ours', 'best_malloc', 'against'},
                                 entry.keys())
            for cell in entry['cells'].values():
                self.assertLessEqual(cell['min'], cell['median'])
                self.assertLessEqual(cell['median'], cell['max'])
                self.assertEqual(cell['median'], statistics.median(cell['rounds']))


class Files(unittest.TestCase):
    """--compare with files of every kind."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / 'old.json'
        self.whole = report.to_json(evaluated())

    def refused(self, content, pattern):
        self.path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with self.assertRaisesRegex(UsageError, pattern) as caught:
            earlier.read(self.path)
        self.assertIn(str(self.path), str(caught.exception))
        self.assertEqual(caught.exception.status, 2)

    def test_good(self):
        self.path.write_text(self.whole, encoding='utf-8')
        self.assertEqual(earlier.read(self.path), json.loads(self.whole))

    def test_not_there(self):
        with self.assertRaisesRegex(UsageError, 'No such file'):
            earlier.read(self.path)
        with self.assertRaisesRegex(UsageError, 'directory'):
            earlier.read(self.folder)
        with self.assertRaisesRegex(UsageError, 'not a file'):
            earlier.read(Path('/dev/null'))
        os.mkfifo(self.path)
        with self.assertRaisesRegex(UsageError, 'not a file'):
            earlier.read(self.path)

    def test_foreign(self):
        for content in (b'', b'\xff\xfe\x00', b'\x7fELF' * 100, 'hello', '[' * 100000, '{"a": NaN}', '1' * 5000):
            self.refused(content, 'not whole, or not JSON')
        for content in ('null', '[]', '7', '"text"', '{}', '{"format": 2}', '{"format": "2", "rows": []}',
                        '{"benchmarks": []}'):
            self.refused(content, 'no results of opool examples/run')

    def test_cut_off_anywhere(self):
        for length in range(0, len(self.whole) - 2, len(self.whole) // 60):
            self.refused(self.whole[:length], 'not whole')

    def test_other_schema(self):
        self.refused('{"format": 1, "rows": []}', 'schema 1; .* schema 2')
        self.refused(self.whole.replace('"format": 2', '"format": 3'), 'schema 3')

    def test_too_large(self):
        with mock.patch.object(earlier, 'MOST_BYTES', 1000):
            self.refused(self.whole, 'larger than any results')

    def test_damaged(self):
        """Each member that compare reads, taken away or made nonsense."""
        def damaged(change):
            results = json.loads(self.whole)
            change(results)
            self.refused(json.dumps(results), 'damaged')

        for member in ('machine', 'versions', 'input', 'mode', 'started', 'program'):
            damaged(lambda results, member=member: results.pop(member))
            damaged(lambda results, member=member: results.update({member: 7}))
        for member in ('part', 'name', 'unit', 'what', 'cells'):
            damaged(lambda results, member=member: results['rows'][3].pop(member))
            damaged(lambda results, member=member: results['rows'][3].update({member: []}))
        damaged(lambda results: results.update(rows=7))
        damaged(lambda results: results['rows'].append(None))
        for rounds in ([], [0], [-1.0], ['1'], [True], [None], 5, [1e300], [10 ** 400], [[]], [1] * 501):
            damaged(lambda results, rounds=rounds: results['rows'][0]['cells']['glibc'].update(rounds=rounds))
        damaged(lambda results: results['machine'].update(processors=-1))
        damaged(lambda results: results['input'][0].update(bytes=10 ** 4000))
        damaged(lambda results: results['versions'].update(tunables=1))
        damaged(lambda results: results['versions'].update(sources=[]))

    def test_control_characters(self):
        """They must not get to the terminal."""
        for member in ('name', 'part', 'unit'):
            results = json.loads(self.whole)
            results['rows'][0][member] = 'a\x1b[2Jb'
            self.refused(json.dumps(results), 'damaged')
        results = json.loads(self.whole)
        results['machine']['processor'] = 'a\x1b]0;b'
        self.refused(json.dumps(results), 'damaged')


class Compare(unittest.TestCase):
    def setUp(self):
        self.old, self.new = evaluated(), evaluated(started='2026-02-03T04:05:06+0000')

    def between(self):
        return compare.between(self.old, self.new)

    def line(self, name):
        found = [line for line in self.between()['lines'] if line[0] == name]
        self.assertEqual(len(found), 1, name)
        return found[0]

    def scale(self, results, factor, part='micro', workload='pair', configuration='basic'):
        cell = row(results, part=part, workload=workload)['cells'][configuration]
        cell['rounds'] = [value * factor for value in cell['rounds']]

    PAIR = 'micro: get + put, 64 B, opool (basic)'

    def test_nothing(self):
        compared = self.between()
        self.assertEqual({line[-1] for line in compared['lines']}, {'no change'})
        self.assertEqual(len(compared['lines']), sum(len(entry['cells']) for entry in self.old['rows']))
        self.assertRegex(compared['summary'], r'^\d+ no change$')
        self.assertIn('Compared with the run of 2026-01-02', compared['title'])

    def test_more_and_less(self):
        self.scale(self.new, 1.5)
        line = self.line(self.PAIR)
        self.assertEqual((line[1], line[2], line[4]), ('2.00 ns', '3.00 ns', 'more'))
        self.assertRegex(line[3], r'^1\.50 \(1\.4\d to 1\.5\d\)$')
        self.scale(self.new, 0.5)
        self.assertEqual(self.line(self.PAIR)[4], 'less')
        self.assertIn('1 less', self.between()['summary'])

    def test_noise(self):
        """Three percent where rounds differ by ten are no change, where they differ by one they are."""
        cells = [row(results, part='micro', workload='pair')['cells']['basic'] for results in (self.old, self.new)]
        noise = [0.9, 1.1, 0.95, 1.05, 1.0, 0.92, 1.08]
        for cell, factor in zip(cells, (1, 1.03)):
            cell['rounds'] = [factor * value for value in noise]
        self.assertEqual(self.line(self.PAIR)[4], 'no change')
        for cell, factor in zip(cells, (1, 1.03)):
            cell['rounds'] = [factor * (1 + (value - 1) / 100) for value in noise]
        self.assertEqual(self.line(self.PAIR)[4], 'more')

    def test_new_and_gone(self):
        row(self.old, part='micro', workload='pair')['cells'].pop('basic')
        row(self.new, part='micro', workload='pair')['cells'].pop('tcmalloc')
        self.new['rows'] = [entry for entry in self.new['rows'] if entry['part'] != 'server']
        self.assertEqual(self.line(self.PAIR)[1:], ['', '', '', 'new'])
        self.assertEqual(self.line('micro: get + put, 64 B, tcmalloc')[-1], 'gone')
        self.assertEqual(self.line('server: hello, CPU a request, opool (pool)')[-1], 'gone')
        self.assertRegex(self.between()['summary'], r', 1 new, \d+ gone$')

    def test_other_unit(self):
        row(self.new, part='micro', workload='pair')['unit'] = 'us'
        self.assertEqual(self.line(self.PAIR), [self.PAIR, 'ns', 'us', '', 'other unit'])

    def test_one_round(self):
        line = self.line('burst: all go, after the silence, opool')
        self.assertEqual(line[3:], ['1.00 (one round)', 'no change'])

    def test_few_rounds(self):
        """What is no interval is not called one."""
        cell = row(self.new, part='micro', workload='pair')['cells']['basic']
        cell['rounds'] = cell['rounds'][:intervals.LEAST - 1]
        self.assertRegex(self.line(self.PAIR)[3], r'^1\.0\d \(0\.\d+ to 1\.\d+, range\)$')

    def test_other_machine(self):
        self.assertEqual(compare.differences(self.old, self.new), [])
        self.new['machine']['processor'] = 'Another'
        self.new['versions']['compiler'] = 'clang 19'
        self.new['versions']['sources'] = {}
        self.new['mode'] = 'full'
        text = compare.to_text(self.between())
        for line in ('other processor: A processor, 2 processors -> Another, 2 processors',
                     'other compiler: gcc 12 -> clang 19', 'other version of jemalloc: 5.3 -> none',
                     'other mode: short -> full'):
            self.assertIn(line + '\n', text)

    def test_parts_not_asked_for(self):
        """Their cells are not gone; those of a part that failed are."""
        self.new['rows'] = [entry for entry in self.new['rows'] if entry['part'] not in ('micro', 'server')]
        self.new['missing'] = {'micro': mode.NOT_ASKED, 'server': 'wrk is not installed'}
        text = compare.to_text(self.between())
        self.assertIn('not measured now: micro\n', text)
        self.assertNotIn('micro: ', text)
        self.assertRegex(text, r'(?m)^server: hello, CPU a request, glibc +gone$')

    def test_drift(self):
        """What moved all mallocs alike is said to be the machine's."""
        for entry in self.new['rows']:
            for cell in entry['cells'].values():
                cell['rounds'] = [1.3 * value for value in cell['rounds']]
        self.assertIn("ratios is 1.30", ' '.join(self.between()['notes']))


class Links(html.parser.HTMLParser):
    """Everything in a page that a browser would fetch or run."""

    FETCH = ('src', 'href', 'xlink:href', 'data', 'poster', 'action', 'srcset', 'background', 'formaction')

    def __init__(self):
        super().__init__()
        self.found, self.ids, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag in ('script', 'link', 'iframe', 'object', 'embed', 'base', 'img', 'image', 'foreignobject'):
            self.found.append(tag)
        for name, value in attrs:
            if name in self.FETCH and not (value or '').startswith('#') or name.startswith('on'):
                self.found.append(f'{tag} {name}={value}')
            if name == 'id':
                self.ids.append(value)
        if tag not in ('meta', 'br', 'hr'):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in ('meta', 'br', 'hr'):
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.found.append(f'/{tag} closes nothing')


@unittest.skipUnless(shutil.which('gnuplot'), 'no gnuplot')
class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.results = evaluated()
        other = evaluated(missing={'server, tcmalloc': '<script>alert(1)</script>'})
        other['machine']['processor'] = 'One "and" <another>'
        cls.page = page.to_html(other, compare.between(cls.results, other))

    def test_self_contained(self):
        links = Links()
        links.feed(self.page)
        self.assertEqual(links.found, [])
        self.assertEqual(links.open, [])
        self.assertNotRegex(self.page, r'@import|url\((?!#)|<\?xml|javascript:')
        self.assertEqual(set(re.findall(r'https?://[^"\s<>]+', self.page)),
                         {'http://www.w3.org/2000/svg', 'http://www.w3.org/1999/xlink'})  # names of XML, not addresses

    def test_ids_are_unique(self):
        links = Links()
        links.feed(self.page)
        self.assertGreater(len(links.ids), 20)
        self.assertEqual(len(links.ids), len(set(links.ids)))
        used = set(re.findall(r"""(?:href=["']|url\(["']?)#([^"')]+)""", self.page))
        self.assertGreater(len(used), 5)
        self.assertLessEqual(used, set(links.ids))

    def test_what_it_says(self):
        text = html.unescape(re.sub(r'<[^>]*>', '', self.page))
        for said in ('10x less CPU than glibc', 'kvm', 'gcc 12', 'jemalloc 5.3', '2026-01-02', 'trim_threshold',
                     'missing: server, tcmalloc: <script>', 'no change', 'other processor: A processor',
                     *(report.TITLES[part] for part in mode.PARTS)):
            self.assertIn(said, text)
        self.assertIn('&lt;script&gt;', self.page)

    def test_pictures(self):
        self.assertEqual(self.page.count('<svg'), 4 + 2 + 3 + 1 + 1)
        for name in plot.PICTURES:
            picture = plot.picture(self.results, name)
            xml.dom.minidom.parseString(picture)
            self.assertNotIn('<script', picture)
            self.assertNotRegex(picture, r'\t|[ \r]\n')  # they are files of this tree
        for label in ('glibc tuned', 'tcmalloc', 'opool'):
            self.assertIn(label, plot.picture(self.results, 'time'))
        cells = {'glibc': {'median': 4, 'min': 3, 'max': 6}, 'pooled': {'median': 2, 'min': 1, 'max': 2}}
        self.assertEqual(plot.relative(cells)['glibc'], {'median': 1, 'min': 0.75, 'max': 1.5})
        self.assertEqual(plot.relative(cells)['pooled'], {'median': 0.5, 'min': 0.25, 'max': 0.5})
        self.assertEqual(plot.picture(self.results, 'memory').count('resident MiB'), 2)

    def test_texts_are_inside(self):
        """A second line below an axis, where a margin for one was left."""
        for picture in (svg for part in plot.PANELS for svg in plot.of_part(self.results, part)):
            height = float(re.search(r'viewBox="0 0 \d+ (\d+)"', picture).group(1))
            places = [float(y) for y in re.findall(r'translate\([-\d.]+,([-\d.]+)\)', picture)]
            self.assertGreater(len(places), 10)
            self.assertLess(max(places), height - 5)

    def test_a_verdict_s_colour(self):
        """Green is no line that says "more", of whatever."""
        results = evaluated()
        for best, mark in (('less', 'less'), ('tie', 'less'), ('more', 'more')):
            entry = row(results, part='micro', workload='pair', bytes=256)
            against = entry['against'][entry['ours'][0]]
            against['glibc']['verdict'], against[entry['best_malloc']]['verdict'] = 'less', best
            self.assertNotEqual(entry['best_malloc'], 'glibc')
            self.assertIn(f'<tr class="{mark}"><td>micro: {entry["name"]}<', page.verdicts(results))

    def test_nothing_measured(self):
        empty = figures.evaluate(facts(), {})
        self.assertEqual([plot.picture(empty, name) for name in plot.PICTURES], [None] * 3)
        self.assertNotIn('<svg', page.to_html(empty))
        report.to_text(empty)

    def test_a_malloc_is_missing(self):
        samples = all_samples()
        for part in ('micro', 'decode', 'decoders', 'burst'):
            for ways in samples[part].values():
                ways.pop('tcmalloc')
        samples['server']['rss'].pop('tcmalloc')
        for ways in samples['server']['workloads'].values():
            ways.pop('tcmalloc', None)
        results = figures.evaluate(facts(), samples)
        self.assertNotIn('tcmalloc', page.to_html(results).replace('mimalloc and tcmalloc', ''))
        self.assertEqual(row(results, part='micro', workload='pair')['best_malloc'], 'mimalloc')

    def test_of_one_workload_only(self):
        """A cell that is not there leaves a gap, no error."""
        results = evaluated()
        row(results, part='micro', workload='pair', bytes=256)['cells'].pop('jemalloc')
        self.assertIn('</svg>', plot.picture(results, 'time'))
        lines = [line for line in plot.micro_panel(0, results, 256).splitlines() if line.startswith('"')]
        self.assertEqual({len(line.rpartition('"')[2].split()) for line in lines}, {3 * 7})

    def test_names_are_no_commands(self):
        with tempfile.TemporaryDirectory() as folder:
            trap = Path(folder) / 'trap'
            for name in (f"x'; system('touch {trap}') #", f'`touch {trap}`',
                         f'x\nEND_OF_DATA\nsystem("touch {trap}")\n'):
                results = evaluated()
                entry = row(results, part='server', workload='hello', figure='cpu_us')
                entry['workload'] = entry['name'] = name
                entry['cells'][name] = entry['cells']['pool']
                with contextlib.suppress(JobError):
                    plot.picture(results, 'time')
                self.assertFalse(trap.exists(), name)


def script(folder, name, text):
    path = Path(folder) / name
    path.write_text(textwrap.dedent(text), encoding='utf-8')
    path.chmod(0o755)
    return path


class Quiet(Progress):
    def __init__(self):
        super().__init__(1)

    def _show(self, text, end):
        pass


class Burst(unittest.TestCase):
    """What the program prints, as it is taken."""

    LINES = ['rss 0.2 1000', 'rss 101.0 30000', 'burst 1 100.0 130.0 25.5', 'rss 400.0 2800', 'rss 401.5 29000',
             'burst 2 400.0 430.0 40.0', 'rss 700.0 2900']

    def test_figures(self):
        got = burst.evaluate([line.split() for line in self.LINES])
        self.assertEqual({**got, 'samples': None},
                         {'samples': None, 'peak_kib': 30000, 'idle_kib': 2800, 'end_kib': 2900, 'back_ms': 270.0,
                          'first_cpu_ms': 25.5, 'second_cpu_ms': 40.0})
        self.assertEqual(got['samples'][1], [101.0, 30000])

    def test_thinned(self):
        """What is level needs few points, a rise begins where it began."""
        level = [[10.0 * i, 1000] for i in range(1, 30)]
        got = burst.thinned([[0.0, 1000], *level, [300.0, 5000], [310.0, 5010], [320.0, 5000]])
        self.assertEqual(got[-4:], [[250.0, 1000], [290.0, 1000], [300.0, 5000], [320.0, 5000]])
        self.assertEqual(len(got), 9)

    def test_lines_are_missing(self):
        for lines in ([], self.LINES[:5], [line for line in self.LINES if line.startswith('burst')]):
            with self.assertRaisesRegex(JobError, 'two bursts'):
                burst.evaluate([line.split() for line in lines])


class Programs(unittest.TestCase):
    """Fake programs in the place of those that measure."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.programs = measure.Programs(self.folder)

    def test_probe(self):
        """A malloc that did not take malloc's place is left out, and it is said why."""
        script(self.folder, 'micro-malloc', '''\
            #!/bin/sh
            echo "source /lib/${LD_PRELOAD:-libc.so.6}" | sed s/libtcmalloc.*/libc.so.6/
            ''')
        with mock.patch.dict(measure.MALLOCS, {'jemalloc': ('libc.so.6',), 'mimalloc': ('libm.so.6',)}):
            self.programs.probe()
        self.assertEqual(self.programs.mallocs, [name for name in MALLOCS if name != 'tcmalloc'])
        self.assertEqual(list(self.programs.missing), ['tcmalloc'])
        self.assertIn('libtcmalloc_minimal.so.4 is not installed', self.programs.missing['tcmalloc'])

    def test_tuned(self):
        script(self.folder, 'micro-malloc', '''\
            #!/bin/sh
            echo "source /lib/libc.so.6"
            echo "tunables ${GLIBC_TUNABLES:-none}"
            ''')
        with mock.patch.dict(os.environ, {'GLIBC_TUNABLES': 'glibc.malloc.arena_max=1'}):
            programs = measure.Programs(self.folder)
        self.assertEqual(programs.run('micro-malloc', malloc='glibc'), [['tunables', 'none']])
        self.assertEqual(programs.run('micro-malloc', malloc='glibc tuned'), [['tunables', measure.TUNABLES]])

    def test_in_turn(self):
        order = [1, 2, 3]
        self.assertEqual([measure.in_turn(order, i) for i in range(3)], [[1, 2, 3], [3, 2, 1], [1, 2, 3]])

    def serve(self, text, with_wrk=True):
        """What server.measure makes of a load.py."""
        (self.folder / 'main').mkdir(exist_ok=True)
        (self.folder / 'server').mkdir(exist_ok=True)
        script(self.folder / 'server', 'server', '#!/bin/sh\n')
        fake = script(self.folder, 'load.py', text)
        programs = measure.Programs(self.folder / 'main')
        with mock.patch.object(server, 'LOAD', fake), \
                mock.patch.object(server.shutil, 'which', lambda name: name if with_wrk else None):
            return server.measure(programs, self.folder, mode.QUICK, Quiet()), programs.missing

    def write(self, content):
        return f'''\
            import sys
            with open(sys.argv[sys.argv.index('--json') + 1], 'w') as file:
                file.write({content!r})
            '''

    def test_server(self):
        content = {**load(), 'missing': {'tcmalloc': 'not here'}}
        got, missing = self.serve(self.write(json.dumps(content)))
        self.assertEqual(got['workloads'], content['workloads'])
        self.assertEqual(got['rss'], {name: [samples] for name, samples in content['rss'].items()})
        self.assertEqual(missing, {'server, tcmalloc': 'not here'})

    def test_server_in_turns(self):
        """Several calls, each with another order and a burst of its own, are one measurement."""
        calls = []
        with mock.patch.object(server, 'call', lambda _p, _s, _m, number, _said: calls.append(number) or load()), \
                mock.patch.object(server, 'why_not', lambda _: None):
            got = server.measure(measure.Programs(self.folder), self.folder, mode.FULL, Quiet())
        self.assertEqual(calls, list(range(mode.FULL.server_calls)))
        self.assertEqual({len(runs) for ways in got['workloads'].values() for runs in ways.values()},
                         {ROUNDS * len(calls)})
        self.assertEqual({len(bursts) for bursts in got['rss'].values()}, {len(calls)})

    def test_server_fails_later(self):
        """What was measured before is kept, and it is said."""
        other = load()
        other['workloads']['echo'] = dict(other['workloads']['echo'])
        other['workloads']['echo'].pop('tcmalloc')
        for then, said in ((JobError('it broke'), 'it broke, in call 3 of 7'),
                           (other, 'not the same configurations.*call 3 of 7')):
            programs = measure.Programs(self.folder)
            with mock.patch.object(server, 'call', side_effect=[load(), load(), then]), \
                    mock.patch.object(server, 'why_not', lambda _: None):
                got = server.measure(programs, self.folder, mode.FULL, Quiet())
            self.assertEqual(len(got['workloads']['echo']['tcmalloc']), 2 * ROUNDS)
            self.assertRegex(programs.missing['server'], said)

    def test_full_is_seven_of_everything(self):
        full = mode.FULL
        self.assertGreaterEqual(min(full.least, full.burst_rounds, full.server_calls), 7)

    def test_default_has_intervals_in_five_minutes(self):
        """Of all but the server's burst; what one round takes over its time, at most some seconds a part, comes on top."""
        short = mode.SHORT
        self.assertGreaterEqual(min(short.least, short.burst_rounds, short.server_calls * short.server_rounds),
                                intervals.LEAST)
        self.assertLess(sum(short.seconds.values()) + burst.seconds(short, MALLOCS) + server.seconds(short), 305)

    def test_server_options(self):
        _, missing = self.serve('import sys; sys.stderr.write(" ".join(sys.argv[1:])); sys.exit(3)')
        self.assertRegex(missing['server'], r'load\.py failed \(3\): --server .*/server --rounds 1 --seconds 1 '
                                            r'--timeline 3 --turn 0 --json .*')

    def test_server_order(self):
        """Each call begins with another configuration."""
        with mock.patch.object(server, 'run') as run, mock.patch.object(server, 'read'):
            server.call(measure.Programs(self.folder), self.folder, mode.SHORT, 1, None)
        argv = run.call_args[0][0]
        self.assertEqual(argv[argv.index('--turn') + 1], str(mode.SHORT.server_rounds))

    def test_server_can_not_be_had(self):
        got, missing = self.serve('', with_wrk=False)
        self.assertEqual((got, missing), (None, {'server': 'wrk is not installed'}))
        programs = measure.Programs(self.folder / 'nowhere')
        self.assertIsNone(server.measure(programs, self.folder, mode.QUICK, Quiet()))
        self.assertIn('libhttp-parser-dev', programs.missing['server'])

    def test_server_fails(self):
        for text, said in (('import sys; sys.stderr.write("load: it hung\\n"); sys.exit(1)', r'\(1\): load: it hung'),
                           ('import os; os.kill(os.getpid(), 9)', r'\(-9\): no message'), ('', 'No such file')):
            got, missing = self.serve(text)
            self.assertIsNone(got)
            self.assertRegex(missing['server'], said)

    def test_server_writes_nonsense(self):
        def changed(change):
            content = load()
            change(content)
            return json.dumps(content)

        for content in ('', 'x', '[]', '{}', json.dumps(load())[:500],
                        changed(lambda c: c['workloads']['hello'].pop('pool')),
                        changed(lambda c: c['workloads']['hello']['glibc'].pop()),
                        changed(lambda c: c['workloads']['hello']['glibc'][0].pop('p99_us')),
                        changed(lambda c: c['workloads']['hello']['glibc'][0].update(cpu_us=0)),
                        changed(lambda c: c['workloads']['hello']['glibc'][0].update(rps='many')),
                        changed(lambda c: c['rss'].update(pool=[])),
                        changed(lambda c: c.update(workloads={}, rss={}))):
            got, missing = self.serve(self.write(content))
            self.assertIsNone(got, content[:80])
            self.assertIn('can not be used', missing['server'])

    def test_interrupted(self):
        """Nothing stays behind: load.py is told to stop, and it has been when the interruption goes on."""
        mark = self.folder / 'stopped'
        text = f'''\
            import signal, sys, time
            def stop(*_):
                open({str(mark)!r}, 'w').close()
                sys.exit(130)
            signal.signal(signal.SIGTERM, stop)
            sys.stderr.write('load: round 1 of 9\\n')
            sys.stderr.flush()
            time.sleep(60)
            '''
        def interrupt(_self, text, _seconds):
            if 'round 1 of 9' in text:
                raise KeyboardInterrupt

        with mock.patch.object(Quiet, 'finished', interrupt), self.assertRaises(KeyboardInterrupt):
            self.serve(text)
        self.assertTrue(mark.exists())

    def test_hangs_when_interrupted(self):
        """What does not stop is ended, and what it started too."""
        mark = self.folder / 'child'
        child = f'import time, os; open({str(mark)!r}, "w").write(str(os.getpid())); time.sleep(60)'
        text = f'''\
            import signal, subprocess, sys, time
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            child = subprocess.Popen([sys.executable, '-c', {child!r}])
            while not open({str(mark)!r}, 'a+').tell():
                time.sleep(0.01)
            sys.stderr.write('load: round 1 of 9\\n')
            sys.stderr.flush()
            time.sleep(60)
            '''
        def interrupt(*_):
            raise KeyboardInterrupt

        begin = time.monotonic()

        with mock.patch.object(Quiet, 'finished', interrupt), mock.patch.object(server, 'STOP_SECONDS', 0.2), \
                self.assertRaises(KeyboardInterrupt):
            self.serve(text)
        self.assertLess(time.monotonic() - begin, 30)  # the child sleeps longer
        state = Path('/proc') / mark.read_text(encoding='ascii') / 'stat'
        for _ in range(100):  # its new parent may not have waited for it yet
            if not state.exists() or state.read_text(encoding='ascii').rpartition(')')[2].split()[0] == 'Z':
                return
            time.sleep(0.05)
        self.fail('the child runs on')


class Job(unittest.TestCase):
    """Parts that fail."""

    @classmethod
    def setUpClass(cls):
        spec = importlib.util.spec_from_file_location('driver_main', MAIN / 'driver' / '__main__.py')
        cls.driver = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(cls.driver)

    def test_one_fails(self):
        """The others have their figures, and the report says what is missing."""
        def fails():
            raise JobError('out of luck')

        missing = {}
        got = self.driver.measure_parts(['decode', 'micro', 'burst'],
                                        {'decode': fails, 'micro': lambda: 5, 'burst': lambda: 6}, missing)
        self.assertEqual((got, missing), ({'micro': 5, 'burst': 6}, {'decode': 'failed: out of luck'}))

    def test_all_fail(self):
        with self.assertRaisesRegex(JobError, '^first$'):
            self.driver.measure_parts(['decode', 'micro'], {'decode': mock.Mock(side_effect=JobError('first')),
                                                            'micro': mock.Mock(side_effect=JobError('second'))}, {})

    def test_status(self):
        """1 when a part failed, and the files are written."""
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(self.driver, 'measure_all') as measured, contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()) as said, \
                mock.patch.object(sys, 'argv', ['run', '--output', folder, sys.executable]):
            measured.return_value = {**facts(), 'missing': {'burst': 'failed: out of luck'}}, {'cost': costs()}
            self.assertEqual(self.driver.job(self.driver.parse_arguments()), 1)
            self.assertEqual(said.getvalue(), 'run: burst failed: out of luck\n')
            self.assertEqual(sorted(os.listdir(folder)), ['results.html', 'results.json'])

    def test_no_room(self):
        with self.assertRaisesRegex(JobError, '/: no room for 1.0 MiB: No space left.*TMPDIR names another'):
            measure.write_scratch(Path('/dev/full'), bytes(1 << 20))
        self.assertTrue(Path('/dev/full').exists())


class Interrupted(unittest.TestCase):
    def setUp(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def test_not_lost(self):
        """One that comes while an object goes."""
        class Last:
            def __del__(self):
                signal.raise_signal(signal.SIGTERM)

        interrupts = Interrupts()
        interrupts.catch()
        with mock.patch.object(sys, 'unraisablehook'):
            del [Last()][0]
        with mock.patch('progress.interrupts', interrupts), contextlib.redirect_stderr(io.StringIO()), \
                self.assertRaises(KeyboardInterrupt):
            Progress(1).working('on')

    def test_held(self):
        """While a child comes into being, and not longer."""
        interrupts, went_on = Interrupts(), False
        interrupts.catch()
        with self.assertRaises(KeyboardInterrupt), interrupts:
            signal.raise_signal(signal.SIGTERM)
            went_on = True
        self.assertTrue(went_on)

    def test_ignored(self):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        Interrupts().catch()
        self.assertEqual(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)


class Arguments(unittest.TestCase):
    def run_driver(self, *arguments):
        return subprocess.run([sys.executable, '-B', str(MAIN / 'driver'), *arguments], capture_output=True, text=True,
                              check=False)

    def test_refused(self):
        for arguments, said in ((['--quick', '--full'], 'not allowed with'),
                                (['--only', 'micro,nonsense'], "'nonsense'"), (['--only', ''], 'no such part'),
                                (['--compare'], 'expected one argument'),
                                (['--compare', '/nowhere/old.json'], '/nowhere/old.json: No such file')):
            done = self.run_driver('--check-only', *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ''), arguments)
            self.assertIn(said, done.stderr)
            self.assertNotIn('Traceback', done.stderr)

    def test_help(self):
        done = self.run_driver('--help')
        self.assertEqual(done.returncode, 0)
        for option in ('--quick', '--full', '--only', '--compare', '--pictures', '--output'):
            self.assertIn(option, done.stdout)


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    stream = io.StringIO()
    tests = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    done = unittest.TextTestRunner(stream=stream).run(tests)
    failed = len(done.failures) + len(done.errors)
    if failed or done.skipped:
        sys.stdout.write(stream.getvalue())
        for test, why in done.skipped:
            print(f'skipped: {test}: {why}')
    print(f'{done.testsRun - failed - len(done.skipped)} passed, {failed} failed, {len(done.skipped)} skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
