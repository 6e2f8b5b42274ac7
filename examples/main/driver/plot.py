# SPDX-License-Identifier: MIT
"""The results as pictures, drawn by gnuplot as SVG. A picture is one panel, or several below each other."""
import re
import subprocess

from burst import TRIM
from errors import JobError
from figures import find
from report import REQUESTS, columns, label, ordered, rows_of

COLOURS = {'glibc': '#8a8a8a', 'glibc tuned': '#c8c8c8', 'jemalloc': '#b5493a', 'mimalloc': '#c9a227',
           'tcmalloc': '#4c9a5a', TRIM: '#9a6fb0', 'opool': '#2f6db5', 'no checks': '#93bfe6', 'slot anew': '#e6a04d'}
OTHER_COLOUR = '#000000'
WIDTH, HEIGHT = 1000, 420  # of a panel

PANEL = '''
reset
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set key outside right center vertical
set title {title}
set ylabel {ylabel}
'''
BARS = '''
set style data histogram
set style histogram errorbars gap 1 lw 1
set style fill solid 0.9 border -1
set bars 0.3
set xtics scale 0
'''
LOG = '''
set logscale y
set format y '%.10g'
set yrange [{low}:]
'''
LINES = '''
set xlabel 'seconds'
set autoscale xfix
set yrange [0:]
'''


def quoted(text):
    """As gnuplot takes it. Results may come from a file, and what they call things must not be read as commands."""
    return "'" + re.sub(r"[^\w .,:;+/%()|-]", ' ', str(text)) + "'"


def text_lines(texts):
    return '"' + '\\n'.join(quoted(text)[1:-1] for text in texts) + '"'


def block(name, lines):
    return f'${name} << END_OF_DATA\n' + '\n'.join(lines) + '\nEND_OF_DATA\n'


def colour(name):
    return COLOURS.get(label(name), COLOURS.get(name, OTHER_COLOUR))


def values(cell):
    return ' '.join(f'{cell[name]:.6g}' for name in ('median', 'min', 'max')) if cell else '- - -'


def bars(number, title, ylabel, groups, names, log=False):
    """groups: (lines of text, cells by configuration), a group of bars each; median, and the range of the rounds."""
    lines = [text_lines(text) + ' ' + ' '.join(values(cells.get(name)) for name in names) for text, cells in groups]
    plots = [f'{f"$bars{number}" if i == 0 else chr(39) * 2} using {2 + 3 * i}:{3 + 3 * i}:{4 + 3 * i}:xtic(1) '
             f'title {quoted(label(name))} lc rgb {quoted_colour(name)}' for i, name in enumerate(names)]
    least = min((cells[name]['min'] for _, cells in groups for name in names if name in cells), default=1)
    scale = LOG.format(low=f'{least / 2:.3g}') if log else 'set yrange [0:]\n'
    scale += f'set xrange [-0.6:{len(groups) - 0.4}]\n'
    # gnuplot makes room for one line of text below the axis, which cuts off a second one where no panel follows.
    scale += f'set bmargin {1.5 + 1.5 * max(len(text) for text, _ in groups)}\n'
    return PANEL.format(title=quoted(title), ylabel=quoted(ylabel)) + BARS + scale + \
        block(f'bars{number}', lines) + 'plot ' + ', '.join(plots) + '\n'


def quoted_colour(name):
    return f"'{colour(name)}'"


def lines_panel(number, title, ylabel, lines):
    """lines: points by configuration."""
    text, plots = PANEL.format(title=quoted(title), ylabel=quoted(ylabel)) + LINES, []
    for i, (name, points) in enumerate(lines.items()):
        text += block(f'lines{number}_{i}', [f'{x:.3f} {y:.3f}' for x, y in points])
        width = 3 if label(name) == 'opool' else 1.5
        plots.append(f'$lines{number}_{i} using 1:2 with lines lw {width} lc rgb {quoted_colour(name)} '
                     f'title {quoted(label(name))}')
    return text + 'plot ' + ', '.join(plots) + '\n'


def relative(cells):
    """To glibc, where the figures of a picture are far apart."""
    one = cells['glibc']['median']
    return {name: {key: cell[key] / one for key in ('median', 'min', 'max')} for name, cell in cells.items()}


# ---- the panels; None where nothing was measured


def micro_panel(number, results, size):
    rows = [row for row in rows_of(results, 'micro') if row['bytes'] == size]
    groups = [([row['name'].rpartition(',')[0]], row['cells']) for row in rows]
    return bars(number, f'A get and a put, a malloc and a free: nanoseconds for {size} bytes, median and range',
                'nanoseconds (log)', groups, columns(rows), log=True) if rows else None


