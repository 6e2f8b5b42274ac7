# SPDX-License-Identifier: MIT
"""The results as JSON, and as text to read: tables, and a verdict a line."""
import json
import textwrap

import intervals
from burst import TRIM
from figures import find
from measure import MALLOCS
from mode import PARTS

LABELS = {'basic': 'opool', 'unchecked': 'no checks', 'uncounted': 'uncounted', 'initialise': 'slot anew',
          'keep': 'opool', 'pooled': 'opool', 'pool': 'opool', TRIM: 'glibc, trim'}
TITLES = {
    'decode': 'Decoding real zstd frames: microseconds of processor time a frame',
    'micro': 'malloc and free against get and put: nanoseconds for the two (hand over: by the clock)',
    'decoders': 'Contexts of decoders, made and freed, or from a pool: microseconds of processor time an item',
    'burst': 'A burst: four threads hold 100,000 objects of 256 bytes, give them back and sleep',
    'server': 'An HTTP server under load',
    'cost': 'What a pool costs a program'}
NOTES = {
    'decode': 'slot anew: a context initialised for each frame in memory of a pool. opool: kept and reset.',
    'burst': 'glibc, trim: malloc_trim(0) after the burst. opool ticks ten times a silence.',
    'server': 'hello: POST and answer of 13 bytes; echo: of 16 to 64 KiB; 64 connections. memory: the most that was '
              'resident, under load and in the burst of 1,000 clients and 1,000 slow uploads; after it.'}
REQUESTS = {'hello': '13 bytes', 'echo': '16 to 64 KiB'}


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


def number(value):
    """Three digits that count; whole numbers as they are."""
    if isinstance(value, int):
        return str(value)
    return f'{value:.0f}' if abs(value) >= 100 else f'{value:.1f}' if abs(value) >= 10 else f'{value:.2f}'


def with_range(cell):
    return f'{number(cell["median"])} ({number(cell["min"])}..{number(cell["max"])})'


def table(head, lines):
    """The first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    text = ''
    for first, *others in [head, *lines]:
        right = ''.join(f'  {cell:>{width}}' for cell, width in zip(others, widths[1:]))
        text += f'{first:<{widths[0]}}{right}'.rstrip() + '\n'
    return text


def label(configuration):
    return LABELS.get(configuration, configuration)


def rows_of(results, part):
    return [row for row in results['rows'] if row['part'] == part]


def ordered(names):
    """Configurations, each once, mallocs first."""
    order = [*MALLOCS, TRIM]
    return sorted(dict.fromkeys(names), key=lambda name: order.index(name) if name in order else len(order))


def columns(rows):
    """All configurations of a part."""
    return ordered(name for row in rows for name in row['cells'] if name != 'uncounted')


def rounds_of(row):
    return len(next(iter(row['cells'].values()))['rounds'])


def rounds_text(rows):
    counts = sorted({rounds_of(row) for row in rows})
    return ' or '.join(map(str, counts)) + (' round' if counts == [1] else ' rounds')


def cells_of(rows):
    """Head and lines of a part's table: medians."""
    names = columns(rows)
    def median(row, name):
        return number(row['cells'][name]['median']) if name in row['cells'] else ''

    return ['', '', *map(label, names)], \
        [[row['name'], row['unit'], *(median(row, name) for name in names)] for row in rows]


def verdict(row):
    """Of the usual pool: against glibc, and against the best malloc, where that is another one."""
    of_ours, best = row['against'][row['ours'][0]], row['best_malloc']
    said = intervals.words(of_ours['glibc'], row['what'], 'glibc')
    if best != 'glibc':
        said += f', {intervals.short_words(of_ours[best], best + ", the best")}'
    return f'{said}; n = {of_ours[best]["n"]}'


