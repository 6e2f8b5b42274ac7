#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Test of the main job: check.sh [PROGRAMS]. PROGRAMS is the folder of the built programs; without it examples/run
# builds them.
# Exit status 77 (skipped) when gnuplot or one of the mallocs to compare with is not installed.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
run=$here/../run
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
failures=0

programs=()
if [ $# -gt 0 ]; then
    programs=(--programs "$1")
    known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p)
    for library in libjemalloc libmimalloc libtcmalloc_minimal; do
        case $known in
        *"$library.so"*) ;;
        *) exit 77 ;;
        esac
    done
    command -v gnuplot >/dev/null || exit 77
fi

report() {
    if [ "$1" = 0 ]; then
        echo "ok: $2"
    else
        echo "FAILED: $2"
        failures=$((failures + 1))
    fi
}

# refused WHAT STATUS PATTERN ARGUMENT...: ends at once with this status and one line that matches.
refused() {
    local what=$1 status=$2 pattern=$3 got=0 lines
    shift 3
    "$run" --quick "${programs[@]}" "$@" >"$work/stdout" 2>"$work/stderr" || got=$?
    lines=$(wc -l <"$work/stderr")
    [ "$got" = "$status" ] && grep -q -- "$pattern" "$work/stderr" && [ "$lines" -le 4 ] && [ ! -s "$work/stdout" ]
    report $? "$what: status $got, $(tail -n 1 "$work/stderr")"
}

errors() {
    local output=$work/out
    refused 'file that is not there' 1 "$work/none" --output "$output" "$input" "$work/none"
    refused 'folder as a file' 1 "$work: " --output "$output" "$work"
    refused 'empty file' 1 'empty' --output "$output" /dev/null
    if [ "$(id -u)" != 0 ]; then
        cp "$input" "$work/locked" && chmod 000 "$work/locked"
        refused 'unreadable file' 1 "$work/locked: " --output "$output" "$work/locked"
    fi
    refused 'output folder that is not there' 1 'no such folder' --output "$work/none" "$input"
    refused 'file as output folder' 1 'not a folder' --output "$input" "$input"
    mkdir "$work/fixed" && chmod 555 "$work/fixed"
    local fixed=$work/fixed
    [ -w "$fixed" ] && fixed=/proc # nothing stops root but a file system that takes no files
    refused 'output folder that is read-only' 1 "$fixed: can not write here" --output "$fixed" "$input"
    refused 'unknown option' 2 'unrecognized' --output "$output" --nonsense
    [ -z "$(ls -A "$output")" ]
    report $? 'errors leave nothing in the output folder'
}

# The decoder on its own: a damaged frame is an error in each of the three ways, never a wrong output.
damage() {
    local decode=${programs[1]:-$here/../../build-examples/examples/main}/decode method status
    "$decode" pack "$input" 4096 "$work/frames" || report 1 'packing'
    printf '\377\377\377\377' | dd of="$work/frames" bs=1 seek=40 conv=notrunc status=none
    for method in create initialise keep; do
        status=0
        "$decode" run "$method" 1 "$input" 4096 "$work/frames" >"$work/stdout" 2>"$work/stderr" || status=$?
        [ "$status" = 1 ] && grep -q . "$work/stderr" && ! grep -q '^decode ' "$work/stdout"
        report $? "damaged frame, $method: $(tail -n 1 "$work/stderr")"
    done
    head -c 1000 "$input" >"$work/frames"
    status=0
    "$decode" run keep 1 "$input" 4096 "$work/frames" >/dev/null 2>"$work/stderr" || status=$?
    [ "$status" = 1 ]
    report $? "not a zstd file: $(tail -n 1 "$work/stderr")"
}

