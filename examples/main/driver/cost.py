# SPDX-License-Identifier: MIT
"""What a pool costs a program: time of the compiler for a definition, bytes of code for an inlined call."""
import contextlib
import os
import signal
import statistics
import subprocess

from errors import JobError
from interrupts import interrupts
from measure import write_scratch
from progress import rounds

FEW, MANY = 1, 25

DEFINITION = '''
struct type{n} {{ int id; unsigned char data[{bytes}]; }};
static int init{n}(struct type{n} *t, void *a) {{ (void)a; t->id = {n}; return 0; }}
static bool reset{n}(struct type{n} *t, void *a) {{ (void)a; t->data[0] = 0; return true; }}
OPOOL_DEFINE(pool{n}, struct type{n}, .init = init{n}, .reset = reset{n});
'''
USE = '''
int use{n}(void);
int use{n}(void)
{{
    struct pool{n} *pool;
    if (pool{n}_create(&pool, NULL) != 0)
        return -1;
    struct type{n} *t = pool{n}_get(pool);
    int id = t ? t->id : -1;
    pool{n}_put(pool, t);
    pool{n}_destroy(&pool);
    return id;
}}
'''


def source(count, used):
    text = '#include <opool.h>\n'
    for n in range(count):
        text += DEFINITION.format(n=n, bytes=n + 8) + (USE.format(n=n) if used else '')
    return text


def start(argv, scratch):
    """gcc has children, and files of its own: where we are interrupted nothing of both is to stay."""
    try:
        return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, start_new_session=True,
                                env={**os.environ, 'TMPDIR': str(scratch)})
    except OSError as error:
        raise JobError(f'gcc: {error.strerror}') from error


def compile_file(path, include, scratch):
    """Processor milliseconds that gcc took: other programs on the machine do not count. Gives scratch/NAME.o."""
    argv = ['gcc', '-std=c11', '-O2', '-c', f'-I{include}', str(path), '-o', str(scratch / f'{path.stem}.o')]
    process = None
    try:
        with interrupts:
            process = start(argv, scratch)
        message = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        if process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise JobError(f'gcc failed on {path.name}: {(message.strip().splitlines() or ["no message"])[0]}')
    return 1000 * (usage.ru_utime + usage.ru_stime)


def definitions(include, scratch, mode, progress):
    """Milliseconds a definition, alone and with a create, get, put and destroy: many less few, by their difference."""
    raw = {'definition': [], 'used': []}
    files = {}
    for name in raw:
        for count in (FEW, MANY):
            files[name, count] = scratch / f'{name}-{count}.c'
            write_scratch(files[name, count], source(count, name == 'used').encode())

    def one_round(number):
        progress.working(f'cost: round {number + 1}')
        for name, values in raw.items():
            few, many = (compile_file(files[name, count], include, scratch) for count in (FEW, MANY))
            values.append((many - few) / (MANY - FEW))

    rounds(mode.seconds['cost'], max(3, mode.least), 'cost: compiling', progress, one_round)
    return {name: {'unit': 'ms', 'raw': [round(v, 4) for v in values], 'median': round(statistics.median(values), 4),
                   'min': round(min(values), 4), 'max': round(max(values), 4)} for name, values in raw.items()}


def symbols(path):
    """What objdump -t prints of an object file."""
    try:
        done = subprocess.run(['objdump', '-t', str(path)], capture_output=True, text=True, check=False)
    except OSError as error:
        raise JobError(f'objdump: {error.strerror}') from error
    if done.returncode != 0:
        raise JobError(f'objdump failed on {path.name}: {(done.stderr.strip().splitlines() or ["no message"])[0]}')
    return done.stdout


def code_bytes(main, include, scratch):
    """Bytes of a function that does nothing but one inlined get, or put, with the parts gcc moved away (.cold)."""
    compile_file(main / 'inlined.c', include, scratch)
    listing = symbols(scratch / 'inlined.o')
    found = {'get': 0, 'put': 0}
    for line in listing.splitlines():
        words = line.split()  # address flags... section size name
        for name in found:
            if words and ' F ' in line and words[-1].split('.')[0] == f'inlined_{name}':
                found[name] += int(words[-2], 16)
    return found


def measure(main, include, scratch, mode, progress):
    code = code_bytes(main, include, scratch)
    return {'compile': definitions(include, scratch, mode, progress), 'code_bytes': code}
