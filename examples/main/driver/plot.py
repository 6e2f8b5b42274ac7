# SPDX-License-Identifier: MIT
"""The results as a picture, drawn by gnuplot: above what a frame costs, below pools against the best malloc."""
import subprocess

from errors import JobError
from figures import WORKLOADS
from report import bytes_text

HEAD = '''
set terminal svg size 1100,1350 dynamic font 'sans-serif,13' noenhanced background 'white'
set multiplot layout 3,1
set grid ytics lc rgb '#cccccc'
set border 3
set tics nomirror
set key top left
'''

DECODE = '''
set title 'Decoding real zstd frames, one thread: processor time a frame, median and range'
set ylabel 'microseconds (log)'
set logscale y
set style data histogram
set style histogram errorbars gap 1 lw 1
set style fill solid 0.8 border -1
plot [][1:] $decode using 2:3:4:xtic(1) title 'create and free, best malloc' lc rgb '#b0b0b0', \\
     '' using 5:6:7 title 'slot initialised each time' lc rgb '#e6a04d', \\
     '' using 8:9:10 title 'kept and reset' lc rgb '#3b7dbf'
unset logscale y
'''

MICRO = '''
set title 'opool against the best malloc of each row: ratio of times, median and range; below 1 is faster'
set ylabel 'ratio (log)'
set xtics rotate by -35
set key outside top center horizontal
set bmargin 9
set rmargin 10
set logscale y
set ytics (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
plot [-0.7:{last}] 1 notitle lc rgb '#b0b0b0' dt 2, \\
     $micro using ($0-0.12):2:3:4:xtic(1) with yerrorbars title 'basic checks' pt 7 ps 0.7 lw 1.5 lc rgb '#3b7dbf', \\
     '' using ($0+0.12):5:6:7 with yerrorbars title 'no checks' pt 5 ps 0.6 lw 1.5 lc rgb '#4c9a5a'
'''

BURST = '''
set title 'Resident memory: four threads hold 100,000 objects of 256 bytes, give them back and sleep, twice'
set ylabel 'MiB'
set xlabel 'seconds'
unset logscale y
set xtics autofreq norotate
set ytics autofreq
set key inside top center horizontal
set bmargin 4
plot {lines}
unset multiplot
'''

COLOURS = ('#999999', '#c9a227', '#b5493a', '#4c9a5a', '#3b7dbf')


def decode_line(row):
    cells = [row['cells'][name] for name in (row['best_malloc'], 'initialise', 'keep')]
    values = ' '.join(f'{cell[name] / 1000:.4f}' for cell in cells for name in ('median', 'min', 'max'))
    return f'"{bytes_text(row["frame_bytes"])}" {values}'


def micro_line(row):
    against = [row['against_best'][name] for name in ('basic', 'unchecked')]
    values = ' '.join(f'{entry[name]:.4f}' for entry in against for name in ('ratio', 'ratio_min', 'ratio_max'))
    return f'"{WORKLOADS[row["workload"]]}, {row["bytes"]} B" {values}'


def burst_block(number, row):
    return block(f'burst{number}', [f'{at / 1000:.3f} {kib / 1024:.2f}' for at, kib in row['samples']])


def burst_line(number, row):
    width = 3 if row['name'] == 'opool' else 1.5
    return f"$burst{number} using 1:2 with lines lw {width} lc rgb '{COLOURS[number]}' title '{row['name']}'"


def block(name, lines):
    return f'${name} << END\n' + '\n'.join(lines) + '\nEND\n'


def script(results):
    frames = [decode_line(row) for row in results['rows'] if row['part'] == 'decode' and row['threads'] == 1]
    workloads = [micro_line(row) for row in results['rows'] if row['part'] == 'micro']
    bursts = list(enumerate(row for row in results['burst']['rows'] if not row['stays']))
    memory = BURST.format(lines=', '.join(burst_line(number, row) for number, row in bursts))
    return ''.join(burst_block(number, row) for number, row in bursts) + block('decode', frames) + block('micro', workloads) + HEAD + DECODE + MICRO.format(last=len(workloads) - 0.3) + \
        memory


def to_svg(results):
    try:
        done = subprocess.run(['gnuplot'], input=script(results), capture_output=True, text=True, check=False)
    except OSError as error:
        raise JobError(f'gnuplot: {error.strerror}') from error
    if done.returncode != 0 or '</svg>' not in done.stdout:
        raise JobError(f'gnuplot failed: {(done.stderr.strip().splitlines() or ["no message"])[-1]}')
    return done.stdout
