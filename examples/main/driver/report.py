# SPDX-License-Identifier: MIT
"""The results as JSON, and as tables to read."""
import json
import textwrap

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
    for first, *others in [head, *lines]:
        right = ''.join(f' {cell:>{width}}' for cell, width in zip(others, widths[1:]))
        text += f'{first:<{widths[0]}}{right}'.rstrip() + '\n'
    return text


def rows_of(results, part):
    return [row for row in results['rows'] if row['part'] == part]


def rounds_of(rows):
    return len(next(iter(rows[0]['cells'].values()))['rounds'])


def machine_text(results):
    on, versions = results['machine'], results['versions']
    kind = {'none': 'no virtual machine', 'unknown': 'perhaps a virtual machine'}.get(
        on['virtual_machine'], f'virtual machine ({on["virtual_machine"]})')
    sources = [f'{name} {served["version"]}' for name, served in versions['sources'].items() if served['version']]
    total = sum(entry['bytes'] for entry in results['input']) / (1 << 20)
    lines = [f'opool {versions["opool"]}, main job{", quick" if results["quick"] else ""}, {results["started"]}, '
             f'{results["seconds"]:.0f} s',
             f'machine: {on["processor"]}, {on["processors"]} processors, {kind}; {on["kernel"]}; {on["distribution"]}',
             '; '.join([f'built with {versions["compiler"]}', f'libzstd {versions["libzstd"]}', *sources]),
             f'input: {total:.2f} MiB of {len(results["input"])} files']
    if on['load_at_start'] > 0.5 * on['processors']:
        lines.append(f'The machine was busy when this began (load {on["load_at_start"]}): the figures are noisy.')
    return '\n'.join(lines) + '\n'


def decode_text(results):
    rows, lines = rows_of(results, 'decode'), []
    for row in rows:
        cells, best = row['cells'], row['best_malloc']
        lines.append([bytes_text(row['frame_bytes']), str(row['threads']), with_range(cells['glibc'], 1e-3),
                      f'{best} {number(cells[best]["median"] * 1e-3)}', with_range(cells['initialise'], 1e-3),
                      with_range(cells['keep'], 1e-3), ratio_text(row['against_best']['keep'])])
    head = ['frame', 'threads', 'create+free glibc', 'best malloc', 'slot initialised', 'kept and reset', 'ratio']
    return '\nDecoding real zstd frames: microseconds of processor time a frame, median (min..max) of ' \
        f'{rounds_of(rows)} rounds;\nratio: kept and reset against create and free under the best malloc\n' + \
        table(head, lines, [8, 7, 22, 15, 22, 22, 12])


def cpuid_text(results):
    """Where the gain comes from, so that nobody expects it where it is not."""
    row = find(results['rows'], part='decode', frame_bytes=FRAMES[0], threads=1)
    saved = (row['cells'][row['best_malloc']]['median'] - row['cells']['keep']['median']) / 1000
    cpuid = results['versions']['cpuid_ns'] / 1000
    text = f'A kept context saves {saved:.1f} us a 4 KiB frame here.'
    if cpuid > 0:
        text += f' One CPUID instruction takes {cpuid:.2f} us here, and libzstd executes several for each context ' \
            'that it initialises. On a virtual machine they trap to the hypervisor and are most of what is saved; on ' \
            'bare metal that part would be near zero.'
    return textwrap.fill(text + ' Decoding itself is in every column: no pool makes it cheaper.', 119) + '\n'


def micro_text(results):
    rows, lines = rows_of(results, 'micro'), []
    for row in rows:
        cells, against = row['cells'], row['against_best']
        lines.append([WORKLOADS[row['workload']], str(row['bytes']),
                      *(number(cells[name]['median']) for name in MALLOCS),
                      with_range(cells['basic']), ratio_text(against['basic']),
                      number(cells['unchecked']['median']), ratio_text(against['unchecked'])])
    return f'\nmalloc and free against get and put: nanoseconds for the two, median of {rounds_of(rows)} rounds;\n' \
        'ratio: to the best malloc of the row; tie: the ranges overlap\n' + \
        table(['workload', 'bytes', *MALLOCS, 'opool', 'ratio', 'unchecked', 'ratio'], lines,
              [15, 5, 8, 8, 8, 8, 20, 12, 9, 12])


def burst_text(results):
    burst, lines = results['burst'], []
    for row in burst['rows']:
        name = row['name'] + (f', 1 in {row["stays"]} stays' if row['stays'] else '')
        lines.append([name, *(f'{row[name] / 1024:.1f}' for name in ('peak_kib', 'idle_kib', 'end_kib')),
                      f'{row["back_ms"]:.0f}', f'{row["first_cpu_ms"]:.1f}', f'{row["second_cpu_ms"]:.1f}'])
    return '\nMemory over time: four threads hold 100,000 objects of 256 bytes, give them back and sleep ' \
        f'{burst["silence_ms"] / 1000:g} s, twice;\nresident MiB; ms until it is back to what it is before the second ' \
        f'burst; ms of processor time a burst; opool ticks each {burst["period_ms"]} ms\n' + \
        table(['', 'peak', 'after 1st', 'after 2nd', 'back in', '1st burst', '2nd burst'], lines,
              [36, 8, 10, 10, 8, 10, 10])


def decoders_text(results):
    rows, lines = results['decoders']['rows'], []
    if not rows:
        return '\nDecoders: not built, zlib is missing\n'
    for row in rows:
        ratio = row['ratio']
        verdict = 'faster' if ratio['max'] < 1 else 'slower' if ratio['min'] > 1 else 'tie'
        lines.append([row['format'], row['item'], with_range(row['created'], 1e-3), with_range(row['pooled'], 1e-3),
                      with_range(ratio), verdict])
    return '\nContexts of decoders, pooled against made and freed: microseconds of processor time an item, median ' \
        f'(min..max)\nof {results["decoders"]["rounds"]} rounds; ratio round by round; tie: not all rounds agree\n' + \
        table(['format', 'item', 'made and freed', 'pooled', 'ratio', ''], lines, [14, 19, 22, 22, 20, 7])


def cost_text(results):
    alone, used = (with_range(results['costs']['compile'][name]) for name in ('definition', 'used'))
    code = results['costs']['code_bytes']
    return f'\nWhat a pool costs a program: gcc -O2 takes {alone} ms for a definition,\n' \
           f'{used} ms for one with a create, get, put and destroy;\n' \
           f'an inlined get without callbacks is {code["get"]} bytes of code, a put {code["put"]}\n'


def target_line(entry):
    unit = f' {entry["unit"]}' if entry['unit'] else ''
    spread = '' if entry['min'] is None else f'{number(entry["min"])}..{number(entry["max"])}'
    return [entry['name'], number(entry['at_most']) + unit, number(entry['measured']) + unit, spread, entry['result']]


def targets_text(results):
    lines = [target_line(entry) for entry in results['targets']]
    met = sum(entry['result'] == 'met' for entry in results['targets'])
    return f'\nFigures to reach: {met} of {len(lines)} met\n' + \
        table(['figure', 'at most', 'measured', 'min..max', ''], lines, [56, 11, 11, 14, 7])


def to_text(results):
    parts = (machine_text, decode_text, cpuid_text, micro_text, burst_text, decoders_text, cost_text, targets_text)
    return ''.join(part(results) for part in parts)
