# SPDX-License-Identifier: MIT
"""From raw samples to rows of cells, ratios with their intervals, and the verdict on each figure of the design.

A row is one workload: `cells` has a figure for each configuration, `ours` names those with pools, the usual one first,
`against` each of them to each other configuration, round by round.
"""
import statistics

import burst
import intervals
from measure import MALLOCS

FORMAT = 2
PROGRAM = 'opool examples/run'
WORKLOADS = {'pair': 'get + put', 'group32': '32 at a time', 'group256': '256 at a time', 'replace': 'replace in 4096',
             'handoff': 'hand over'}
OTHERS = (*MALLOCS, burst.TRIM)
# Of the server: what load.py measures, how it is called, its unit, how many of load.py's units that is, the noun.
SERVER = {'cpu_us': ('CPU a request', 'us', 1, 'CPU'), 'p50_us': ('latency p50', 'us', 1, 'latency'),
          'p99_us': ('latency p99', 'us', 1, 'latency'), 'p999_us': ('latency p99.9', 'us', 1, 'latency'),
          'rss': ('memory', 'MiB', 1 << 20, 'memory')}
BURST = {'peak_kib': ('peak', 'MiB', 1024, 'memory'), 'idle_kib': ('after the silence', 'MiB', 1024, 'memory'),
         'second_cpu_ms': ('the burst after it', 'ms', 1, 'CPU')}


def bytes_text(count):
    return f'{count >> 20} MiB' if count >= 1 << 20 else f'{count >> 10} KiB' if count >= 1 << 10 else f'{count} B'


def cell(rounds, **more):
    """One value a round."""
    return {'rounds': rounds, 'median': statistics.median(rounds), 'min': min(rounds), 'max': max(rounds), **more}


def summary(runs, scale):
    """runs: one a round, each of several repetitions in nanoseconds."""
    more = {name: [run[name] for run in runs] for name in ('gets', 'built', 'frames') if name in runs[0]}
    if 'wall_ns' in runs[0]:
        more['wall'] = [statistics.median(run['wall_ns']) / scale for run in runs]
    if 'pooled' in runs[0]:
        more['paired'] = [statistics.median(run['pooled']) / scale for run in runs]
    return cell([statistics.median(run['ns']) / scale for run in runs], **more)


def against(ours, other):
    """A pool that ran in the process of the other one is compared with it, not with the pool of another process."""
    return intervals.paired(other.get('paired', ours['rounds']), other['rounds'])


def row(part, name, unit, what, cells, ours, **keys):
    """what: the noun of 'less ... than'. Keys: by what the row is found."""
    others = [other for other in OTHERS if other in cells]
    best = min((other for other in others if other in MALLOCS), key=lambda other: cells[other]['median'])
    return {'part': part, 'name': name, **keys, 'unit': unit, 'what': what, 'cells': cells, 'ours': ours,
            'best_malloc': best,
            'against': {mine: {other: against(cells[mine], cells[other]) for other in others} for mine in ours}}


def decode_rows(samples):
    return [row('decode', f'frame of {bytes_text(frame)}, {threads} thread{"s" if threads > 1 else ""}', 'us', 'CPU',
                {name: summary(runs, 1000) for name, runs in ways.items()}, ['keep', 'initialise'], frame_bytes=frame,
                threads=threads)
            for (frame, threads), ways in samples.items()]


def micro_rows(samples):
    return [row('micro', f'{WORKLOADS[workload]}, {bytes_text(size)}', 'ns', 'time' if workload == 'handoff' else 'CPU',
                {name: summary(runs, 1) for name, runs in ways.items()}, ['basic', 'unchecked'], workload=workload,
                bytes=size)
            for (workload, size), ways in samples.items()]


def decoders_rows(samples):
    return [row('decoders', f'{kind}, {item}', 'us', 'CPU', {name: summary(runs, 1000) for name, runs in ways.items()},
                ['pooled'], format=kind)
            for (kind, item), ways in samples.items()]


def burst_rows(samples):
    return [row('burst', f'{"1 in 100 stays" if stays else "all go"}, {label}', unit, what,
                {name: cell([run[key] / scale for run in runs]) for name, runs in ways.items()}, ['opool'], stays=stays,
                figure=key)
            for stays, ways in samples.items() for key, (label, unit, scale, what) in BURST.items()]