def decode_panel(number, results):
    rows = [row for row in rows_of(results, 'decode') if row['threads'] == 1]
    groups = [([row['name'].partition(',')[0]], relative(row['cells'])) for row in rows]
    return bars(number, 'Decoding real zstd frames, one thread: processor time a frame, median and range',
                'ratio to glibc', groups, columns(rows)) if rows else None


def decoders_panel(number, results):
    rows = rows_of(results, 'decoders')
    groups = [(row['name'].split(', '), relative(row['cells'])) for row in rows]
    return bars(number, 'Contexts of decoders made and freed, or from a pool: processor time an item, median and range',
                'ratio to glibc', groups, columns(rows)) if rows else None


def request_panel(number, results):
    rows = [row for row in rows_of(results, 'server') if row['figure'] == 'cpu_us']
    return bars(number, 'HTTP server: processor time a request, median and range', 'microseconds',
                [(request_text(row['workload']), row['cells']) for row in rows], columns(rows)) if rows else None


def request_text(workload):
    return [workload, *([REQUESTS[workload]] if workload in REQUESTS else [])]


def latency_panel(number, results, workload):
    rows = [find(results['rows'], part='server', workload=workload, figure=figure)
            for figure in ('p50_us', 'p99_us', 'p999_us')]
    return bars(number, f'HTTP server, {", ".join(request_text(workload))}: latency, median and range of the rounds',
                'microseconds (log)', [([row['name'].rpartition(' ')[2]], row['cells']) for row in rows], columns(rows),
                log=True) if all(rows) else None


def memory_panel(number, results, part, stays):
    found = find(results['memory'], part=part, stays=stays)
    title = {('burst', 0): 'Four threads hold 100,000 objects of 256 bytes, give them back and sleep; twice',
             ('burst', 100): 'The same, and one object in a hundred stays',
             ('server', 0): 'HTTP server: quiet, a burst of 1,000 clients and 1,000 slow uploads, quiet'}[part, stays]
    if not found:
        return None
    return lines_panel(number, title, 'resident MiB', {name: found['lines'][name] for name in ordered(found['lines'])})


# Of the page: (function, arguments), in the order that a reader wants.
PANELS = {
    'server': [(memory_panel, 'server', 0), (request_panel,), (latency_panel, 'hello'), (latency_panel, 'echo')],
    'burst': [(memory_panel, 'burst', 0), (memory_panel, 'burst', 100)],
    'micro': [(micro_panel, 64), (micro_panel, 256), (micro_panel, 4096)],
    'decoders': [(decoders_panel,)],
    'decode': [(decode_panel,)]}
# Of --pictures: name of the file, and what is in it.
PICTURES = {
    'memory': [(memory_panel, 'server', 0), (memory_panel, 'burst', 0)],
    'time': [(request_panel,), (micro_panel, 256)],
    'decoders': [(decoders_panel,)]}


def draw(panels, name):
    """One SVG; `name` keeps its ids apart from those of other pictures on a page."""
    head = f"set terminal svg size {WIDTH},{HEIGHT * len(panels)} dynamic font 'sans-serif,13' noenhanced " \
        f"background 'white' name '{name}'\n"
    script = head + (f'set multiplot layout {len(panels)},1\n' if len(panels) > 1 else '') + ''.join(panels)
    try:
        done = subprocess.run(['gnuplot'], input=script, capture_output=True, text=True, check=False)
    except OSError as error:
        raise JobError(f'gnuplot: {error.strerror}') from error
    if done.returncode != 0 or '</svg>' not in done.stdout:
        raise JobError(f'gnuplot failed: {(done.stderr.strip().splitlines() or ["no message"])[-1]}')
    return ''.join(line.replace('\t', ' ').rstrip() + '\n' for line in done.stdout.splitlines())


def panels_of(results, wanted):
    found = [function(number, results, *arguments) for number, (function, *arguments) in enumerate(wanted)]
    return [panel for panel in found if panel]


def picture(results, name):
    """One of PICTURES, or None when nothing of it was measured."""
    panels = panels_of(results, PICTURES[name])
    return draw(panels, name) if panels else None


def of_part(results, part):
    """The SVGs of a part for the page."""
    return [draw([panel], f'{part}{number}') for number, panel in enumerate(panels_of(results, PANELS.get(part, [])))]
