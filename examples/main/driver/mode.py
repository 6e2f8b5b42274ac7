# SPDX-License-Identifier: MIT
"""How long a run takes, and how sure its figures are."""
from dataclasses import dataclass

PARTS = ('decode', 'micro', 'decoders', 'burst', 'server', 'cost')
NOT_ASKED = 'not asked for (--only)'


@dataclass(frozen=True)
class Mode:
    name: str
    seconds: dict  # of each part that goes on, round after round, until the next round would not fit
    least: int  # rounds of those parts, however long they take
    milliseconds: int  # of a measurement
    silence_ms: int  # after each burst
    burst_rounds: int
    server_calls: int  # of load.py: so many bursts
    server_rounds: int  # under load, of each call
    server_seconds: int  # of each run under load
    server_timeline: int  # seconds of its burst


QUICK = Mode('quick', {'decode': 3, 'micro': 5, 'decoders': 3, 'cost': 1}, 2, 3, 300, 1, 1, 1, 1, 3)
SHORT = Mode('short', {'decode': 20, 'micro': 40, 'decoders': 30, 'cost': 5}, 6, 20, 250, 6, 2, 3, 1, 4)
FULL = Mode('full', {'decode': 75, 'micro': 120, 'decoders': 90, 'cost': 8}, 7, 20, 2000, 7, 7, 1, 2, 6)