def server_rows(load):
    """load: what load.py writes, but for a list of bursts of each configuration."""
    if not load:
        return []
    rows = [row('server', f'{workload}, {label}', unit, what,
                {name: cell([run[key] / scale for run in runs]) for name, runs in ways.items()}, ['pool'],
                workload=workload, figure=key)
            for workload, ways in load['workloads'].items() for key, (label, unit, scale, what) in SERVER.items()]
    ends = {'peak': lambda samples: max(size for _, size in samples), 'end': lambda samples: samples[-1][1]}
    for key, label in (('peak', 'peak of the burst'), ('end', 'after the burst')):
        cells = {name: cell([ends[key](samples) / (1 << 20) for samples in bursts])
                 for name, bursts in load['rss'].items()}
        rows.append(row('server', f'memory, {label}', 'MiB', 'memory', cells, ['pool'], workload='burst', figure=key))
    return rows


def memory(samples, load):
    """Resident MiB over seconds, for the pictures: of the first round."""
    found = []
    for stays, ways in samples.items():
        lines = {name: [[at / 1000, kib / 1024] for at, kib in runs[0]['samples']] for name, runs in ways.items()}
        found.append({'part': 'burst', 'stays': stays, 'lines': lines})
    if load:
        lines = {name: [[at, size / (1 << 20)] for at, size in bursts[0]] for name, bursts in load['rss'].items()}
        found.append({'part': 'server', 'stays': 0, 'lines': lines})
    return found


# ---- figures to reach


def find(rows, **names):
    return next((entry for entry in rows if all(entry.get(k) == v for k, v in names.items())), None)


def target(name, at_most, measured, unit='', low=None, high=None):
    return {'name': name, 'at_most': at_most, 'measured': measured, 'low': low, 'high': high, 'unit': unit,
            'result': 'met' if measured <= at_most else 'missed'}


def ratio_target(name, at_most, entry):
    return target(name, at_most, entry['ratio'], low=entry['low'], high=entry['high'])


def to_best(entry, configuration):
    return entry['against'][configuration][entry['best_malloc']]


def micro_targets(rows):
    checks = {'basic': 'basic checks', 'unchecked': 'no checks'}
    wanted = [('pair', 'basic', 0.65), ('pair', 'unchecked', 0.55), ('group256', 'basic', 0.70),
              ('group256', 'unchecked', 0.60), ('replace', 'basic', 0.65), ('handoff', 'basic', 0.2)]
    for workload, way, at_most in wanted:
        yield ratio_target(f'{WORKLOADS[workload]}, 256 B, {checks[way]} / best malloc', at_most,
                           to_best(find(rows, part='micro', workload=workload, bytes=256), way))
    cells = find(rows, part='micro', workload='pair', bytes=256)['cells']  # the same pool, built in other ways
    yield ratio_target('get + put, 256 B, basic checks / no checks', 1.20,
                       intervals.paired(cells['basic']['rounds'], cells['unchecked']['rounds']))
    counted = [a - b for a, b in zip(cells['basic']['rounds'], cells['uncounted']['rounds'])]
    yield target('exact counters, a get + put', 0.2, statistics.median(counted), 'ns', min(counted), max(counted))


def targets(rows, costs, architecture):
    """Of the parts that were measured."""
    found = list(micro_targets(rows)) if find(rows, part='micro') else []
    kept = find(rows, part='decode', frame_bytes=4096, threads=1)
    if kept:
        found.append(ratio_target('zstd, 4 KiB frames, kept context / create and free', 0.15, to_best(kept, 'keep')))
    if costs:
        compiled = costs['compile']['definition']
        found.append(target('compiling one definition, gcc -O2', 10, compiled['median'], 'ms', compiled['min'],
                            compiled['max']))
        if architecture == 'x86_64':
            found += [target(f'code of an inlined {name}', most, costs['code_bytes'][name], 'bytes')
                      for name, most in (('get', 96), ('put', 144))]
    return found


ROWS = {'decode': decode_rows, 'micro': micro_rows, 'decoders': decoders_rows, 'burst': burst_rows,
        'server': server_rows}


def evaluate(facts, samples):
    """samples: what each measured part gave."""
    rows = [entry for part, of_part in ROWS.items() if part in samples for entry in of_part(samples[part])]
    costs = samples.get('cost')
    return {'format': FORMAT, 'program': PROGRAM, **facts, 'rows': rows,
            'memory': memory(samples.get('burst', {}), samples.get('server')), 'costs': costs,
            'targets': targets(rows, costs, facts['machine']['architecture'])}
