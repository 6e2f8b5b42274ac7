# SPDX-License-Identifier: MIT
"""The results as one HTML page: nothing is loaded from anywhere, pictures are inline SVG."""
import html
import re

import intervals
import plot
import report
from burst import TRIM
from measure import MALLOCS
from mode import PARTS

HEAD = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>opool: {title}</title>
<style>
:root {{ color-scheme: light; }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1160px; margin: 2em auto;
        padding: 0 1em; }}
h1 {{ font-size: 1.6em; }}
h2 {{ font-size: 1.2em; margin-top: 2.2em; border-bottom: 1px solid #ddd; }}
table {{ border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .15em .7em; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
.words td + td {{ text-align: left; white-space: normal; }}
.words {{ font-size: 14px; }}
.ratios {{ font-size: 12px; }}
.ratios th, .ratios td {{ padding: .15em .45em; }}
.scroll {{ overflow-x: auto; }}
.less {{ color: #17692f; }}
.more {{ color: #a3241b; }}
.tie, small {{ color: #666; }}
figure {{ margin: 1.5em 0; }}
svg {{ width: 100%; height: auto; }}
</style>
</head>
<body>
'''
HOW = '''<p>opool against glibc as it is and tuned, jemalloc, mimalloc and tcmalloc, all in turn, round after round,
forwards and backwards. A figure is the median of the rounds. A ratio is the median of the ratios round by round; its
interval is a bootstrap of the rounds (95 %, {resamples} resamples with a fixed seed, expanded percentiles); of fewer
than {least} rounds it is their range, and says so. It is called a tie when the interval covers 1, or the ratio differs
from 1 by less than {alike:.0f} % ({once:.0f} % where there was one round). n is the number of rounds.</p>
'''


def escape(value):
    return html.escape(str(value))


def html_table(head, lines, classes='', marks=None):
    """marks: a class for each line, or none."""
    def line_of(cells, tag, mark=''):
        return f'<tr{mark}>' + ''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells) + '</tr>\n'

    marks = [f' class="{mark}"' for mark in marks] if marks else [''] * len(lines)
    return f'<div class="scroll"><table class="{classes}">\n' + (line_of(head, 'th') if head else '') + \
        ''.join(line_of(line, 'td', mark) for line, mark in zip(lines, marks)) + '</table></div>\n'


def inline(svg):
    """Without what only a file needs; ids of other pictures on the page must be others."""
    body = svg[svg.index('<svg'):]
    name = re.search(r'<title>(\w+)</title>', body)
    prefix = name.group(1) if name else 'picture'
    body = re.sub(r"""\b(id=["']|href=["']#|url\(['"]?#)""", rf'\1{prefix}-', body)
    return f'<figure>{body}</figure>\n'


def machine(results):
    return '<ul>\n' + ''.join(f'<li>{escape(line)}</li>\n' for line in report.machine_lines(results)) + '</ul>\n'


def mark(row):
    """Of a verdict's line: what it says of glibc, unless the best malloc needs less."""
    against = row['against'][row['ours'][0]]
    return 'more' if against[row['best_malloc']]['verdict'] == 'more' else against['glibc']['verdict']


def verdicts(results):
    """Sentences as on the terminal."""
    lines = [[f'{row["part"]}: {row["name"]}', report.verdict(row)] for row in results['rows']]
    marks = [mark(row) for row in results['rows']]
    return '<h2>In a word</h2>\n<p>opool against glibc, and against the best malloc of the row. Green: less than glibc; ' \
        'red: more than glibc, or than the best; grey: a tie.</p>\n' + \
        html_table([], lines, 'words', marks) if lines else ''


def ratio_text(entry):
    spread = f' ({entry["low"]:.2f} to {entry["high"]:.2f})' if entry['n'] > 1 else ''
    return f'{entry["ratio"]:.2f}{spread}' + (' tie' if entry['verdict'] == 'tie' else '')


def ratios(rows):
    """opool to each malloc."""
    others = [name for name in (*MALLOCS, TRIM) if any(name in row['cells'] for row in rows)]
    lines = [[row['name'], *(ratio_text(row['against'][row['ours'][0]][other]) if other in row['cells'] else ''
                             for other in others), rows_n(row)] for row in rows]
    return '<p>Ratio of opool to each, and its interval; below 1 is less.</p>\n' + \
        html_table(['', *map(report.label, others), 'n'], lines, 'ratios')


def rows_n(row):
    return report.rounds_of(row)


def part(results, name):
    rows = report.rows_of(results, name)
    if not rows:
        return ''
    text = f'<h2>{escape(report.TITLES[name])}</h2>\n' + ''.join(map(inline, plot.of_part(results, name)))
    text += f'<p>Median of {escape(report.rounds_text(rows))}.</p>\n'
    text += html_table(*report.cells_of(rows)) + ratios(rows)
    note = report.note(results, name)
    return text + (f'<p>{escape(note)}</p>\n' if note else '')


def ending(results):
    cost, text = report.cost_text(results), ''
    if cost:
        text += f'<h2>{report.TITLES["cost"]}</h2>\n<p>{escape(cost)}</p>\n'
    if results['targets']:
        text += '<h2>Figures to reach</h2>\n' + html_table(*report.targets_of(results))
    return text


def compared_text(compared):
    marks = [line[-1] if line[-1] in ('less', 'more') else 'tie' for line in compared['lines']]
    return f'<h2>{escape(compared["title"])}</h2>\n<p>{escape(compared["summary"])}</p>\n' + \
        ''.join(f'<p>{escape(line)}</p>\n' for line in compared['notes']) + \
        html_table(compared['head'], compared['lines'], '', marks)


def to_html(results, compared=None):
    order = ['server', 'burst', *(name for name in PARTS if name not in ('server', 'burst', 'cost'))]
    title = f'measurements of {results["started"][:10]}'
    how = HOW.format(resamples=intervals.RESAMPLES, least=intervals.LEAST, alike=100 * intervals.ALIKE,
                     once=100 * intervals.ALIKE_ONCE)
    return HEAD.format(title=escape(title)) + f'<h1>opool: {escape(title)}</h1>\n' + machine(results) + how + \
        verdicts(results) + ''.join(part(results, name) for name in order) + ending(results) + \
        (compared_text(compared) if compared else '') + '</body>\n</html>\n'
