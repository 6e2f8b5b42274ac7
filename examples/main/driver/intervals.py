# SPDX-License-Identifier: MIT
"""Medians, and how sure they are: intervals by the bootstrap, and the words for a ratio."""
import functools
import math
import random
import statistics

SEED = 20061  # fixed: the same rounds give the same interval
RESAMPLES = 2000
LEVEL = 0.95
LEAST = 6  # rounds: of fewer, no interval for a median reaches 95 %, not even from the least to the largest
ALIKE = 0.02  # ratios that differ from 1 by less are a tie, however sure they are
NOISY = 0.4  # ties whose interval is wider say little
ALIKE_ONCE = 0.1  # the same where there was one round, which knows no noise

# Student's t at 97.5 %, by degrees of freedom.
STUDENT = {5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145,
           15: 2.131, 17: 2.110, 20: 2.086, 25: 2.060, 30: 2.042, 40: 2.021, 60: 2.000, 120: 1.980}


def tail(count):
    """The share of resamples to leave out on each side. A plain bootstrap of few values is too narrow (7 rounds: 87 %
    instead of 95); with the expanded percentiles of Hesterberg (2014) it is not."""
    student = next((t for freedom, t in sorted(STUDENT.items(), reverse=True) if freedom <= count - 1), STUDENT[5])
    return statistics.NormalDist().cdf(-student * math.sqrt(count / (count - 1)))


@functools.lru_cache(maxsize=None)
def median_ranks(count, seed=SEED):
    """For each resample of `count` values which of the sorted ones are in its middle: the same for all values."""
    generator = random.Random(seed)
    picks = (sorted(generator.choices(range(count), k=count)) for _ in range(RESAMPLES))
    return [(pick[(count - 1) // 2], pick[count // 2]) for pick in picks]


def resampled_medians(values, seed=SEED):
    ordered = sorted(values)
    return [(ordered[low] + ordered[high]) / 2 for low, high in median_ranks(len(ordered), seed)]


def between(resampled, count):
    ordered = sorted(resampled)
    cut = int(tail(count) * len(ordered))
    return ordered[cut], ordered[-1 - cut]


def interval(median, resampled, least, most, count):
    """An estimate with its interval; `level` is None where `low` and `high` are only the range of a few rounds."""
    low, high = between(resampled(), count) if count >= LEAST else (least, most)
    result = {'ratio': median, 'low': low, 'high': high, 'n': count, 'level': LEVEL if count >= LEAST else None}
    return {**result, 'verdict': verdict(result)}


def paired(ours, theirs):
    """Ratio of two measurements that took turns: round by round, as what slowed a round slowed both."""
    ratios = [a / b for a, b in zip(ours, theirs)]
    return interval(statistics.median(ratios), lambda: resampled_medians(ratios), min(ratios), max(ratios), len(ratios))


def unpaired(new, old):
    """Ratio of two measurements that know nothing of each other: both are drawn anew."""
    def resampled():
        return [a / b for a, b in zip(resampled_medians(new), resampled_medians(old, SEED + 1))]

    return interval(statistics.median(new) / statistics.median(old), resampled, min(new) / max(old),
                    max(new) / min(old), min(len(new), len(old)))


def verdict(entry):
    alike = ALIKE if entry['n'] > 1 else ALIKE_ONCE
    if entry['low'] <= 1 <= entry['high'] or abs(entry['ratio'] - 1) < alike:
        return 'tie'
    return 'less' if entry['ratio'] < 1 else 'more'


def factor(value, beside=None):
    """Two digits that count, three of what is close to 1; `beside`: as of that value."""
    digits = 2 if (beside or value) < 1.195 else 1
    return f'{value:.{digits}f}' if value < 9.95 else f'{value:.0f}'


def times(entry):
    """How many times as much, or as little."""
    return 1 / entry['ratio'] if entry['verdict'] == 'less' else entry['ratio']


def bounds(entry):
    """(95 % CI 1.9 to 2.3), as factors in the direction of the verdict; a tie's as ratios."""
    ends = (entry['low'], entry['high'])
    if entry['verdict'] == 'tie':
        ends = [f'{end:.2f}' for end in ends]
    else:
        ends = sorted(1 / end for end in ends) if entry['verdict'] == 'less' else ends
        ends = [factor(end, times(entry)) for end in ends]
    if entry['n'] == 1:
        return '(one round)'
    kind = f'{100 * entry["level"]:.0f} % CI' if entry['level'] else f'{entry["n"]} rounds:'
    return f'({kind} {ends[0]} to {ends[1]})'


def short_words(entry, name):
    """The same beside a sentence that said what, and of how many rounds: '1.4x less than tcmalloc (1.3 to 1.5)'."""
    text = words(entry, '', name).replace('  ', ' ')
    for left_out in (f'{100 * LEVEL:.0f} % CI ', f'{entry["n"]} rounds: ', ' (one round)'):
        text = text.replace(left_out, '')
    return text


def words(entry, what, name):
    """'2.1x less CPU than glibc (95 % CI 1.9 to 2.3)', 'tie with glibc (95 % CI 0.97 to 1.02)'."""
    if entry['verdict'] == 'tie':
        noisy = entry['high'] - entry['low'] > NOISY
        return f'{"tie, or too noisy to tell," if noisy else "tie"} with {name} {bounds(entry)}'
    return f'{factor(times(entry))}x {entry["verdict"]} {what} than {name} {bounds(entry)}'
