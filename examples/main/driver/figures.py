# SPDX-License-Identifier: MIT
"""From raw samples to medians, ratios and the verdict on each figure of the design."""
import statistics

from measure import MALLOCS

WORKLOADS = {'pair': 'get + put', 'group32': '32 at a time', 'group256': '256 at a time', 'replace': 'replace in 4096',
             'handoff': 'hand over'}


def summary(runs):
    """runs: one a round. The range is of the rounds' medians."""
    by_round = [statistics.median(run['ns']) for run in runs]
    result = {'raw': [run['ns'] for run in runs], 'rounds': by_round, 'median': statistics.median(by_round),
              'min': min(by_round), 'max': max(by_round)}
    for name in ('wall_ns', 'gets', 'built', 'frames'):
        if name in runs[0]:
            result[name] = [run[name] for run in runs]
    return result


def verdict(ours, theirs):
    """A tie is called a tie: where the ranges overlap nobody is faster."""
    if ours['max'] < theirs['min']:
        return 'faster'
    return 'slower' if ours['min'] > theirs['max'] else 'tie'


def compare(ours, theirs):
    """Rounds are compared with each other: what slowed the machine in one of them slowed both."""
    ratios = [a / b for a, b in zip(ours['rounds'], theirs['rounds'])]
    return {'ratio': ours['median'] / theirs['median'], 'ratio_min': min(ratios), 'ratio_max': max(ratios),
            'verdict': verdict(ours, theirs)}


def evaluate_row(key, configurations):
    part, first, second = key
    cells = {name: summary(runs) for name, runs in configurations.items()}
    best = min((name for name in cells if name in MALLOCS), key=lambda name: cells[name]['median'])
    names = {'part': part, 'frame_bytes': first, 'threads': second} if part == 'decode' else \
        {'part': part, 'workload': first, 'bytes': second}
    return {**names, 'unit': 'ns of processor time a frame' if part == 'decode' else 'ns an operation',
            'cells': cells, 'best_malloc': best,
            'against_best': {name: compare(cell, cells[best]) for name, cell in cells.items() if name not in MALLOCS}}


def find(rows, **names):
    return next(row for row in rows if all(row.get(k) == v for k, v in names.items()))


def target(name, at_most, measured, unit='', low=None, high=None):
    return {'name': name, 'at_most': at_most, 'measured': measured, 'min': low, 'max': high, 'unit': unit,
            'result': 'met' if measured <= at_most else 'missed'}


def ratio_target(rows, workload, configuration, at_most):
    against = find(rows, part='micro', workload=workload, bytes=256)['against_best'][configuration]
    checks = {'basic': 'basic checks', 'unchecked': 'no checks'}[configuration]
    return target(f'{WORKLOADS[workload]}, 256 B, {checks} / best malloc', at_most, against['ratio'],
                  low=against['ratio_min'], high=against['ratio_max'])


def between_pools(rows):
    """Checks and counters: the same pool built in two ways."""
    cells = find(rows, part='micro', workload='pair', bytes=256)['cells']
    checks = compare(cells['basic'], cells['unchecked'])
    counted = [a - b for a, b in zip(cells['basic']['rounds'], cells['uncounted']['rounds'])]
    return [target('get + put, 256 B, basic checks / no checks', 1.20, checks['ratio'], low=checks['ratio_min'],
                   high=checks['ratio_max']),
            target('exact counters, a get + put', 0.2, statistics.median(counted), 'ns', min(counted), max(counted))]


def targets(rows, costs, architecture):
    kept = find(rows, part='decode', frame_bytes=4096, threads=1)['against_best']['keep']
    compiled = costs['compile']['definition']
    found = [ratio_target(rows, 'pair', 'basic', 0.65), ratio_target(rows, 'pair', 'unchecked', 0.55),
             ratio_target(rows, 'group256', 'basic', 0.70), ratio_target(rows, 'group256', 'unchecked', 0.60),
             ratio_target(rows, 'replace', 'basic', 0.65), ratio_target(rows, 'handoff', 'basic', 0.2),
             *between_pools(rows),
             target('zstd, 4 KiB frames, kept context / create and free', 0.15, kept['ratio'], low=kept['ratio_min'],
                    high=kept['ratio_max']),
             target('compiling one definition, gcc -O2', 10, compiled['median'], 'ms', compiled['min'],
                    compiled['max'])]
    if architecture == 'x86_64':
        found += [target(f'code of an inlined {name}', most, costs['code_bytes'][name], 'bytes')
                  for name, most in (('get', 96), ('put', 144))]
    return found


def evaluate(facts, samples, costs):
    rows = [evaluate_row(key, configurations) for key, configurations in samples.items()]
    return {'format': 1, **facts, 'rows': rows, 'costs': costs,
            'targets': targets(rows, costs, facts['machine']['architecture'])}
