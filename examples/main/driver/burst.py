# SPDX-License-Identifier: MIT
"""Resident memory over time: a burst, silence, and both again, under pools and mallocs."""
from errors import JobError
from measure import GLIBC, Samples, in_turn

TRIM = 'glibc, malloc_trim'
STAYS = (0, 100)  # each so manieth object stays; 0: none
THIN_MS = 50  # samples that say nothing new are thinned to one in so many milliseconds


def configurations(mallocs):
    """name: (method of the program, malloc)"""
    found = {name: ('malloc', name) for name in mallocs}
    return {**found, TRIM: ('trim', GLIBC), 'opool': ('pool', GLIBC)}


def seconds(mode, mallocs):
    """Of all rounds."""
    return mode.burst_rounds * len(STAYS) * len(configurations(mallocs)) * (2 * mode.silence_ms / 1000 + 0.2)


def thinned(samples):
    """Each change with the sample before it: a line drawn through what is left rises where it rose."""
    kept = samples[:1]
    for (at, kib), (_, following) in zip(samples[1:-1], samples[2:]):
        if at - kept[-1][0] >= THIN_MS or abs(kib - kept[-1][1]) >= 100 or abs(following - kib) >= 100:
            kept.append([at, kib])
    return kept + samples[-1:]


def evaluate(lines):
    samples = [[float(words[1]), int(words[2])] for words in lines if words[0] == 'rss']
    bursts = [[float(word) for word in words[2:]] for words in lines if words[0] == 'burst']
    before_second = [kib for at, kib in samples if len(bursts) == 2 and at <= bursts[1][0]]
    if not before_second:
        raise JobError('burst: two bursts and resident sizes before the second were to be printed')
    (_, first_over, first_cpu), (_, _, second_cpu) = bursts
    peak, idle = max(kib for _, kib in samples), before_second[-1]
    back = next((at for at, kib in samples if at > first_over and kib <= idle + (peak - idle) // 20), first_over)
    return {'samples': thinned(samples), 'peak_kib': peak, 'idle_kib': idle, 'end_kib': samples[-1][1],
            'back_ms': back - first_over, 'first_cpu_ms': first_cpu, 'second_cpu_ms': second_cpu}


def measure(programs, mode, progress):
    """samples[stays][configuration] = what evaluate gives, a round."""
    samples = Samples()
    ways = configurations(programs.mallocs)
    share = seconds(mode, programs.mallocs) / mode.burst_rounds / len(STAYS)
    for number in range(mode.burst_rounds):
        for stays in STAYS:
            for name, (method, malloc) in in_turn(list(ways.items()), number):
                progress.working(f'burst: round {number + 1}, {name}')
                lines = programs.run('burst', method, mode.silence_ms, stays, malloc=malloc)
                samples.add(stays, name, evaluate(lines))
            progress.finished(f'burst: round {number + 1}, {"1 in 100 stays" if stays else "all go"}', share)
    return samples