results() {
    python3 - "$1" <<'END'
import json, sys, xml.dom.minidom
folder = sys.argv[1]
with open(f'{folder}/results.json', encoding='utf-8') as file:
    results = json.load(file)
rows = {(row['part'], row.get('workload', row.get('frame_bytes')), row.get('bytes', row.get('threads'))): row
        for row in results['rows']}
mallocs = {'glibc', 'jemalloc', 'mimalloc', 'tcmalloc'}
wanted = {('decode', frame, threads): mallocs | {'initialise', 'keep'}
          for frame in (4096, 65536, 1048576) for threads in (1, 2)}
wanted |= {('micro', workload, size): mallocs | {'basic', 'unchecked', 'uncounted'}
           for workload in ('pair', 'group32', 'group256', 'replace', 'handoff') for size in (64, 256, 4096)}
assert rows.keys() == wanted.keys(), rows.keys() ^ wanted.keys()
for key, cells in wanted.items():
    assert rows[key]['cells'].keys() == cells, key
    for cell in rows[key]['cells'].values():
        assert 0 < cell['min'] <= cell['median'] <= cell['max'] and cell['raw'], key
    if key[0] == 'decode':
        # Contexts are kept: as many as threads were there, not as many as frames. Few frames leave no room to tell.
        keep = rows[key]['cells']['keep']
        assert all(built <= gets for gets, built in zip(keep['gets'], keep['built'])), key
        assert min(keep['gets']) < 100 or max(keep['built']) <= 8, (key, keep['built'])
assert [row['format'] for row in results['decoders']['rows']][:4] in ([], ['zstd one-shot', 'zstd stream', 'zstd owned',
                                                                           'inflate'])
assert len(results['targets']) >= 10 and all(t['result'] in ('met', 'missed') for t in results['targets'])
assert all(results['machine'][name] for name in ('processor', 'kernel', 'virtual_machine'))
assert results['input'][0]['bytes'] > 0 and results['versions']['opool']
xml.dom.minidom.parse(f'{folder}/results.svg')
END
}

whole_job() {
    "$run" --quick "${programs[@]}" --output "$work/out" "$input" >"$work/stdout" 2>"$work/stderr"
    report $? "quick run: $(tail -n 1 "$work/stderr")"
    grep -q 'Figures to reach' "$work/stdout" && grep -q '^\[100 %\]' "$work/stderr"
    report $? 'table on standard output, progress on standard error'
    ! grep -q $'\r' "$work/stderr"
    report $? 'no rewritten lines when piped'
    results "$work/out"
    report $? 'results.json has every row, results.svg is XML'
    [ "$(cd "$work/out" && echo .[!.]* *)" = '.[!.]* results.json results.svg' ]
    report $? 'two files written'
}

# Interrupted, it says so, ends at once, and leaves nothing.
interrupt() {
    local process status=0
    mkdir "$work/stopped"
    "$run" --quick "${programs[@]}" --output "$work/stopped" "$input" >"$work/stdout" 2>"$work/stderr" &
    process=$!
    for _ in $(seq 300); do
        grep -q '^\[' "$work/stderr" && break
        sleep 0.1
    done
    kill -TERM "$process" # a background process of a script ignores SIGINT; both end the same way
    wait "$process" || status=$?
    [ "$status" = 130 ] && grep -q interrupted "$work/stderr" && ! grep -q Traceback "$work/stderr" &&
        [ -z "$(ls -A "$work/stopped")" ]
    report $? "interrupted: status $status"
}

# A reader that goes away early: no traceback, and the files are there.
closed_pipe() {
    local status
    mkdir "$work/piped"
    {
        "$run" --quick "${programs[@]}" --output "$work/piped" "$input" 2>"$work/stderr"
        echo $? >"$work/status"
    } | true
    status=$(cat "$work/status")
    [ "$status" = 141 ] && ! grep -q -e Traceback -e Exception "$work/stderr" && [ -s "$work/piped/results.json" ]
    report $? "closed pipe: status $status"
}

input=$work/input
head -c 100000 "$(readlink -f "$(command -v bash)")" >"$input"
mkdir "$work/out"
errors
whole_job
damage
interrupt
closed_pipe
[ "$failures" = 0 ]
