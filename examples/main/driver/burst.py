# SPDX-License-Identifier: MIT
"""Resident memory over time: a burst, silence, and both again, under pools and mallocs."""
from measure import GLIBC

# name: (method of the program, malloc)
CONFIGURATIONS = {'glibc': ('malloc', GLIBC), 'glibc, malloc_trim': ('trim', GLIBC), 'jemalloc': ('malloc', 'jemalloc'),
                  'mimalloc': ('malloc', 'mimalloc'), 'opool': ('pool', GLIBC)}
SILENCE_MS = {False: 2000, True: 500}
STAYS = (0, 100)  # each so manieth object stays; 0: none


def seconds(quick):
    return len(STAYS) * len(CONFIGURATIONS) * (2 * SILENCE_MS[quick] / 1000 + 0.5)


def evaluate(name, stays, lines):
    samples = [[float(words[1]), int(words[2])] for words in lines if words[0] == 'rss']
    bursts = [[float(word) for word in words[2:]] for words in lines if words[0] == 'burst']
    (_, first_over, first_cpu), (second, second_over, second_cpu) = bursts
    before_second = [kib for at, kib in samples if at < second]
    peak, idle = max(kib for _, kib in samples), before_second[-1]
    back = next((at for at, kib in samples if at > first_over and kib <= idle + (peak - idle) // 20), first_over)
    return {'name': name, 'stays': stays, 'samples': samples, 'bursts': bursts, 'start_kib': samples[0][1], 'peak_kib': peak,
            'idle_kib': idle, 'end_kib': samples[-1][1], 'back_ms': back - first_over, 'first_cpu_ms': first_cpu,
            'second_cpu_ms': second_cpu}


def measure(programs, quick, progress):
    rows = []
    for stays in STAYS:
        for name, (method, malloc) in CONFIGURATIONS.items():
            progress.working(f'burst: {name}')
            rows.append(evaluate(name, stays, programs.run('burst', method, SILENCE_MS[quick], stays, malloc=malloc)))
            progress.finished(f'burst: {name}', seconds(quick) / len(CONFIGURATIONS) / len(STAYS))
    return {'silence_ms': SILENCE_MS[quick], 'period_ms': SILENCE_MS[quick] // 10, 'rows': rows}