def machine_lines(results):
    on, versions = results['machine'], results['versions']
    kind = {'none': 'no virtual machine', 'unknown': 'perhaps a virtual machine'}.get(
        on['virtual_machine'], f'virtual machine ({on["virtual_machine"]})')
    sources = [f'{name} {served["version"]}' for name, served in versions['sources'].items() if served['version']]
    total = sum(entry['bytes'] for entry in results['input']) / (1 << 20)
    lines = [f'opool {versions["opool"]}, main job, {results["mode"]}, {results["started"]}, '
             f'{results["seconds"]:.0f} s',
             f'machine: {on["processor"]}, {on["processors"]} processors, {kind}; {on["kernel"]}; {on["distribution"]}',
             '; '.join([f'built with {versions["compiler"]}', f'libzstd {versions["libzstd"]}', *sources]),
             f'glibc tuned: {versions["tunables"].replace("glibc.malloc.", "").replace(":", ", ")}',
             f'input: {total:.2f} MiB of {len(results["input"])} files']
    if on['load_at_start'] > 0.5 * on['processors']:
        lines.append(f'The machine was busy when this began (load {on["load_at_start"]}): the figures are noisy.')
    return lines + [f'missing: {name}: {why}' for name, why in results['missing'].items()]


def cpuid_text(results):
    """Where the gain comes from, so that nobody expects it where it is not."""
    row = find(results['rows'], part='decode', frame_bytes=4096, threads=1)
    if not row:
        return ''
    saved = row['cells'][row['best_malloc']]['median'] - row['cells']['keep']['median']
    cpuid = results['versions']['cpuid_ns'] / 1000
    text = f'A kept context saves {saved:.1f} us a 4 KiB frame here.'
    if cpuid > 0:
        text += f' One CPUID instruction takes {cpuid:.2f} us here, and libzstd executes several for each context ' \
            'that it initialises. On a virtual machine they trap to the hypervisor and are most of what is saved; on ' \
            'bare metal that part would be near zero.'
    return text + ' Decoding itself is in every column: no pool makes it cheaper.'


def note(results, part):
    return ' '.join(filter(None, [NOTES.get(part, ''), cpuid_text(results) if part == 'decode' else '']))


def part_text(results, part):
    rows = rows_of(results, part)
    if not rows:
        return ''
    text = f'\n{TITLES[part]}; median of {rounds_text(rows)}\n' + table(*cells_of(rows))
    if note(results, part):
        text += textwrap.fill(note(results, part), 119) + '\n'
    return text


def verdicts_text(results):
    lines = [[f'{row["part"]}: {row["name"]}', verdict(row)] for row in results['rows']]
    width = max((len(name) for name, _ in lines), default=0)
    return '\nopool, in a word a line: against glibc, and against the best malloc. n: rounds\n' + \
        ''.join(f'{name:<{width}}  {said}\n' for name, said in lines) if lines else ''


def cost_text(results):
    if not results['costs']:
        return ''
    alone, used = (with_range(results['costs']['compile'][name]) for name in ('definition', 'used'))
    code = results['costs']['code_bytes']
    return f'gcc -O2 takes {alone} ms for a definition, {used} ms for one with a create, get, put and destroy;\n' \
           f'an inlined get without callbacks is {code["get"]} bytes of code, a put {code["put"]}\n'


def target_line(entry):
    unit = f' {entry["unit"]}' if entry['unit'] else ''
    spread = '' if entry['low'] is None else f'{number(entry["low"])}..{number(entry["high"])}'
    return [entry['name'], number(entry['at_most']) + unit, number(entry['measured']) + unit, spread, entry['result']]


def targets_of(results):
    return ['figure', 'at most', 'measured', 'interval', ''], [target_line(entry) for entry in results['targets']]


def targets_text(results):
    if not results['targets']:
        return ''
    met = sum(entry['result'] == 'met' for entry in results['targets'])
    return f'\nFigures to reach: {met} of {len(results["targets"])} met\n' + table(*targets_of(results))


def to_text(results):
    cost = cost_text(results)
    return '\n'.join(machine_lines(results)) + '\n' + ''.join(part_text(results, part) for part in PARTS) + \
        (f'\n{TITLES["cost"]}: {cost}' if cost else '') + verdicts_text(results) + targets_text(results)
