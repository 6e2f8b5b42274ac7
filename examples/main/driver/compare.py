# SPDX-License-Identifier: MIT
"""What changed between two runs, a line a cell."""
import statistics

import intervals
from mode import NOT_ASKED
from report import label, number, table


def cells_of(results):
    """(part, row, configuration): (unit, rounds)"""
    return {(row['part'], row['name'], name): (row['unit'], cell['rounds'])
            for row in results['rows'] for name, cell in row['cells'].items()}


def facts(results):
    """What the figures depend on."""
    machine, versions = results['machine'], results['versions']
    found = {'processor': f'{machine["processor"]}, {machine["processors"]} processors', 'kernel': machine['kernel'],
             'distribution': machine['distribution'], 'virtual machine': machine['virtual_machine'],
             'compiler': versions['compiler'], 'opool': versions['opool'], 'libzstd': versions['libzstd'],
             'glibc tuned': versions['tunables'], 'mode': results['mode'],
             'input': f'{sum(entry["bytes"] for entry in results["input"])} bytes of {len(results["input"])} files'}
    return {**found, **{f'version of {name}': served['version'] for name, served in versions['sources'].items()
                        if name != 'opool'}}


def differences(old, new):
    """Lines: what is not the same, so that nobody takes another machine for a change of the code."""
    before, after = facts(old), facts(new)
    return [f'other {name}: {before.get(name, "none")} -> {after.get(name, "none")}'
            for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]


def change(old, new):
    """unit, rounds each. A cell that had another unit is another cell."""
    if old[0] != new[0]:
        return {'kind': 'unit', 'old': old[0], 'new': new[0]}
    entry = intervals.unpaired(new[1], old[1])
    return {'kind': 'no change' if entry['verdict'] == 'tie' else entry['verdict'], 'entry': entry, 'unit': new[0],
            'old': statistics.median(old[1]), 'new': statistics.median(new[1])}


def changes(old, new):
    """By (part, row, configuration), in the order of the new run, what is gone at the end."""
    before, after = cells_of(old), cells_of(new)
    found = {}
    for key in dict.fromkeys([*after, *before]):
        if key not in before or key not in after:
            found[key] = {'kind': 'new' if key in after else 'gone'}
        else:
            found[key] = change(before[key], after[key])
    return found


def cell_line(key, found):
    part, row, configuration = key
    name = f'{part}: {row}, {label(configuration)}'
    if label(configuration) != configuration:
        name += f' ({configuration})'
    if found['kind'] in ('new', 'gone'):
        return [name, '', '', '', found['kind']]
    if found['kind'] == 'unit':
        return [name, found['old'], found['new'], '', 'other unit']
    entry = found['entry']
    bounds = 'one round' if entry['n'] == 1 else f'{entry["low"]:.2f} to {entry["high"]:.2f}'
    spread = f'{entry["ratio"]:.2f} ({bounds}{"" if entry["level"] or entry["n"] == 1 else ", range"})'
    old, new = (f'{number(found[which])} {found["unit"]}' for which in ('old', 'new'))
    return [name, old, new, spread, found['kind']]


def summary(found):
    counts = {kind: sum(entry['kind'] == kind for entry in found.values())
              for kind in ('less', 'more', 'no change', 'new', 'gone', 'unit')}
    text = ', '.join(f'{count} {"other unit" if kind == "unit" else kind}' for kind, count in counts.items() if count)
    return text or 'no cells'


def drift(found):
    """What moved all mallocs alike is the machine: the middle of their ratios."""
    ratios = [entry['entry']['ratio'] for (_, _, configuration), entry in found.items()
              if 'entry' in entry and label(configuration) == configuration and configuration != 'opool']
    return statistics.median(ratios) if ratios else None


def left_out(old, new):
    """Parts that were not asked for now: their cells are not gone."""
    before, after = ({row['part'] for row in results['rows']} for results in (old, new))
    return sorted(part for part in before - after if new['missing'].get(part) == NOT_ASKED)


def between(old, new):
    parts = left_out(old, new)
    found = changes({**old, 'rows': [row for row in old['rows'] if row['part'] not in parts]}, new)
    middle = drift(found)
    notes = differences(old, new) + [f'not measured now: {part}' for part in parts]
    if middle is not None:
        notes.append('Two runs never meet the same machine. The middle of all mallocs\' ratios is '
                     f'{middle:.2f}: so much of a change is no change of opool.')
    return {'notes': notes, 'head': ['cell', 'old', 'new', 'ratio (95 % CI, or range)', ''],
            'lines': [cell_line(key, entry) for key, entry in found.items()], 'summary': summary(found),
            'title': f'Compared with the run of {old["started"]}'}


def to_text(compared):
    return f'\n{compared["title"]}: {compared["summary"]}\n' + ''.join(f'{line}\n' for line in compared['notes']) + \
        table(compared['head'], compared['lines'])
