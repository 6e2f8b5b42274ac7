# SPDX-License-Identifier: MIT
"""The results as JSON, and as tables to read."""
import json

from figures import WORKLOADS, find
from measure import FRAMES, MALLOCS


def rounded(value):
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return value


def to_json(results):
    return json.dumps(rounded(results), indent=1) + '\n'


def bytes_text(count):
    return f'{count >> 20} MiB' if count >= 1 << 20 else f'{count >> 10} KiB' if count >= 1 << 10 else f'{count} B'


def number(value):
    """Three digits that count; whole numbers as they are."""
    if isinstance(value, int):
        return str(value)
    return f'{value:.0f}' if abs(value) >= 100 else f'{value:.1f}' if abs(value) >= 10 else f'{value:.2f}'


def with_range(cell, scale=1.0):
    return f'{number(cell["median"] * scale)} ({number(cell["min"] * scale)}..{number(cell["max"] * scale)})'


def ratio_text(against):
    return f'{against["ratio"]:.2f} {against["verdict"]}'


def table(head, lines, widths):
    """The first column to the left, the others to the right."""
    text = ''
    for cells in [head, *lines]:
        row = [f'{cell:<{width}}' if i == 0 else f'{cell:>{width}}' for i, (cell, width) in enumerate(zip(cells, widths))]
        text += ' '.join(row).rstrip() + '\n'
    return text


def machine_text(results):
    on, versions = results['machine'], results['versions']
    kind = {'none': 'no virtual machine', 'unknown': 'perhaps a virtual machine'}.get(
        on['virtual_machine'], f'virtual machine ({on["virtual_machine"]})')
    total = sum(entry['bytes'] for entry in results['input'])
    text = f'opool {versions["opool"]}, main job{", quick" if results["quick"] else ""}, {results["started"]}, ' \
           f'{results["seconds"]:.0f} s\n' \
           f'machine: {on["processor"]}, {on["processors"]} processors, {kind}; {on["kernel"]}; {on["distribution"]}\n' \
           f'built with {versions["compiler"]}; libzstd {versions["libzstd"]}'
    for name, served in versions['sources'].items():
        text += f'; {name} {served["version"]}' if served['version'] else ''
    text += f'\ninput: {total / (1 << 20):.1f} MiB of {len(results["input"])} files\n'
    if on['load_at_start'] > 0.5 * on['processors']:
        text += f'The machine was busy when this began (load {on["load_at_start"]}): the figures are noisy.\n'
    return text


def decode_text(results):
    lines = []
    for row in (row for row in results['rows'] if row['part'] == 'decode'):
        cells, best = row['cells'], row['best_malloc']
        lines.append([bytes_text(row['frame_bytes']), str(row['threads']), with_range(cells['glibc'], 1e-3),
                      f'{best} {number(cells[best]["median"] * 1e-3)}', with_range(cells['initialise'], 1e-3),
                      with_range(cells['keep'], 1e-3), ratio_text(row['against_best']['keep'])])
    text = '\nDecoding real zstd frames: microseconds of processor time a frame, median (min..max) of ' \
        f'{len(results["rows"][0]["cells"]["keep"]["rounds"])} rounds;\nratio: kept and reset against create and free ' \
        'under the best malloc\n'
    return text + table(['frame', 'threads', 'create+free glibc', 'best malloc', 'slot initialised', 'kept and reset', 'ratio'],
                        lines, [8, 7, 22, 15, 22, 22, 12])


def cpuid_text(results):
    """Where the gain comes from, so that nobody expects it where it is not."""
    row = find(results['rows'], part='decode', frame_bytes=FRAMES[0], threads=1)
    saved = (row['cells'][row['best_malloc']]['median'] - row['cells']['keep']['median']) / 1000
    cpuid = results['versions']['cpuid_ns'] / 1000
    text = f'A kept context saves {saved:.1f} us a 4 KiB frame here.'
    if cpuid > 0:
        text += f' One CPUID instruction takes {cpuid:.2f} us here, and libzstd executes several for each\ncontext that it ' \
            'initialises.'
    return text + ' On a virtual machine they trap to the hypervisor and are most of what is saved; on bare\nmetal that part ' \
        'would be near zero. A frame also costs its decoding, which no pool makes cheaper: the larger, the more.\n'


def micro_text(results):
    lines = []
    for row in (row for row in results['rows'] if row['part'] == 'micro'):
        cells, against = row['cells'], row['against_best']
        lines.append([WORKLOADS[row['workload']], str(row['bytes']), *(number(cells[name]['median']) for name in MALLOCS),
                      with_range(cells['basic']), ratio_text(against['basic']), number(cells['unchecked']['median']),
                      ratio_text(against['unchecked'])])
    text = '\nmalloc and free against get and put: nanoseconds a pair, median of ' \
        f'{len(results["rows"][-1]["cells"]["basic"]["rounds"])} rounds; ratio to the best malloc of the row;\n' \
        'tie: the ranges overlap\n'
    return text + table(['workload', 'bytes', *MALLOCS, 'opool', 'ratio', 'unchecked', 'ratio'], lines,
                        [15, 5, 8, 8, 8, 8, 20, 12, 9, 12])


def cost_text(results):
    alone, used = (results['costs']['compile'][name] for name in ('definition', 'used'))
    code = results['costs']['code_bytes']
    return f'\nWhat a pool costs a program: gcc -O2 takes {with_range(alone)} ms for a definition, {with_range(used)} ms for one ' \
           f'that is used;\nan inlined get without callbacks is {code["get"]} bytes of code, a put {code["put"]}\n'


def targets_text(results):
    lines = []
    for entry in results['targets']:
        unit = f' {entry["unit"]}' if entry['unit'] else ''
        spread = '' if entry['min'] is None else f'{number(entry["min"])}..{number(entry["max"])}'
        lines.append([entry['name'], number(entry['at_most']) + unit, number(entry['measured']) + unit, spread, entry['result']])
    met = sum(entry['result'] == 'met' for entry in results['targets'])
    return f'\nFigures to reach: {met} of {len(lines)} met\n' + \
        table(['figure', 'at most', 'measured', 'min..max', ''], lines, [56, 11, 11, 14, 7])


def to_text(results):
    return machine_text(results) + decode_text(results) + cpuid_text(results) + micro_text(results) + cost_text(results) + \
        targets_text(results)
