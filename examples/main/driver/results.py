# SPDX-License-Identifier: MIT
"""Reads results that an earlier run wrote. Whatever the file is, it is taken, or it is said what is wrong with it."""
import json
import re
import stat

from errors import UsageError
from figures import FORMAT, PROGRAM

MOST_BYTES = 64 << 20
MOST_ROUNDS = 500  # each number of them costs 10 ms and more
NAME = re.compile(r'[\w .,:+/%()|-]{1,80}')  # goes to terminals, pages and gnuplot
TEXT = re.compile(r'[^\x00-\x1f\x7f-\x9f]{0,500}')


def read_text(path):
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # a named pipe would hold us up
            raise UsageError(f'{path}: not a file')
        with open(path, 'rb') as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f'{path}: {error.strerror}') from error
    if len(data) > MOST_BYTES:
        raise UsageError(f'{path}: larger than any results: more than {MOST_BYTES >> 20} MiB')
    return data


def refuse_constant(name):
    raise ValueError(f'{name} is no figure')


def parse(path):
    try:
        return json.loads(read_text(path), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:  # what is cut off, and what is no JSON, no text
        raise UsageError(f'{path}: not whole, or not JSON: {str(error)[:100]}') from error


def need(true, what):
    if not true:
        raise ValueError(what)


def is_number(value):
    """Fits a float, and nothing that it is divided by or that divides it becomes infinite or 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 1e-9 <= value <= 1e18


def is_count(value):
    return type(value) is int and 0 < value < 1 << 62


def is_name(value):
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def is_text(value):
    return isinstance(value, str) and TEXT.fullmatch(value) is not None


def check_cell(cell):
    rounds = cell['rounds']
    need(isinstance(rounds, list) and 1 <= len(rounds) <= MOST_ROUNDS, 'rounds of a cell')
    need(all(map(is_number, rounds)), 'figures of a cell')


def check_row(row):
    need(all(is_name(row[key]) for key in ('part', 'name', 'unit', 'what')), 'name of a row')
    need(isinstance(row['cells'], dict) and row['cells'] and all(map(is_name, row['cells'])), 'cells of a row')
    for cell in row['cells'].values():
        check_cell(cell)


def check_facts(results):
    machine, versions = results['machine'], results['versions']
    texts = ('processor', 'kernel', 'distribution', 'virtual_machine')
    need(all(is_text(machine[key]) for key in texts), 'the machine')
    need(is_count(machine['processors']), 'the number of processors')
    need(all(is_text(versions[key]) for key in ('opool', 'compiler', 'libzstd', 'tunables')), 'the versions')
    sources = versions['sources'].items()
    need(all(is_name(name) and is_text(served['version']) for name, served in sources), 'the mallocs')
    need(all(is_text(entry['file']) and is_count(entry['bytes']) for entry in results['input']), 'the input')
    need(is_text(results['mode']) and is_text(results['started']), 'mode or date')


def read(path):
    """The results in a file, with everything that compare uses of them."""
    results = parse(path)
    if not isinstance(results, dict) or not isinstance(results.get('format'), int) or 'rows' not in results:
        raise UsageError(f'{path}: JSON, but no results of {PROGRAM}')
    if results['format'] != FORMAT:
        raise UsageError(f'{path}: results of schema {str(results["format"])[:20]}; this program compares those of '
                         f'schema {FORMAT}')
    try:
        need(results['program'] == PROGRAM, 'the program')
        check_facts(results)
        need(isinstance(results['rows'], list) and len(results['rows']) <= 1000, 'rows')
        for row in results['rows']:
            check_row(row)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(f'{path}: damaged, or not of {PROGRAM}: {error}') from error
    return results
