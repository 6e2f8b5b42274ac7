# SPDX-License-Identifier: MIT
"""What it ran on."""
import os
import platform
import shutil
import subprocess
from pathlib import Path


def command(*argv):
    """First line of the output; empty when there is no such program or it has nothing to say."""
    if not shutil.which(argv[0]):
        return ''
    lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip().splitlines()
    return lines[0] if lines else ''


def package_of(path):
    """Debian's, or empty. It knows files by the names that they had before /lib became a link."""
    real = os.path.realpath(path)
    for name in dict.fromkeys([real, path, real.removeprefix('/usr')]):
        owner = command('dpkg-query', '-S', name).partition(': ')[0]
        if owner:
            return owner
    return ''


def cpuinfo(field):
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        return ''
    for line in lines:
        name, _, value = line.partition(':')
        if name.strip() == field:
            return value.strip()
    return ''


def virtual():
    """The kind of virtual machine, 'none', or 'unknown'."""
    kind = command('systemd-detect-virt', '--vm')
    if kind:
        return kind
    if 'hypervisor' in cpuinfo('flags').split():
        return 'yes, by the hypervisor flag'
    return 'none' if cpuinfo('flags') else 'unknown'


def distribution():
    try:
        return platform.freedesktop_os_release().get('PRETTY_NAME', '')
    except OSError:
        return ''


def describe():
    return {'processor': cpuinfo('model name') or platform.machine(), 'architecture': platform.machine(),
            'processors': len(os.sched_getaffinity(0)),
            'memory_bytes': os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'),
            'kernel': f'{platform.system()} {platform.release()}', 'distribution': distribution(),
            'virtual_machine': virtual(), 'load_at_start': round(os.getloadavg()[0], 2)}
