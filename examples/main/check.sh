#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Test of the main job: check.sh [--server] [PROGRAMS]. PROGRAMS is the folder of the built programs; without it
# examples/run builds them. --server: also the server under load, 40 s.
# Exit status 77 (skipped) when gnuplot or one of the mallocs to compare with is not installed; with --server when wrk or
# the server is not there.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
run=$here/../run
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
parts=decode,micro,decoders,burst,cost

server=
[ "${1:-}" != --server ] || { server=yes && shift; }
programs=()
if [ $# -gt 0 ]; then
    programs=(--programs "$1")
    known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p)
    for library in libjemalloc libmimalloc libtcmalloc_minimal; do
        case $known in
        *"$library.so"*) ;;
        *) echo "skipped: no $library" && exit 77 ;;
        esac
    done
    command -v gnuplot >/dev/null || { echo 'skipped: no gnuplot' && exit 77; }
    if [ -n "$server" ] && { [ ! -x "$1/../server/server" ] || ! command -v wrk >/dev/null; }; then
        echo 'skipped: no wrk, or the server was not built: no http_parser' && exit 77
    fi
fi

report() {
    if [ "$1" = 0 ]; then
        echo "ok: $2"
        passed=$((passed + 1))
    else
        echo "FAILED: $2"
        failed=$((failed + 1))
    fi
}

skip() {
    echo "skipped: $1"
    skipped=$((skipped + 1))
}

# job OPTION...: quick, on the input
job() {
    "$run" --quick "${programs[@]}" "$@" "$input" >"$work/stdout" 2>"$work/stderr"
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
    mkfifo "$work/fifo"
    refused 'pipe as a file' 1 "$work/fifo: a pipe" --output "$output" "$work/fifo"
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
    refused 'picture folder that is not there' 1 'no such folder' --output "$output" --pictures "$work/none" "$input"
    refused 'unknown option' 2 'unrecognized' --output "$output" --nonsense
    refused 'unknown part' 2 "no such part: 'nonsense'" --output "$output" --only micro,nonsense
    refused 'two lengths' 2 'not allowed with' --output "$output" --full
    refused 'nothing to compare with' 2 "$work/none: No such file" --output "$output" --compare "$work/none" "$input"
    refused 'comparison with a foreign file' 2 "$input: not whole, or not JSON" --output "$output" --compare "$input"
    echo '{"format": 1, "rows": []}' >"$work/other.json"
    refused 'comparison with another schema' 2 'schema 1' --output "$output" --compare "$work/other.json" "$input"
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
    python3 - "$@" <<'END'
import json, sys
folder, parts = sys.argv[1], sys.argv[2].split(',')
with open(f'{folder}/results.json', encoding='utf-8') as file:
    results = json.load(file)
assert (results['format'], results['program'], results['mode']) == (2, 'opool examples/run', 'quick')
rows = {(row['part'], row.get('workload', row.get('frame_bytes', row.get('format', row.get('stays')))),
         row.get('bytes', row.get('threads', row.get('figure')))): row for row in results['rows']}
mallocs = {'glibc', 'glibc tuned', 'jemalloc', 'mimalloc', 'tcmalloc'}
wanted = {('decode', frame, threads): mallocs | {'initialise', 'keep'}
          for frame in (4096, 65536, 1048576) for threads in (1, 2)}
wanted |= {('micro', workload, size): mallocs | {'basic', 'unchecked', 'uncounted'}
           for workload in ('pair', 'group32', 'group256', 'replace', 'handoff') for size in (64, 256, 4096)}
wanted |= {('burst', stays, figure): mallocs | {'glibc, malloc_trim', 'opool'}
           for stays in (0, 100) for figure in ('peak_kib', 'idle_kib', 'second_cpu_ms')}
wanted |= {('server', workload, figure): mallocs | {'pool'} for workload in ('hello', 'echo')
           for figure in ('cpu_us', 'p50_us', 'p99_us', 'p999_us', 'rss')}
wanted |= {('server', 'burst', figure): mallocs | {'pool'} for figure in ('peak', 'end')}
if 'decoders' in parts and 'decoders' not in results['missing']:
    formats = [key[1] for key in rows if key[0] == 'decoders']
    assert formats[:4] == ['zstd one-shot', 'zstd stream', 'zstd owned', 'inflate'], formats
    wanted |= {key: mallocs | {'pooled'} for key in rows if key[0] == 'decoders'}
wanted = {key: cells for key, cells in wanted.items() if key[0] in parts}
assert rows.keys() == wanted.keys(), rows.keys() ^ wanted.keys()
for key, cells in wanted.items():
    assert rows[key]['cells'].keys() == cells, (key, rows[key]['cells'].keys() ^ cells)
    for cell in rows[key]['cells'].values():
        assert 0 < cell['min'] <= cell['median'] <= cell['max'] and cell['rounds'], key
    for ours in rows[key]['ours']:
        assert rows[key]['against'][ours].keys() == cells & (mallocs | {'glibc, malloc_trim'}), key
        for entry in rows[key]['against'][ours].values():
            assert entry['low'] <= entry['ratio'] <= entry['high'] and entry['verdict'] in ('less', 'more', 'tie'), key
            assert entry['n'] == len(rows[key]['cells']['glibc']['rounds']), key
    if key[0] == 'decode':
        # Contexts are kept: as many as threads were there, not as many as frames. Few frames leave no room to tell.
        keep = rows[key]['cells']['keep']
        assert all(built <= gets for gets, built in zip(keep['gets'], keep['built'])), key
        assert min(keep['gets']) < 100 or max(keep['built']) <= 8, (key, keep['built'])
assert len(results['memory']) == 2 * ('burst' in parts) + ('server' in parts)
# Of a burst: its peak and the ends of both silences, however busy the machine was.
least = {'burst': 3, 'server': 1}
assert all(len(points) >= least[lines['part']] for lines in results['memory'] for points in lines['lines'].values())
if {'micro', 'decode', 'cost'} <= set(parts):
    assert len(results['targets']) >= 10 and all(t['result'] in ('met', 'missed') for t in results['targets'])
assert all(results['machine'][name] for name in ('processor', 'kernel', 'virtual_machine'))
assert results['input'][0]['bytes'] > 0 and results['versions']['opool']
assert results['missing'].keys() >= {'decode', 'micro', 'decoders', 'burst', 'server', 'cost'} - set(parts)
END
}

# folder_holds FOLDER NAME...
folder_holds() {
    [ "$(cd "$1" && echo .[!.]* *)" = ".[!.]* ${*:2}" ]
}

# in_browser PAGE: a browser shows it without network, and finds all pictures in it.
in_browser() {
    local browser
    browser=$(command -v chromium || command -v google-chrome) || { skip 'page in a browser: no chromium' && return; }
    timeout 200 "$browser" --headless --no-sandbox --disable-gpu --host-resolver-rules='MAP * ~NOTFOUND' \
        --user-data-dir="$work/browser" --dump-dom "file://$1" >"$work/dom" 2>/dev/null
    [ "$(grep -c '<svg' "$work/dom")" = "$(grep -c '<svg' "$1")" ] && grep -q '</html>' "$work/dom"
    report $? 'page in a browser'
}

whole_job() {
    mkdir "$work/pictures"
    job --only "$parts" --output "$work/out" --pictures "$work/pictures"
    report $? "quick run: $(tail -n 1 "$work/stderr")"
    grep -q 'Figures to reach' "$work/stdout" && grep -q '^\[100 %\]' "$work/stderr"
    report $? 'table on standard output, progress on standard error'
    grep -Eq '^micro: 256 at a time, 256 B .*(than|with) glibc \(.*; n = [0-9]+$' "$work/stdout"
    report $? 'a verdict a line'
    ! grep -q $'\r' "$work/stderr"
    report $? 'no rewritten lines when piped'
    results "$work/out" "$parts"
    report $? 'results.json has every row and cell'
    folder_holds "$work/out" results.html results.json && folder_holds "$work/pictures" decoders.svg memory.svg time.svg
    report $? 'files written: page and JSON, three pictures'
    in_browser "$work/out/results.html"
}

# compared CONDITION-ON-STDOUT...: each is there
compared() {
    local what=$1 pattern
    shift
    for pattern; do
        grep -Eq -- "$pattern" "$work/stdout" || { report 1 "$what: no $pattern" && return; }
    done
    report 0 "$what"
}

# Against the run before: on the same machine, and with a cell, a unit, a machine and a time changed by hand.
comparison() {
    python3 - "$work/out/results.json" >"$work/old.json" <<'END'
import json, sys
with open(sys.argv[1], encoding='utf-8') as file:
    results = json.load(file)
micro = [row for row in results['rows'] if row['part'] == 'micro']
for cell in micro[0]['cells'].values():
    cell['rounds'] = [1e6 * value for value in cell['rounds']]
micro[2]['cells']['glibc']['rounds'] = [1e-6, 1e9]  # whatever comes now is no change
del micro[1]['cells']['tcmalloc']
results['machine']['processor'] = 'abacus'
json.dump(results, sys.stdout)
END
    job --only micro --output "$work/out" --compare "$work/old.json"
    report $? "compare: $(tail -n 1 "$work/stderr")"
    compared 'compare: what it says' '^Compared with the run of 20' '^other processor: abacus, .* -> ' \
        '^micro: get \+ put, 64 B, glibc .* 0\.00 \(.*\) +less$' '^micro: 32 at a time, 64 B, tcmalloc +new$' \
        '^not measured now: decode$' '^micro: 256 at a time, 64 B, glibc .* no change$'
    grep -q 'abacus' "$work/out/results.html"
    report $? 'compare: in the page'
}

# Without wrk, and without the right to install it: the rest runs.
without_extras() {
    local shim=$work/shim status=0
    [ ${#programs[@]} -gt 0 ] || { skip 'without wrk: only with programs that are built' && return; }
    mkdir "$shim"
    ln -s /usr/bin/* /bin/* /sbin/ldconfig "$shim" 2>/dev/null
    rm -f "$shim"/{wrk,apt-get,sudo}
    PATH=$shim job --only cost,server --output "$work/out"
    report $? "without wrk: $(tail -n 1 "$work/stderr")"
    grep -q '^run: goes without .*wrk' "$work/stderr" && grep -Eq '^missing: server: (wrk is not|the server was not)' "$work/stdout"
    report $? 'without wrk: said at the start and in the report'
    ln -s "$(command -v false)" "$shim/apt-get"
    [ "$(id -u)" = 0 ] || return
    PATH=$shim job --only cost --output "$work/out" && grep -q '^run: could not install wrk, goes without' "$work/stderr"
    report $? 'wrk can not be installed: goes without'
    rm "$shim/gnuplot" && ln -s "$(command -v false)" "$shim/gnuplot" && mkdir "$work/undrawn"
    PATH=$shim job --only decoders --output "$work/undrawn" || status=$?
    [ "$status" = 1 ] && grep -q '^run: gnuplot failed' "$work/stderr" && grep -q '^decoders: inflate' "$work/stdout" &&
        folder_holds "$work/undrawn" results.json
    report $? 'gnuplot fails: what was measured is not lost'
    rm "$shim/gnuplot" && status=0
    PATH=$shim job --only cost --output "$work/out" || status=$?
    [ "$status" = 2 ] && grep -q '^run: could not install gnuplot-nox' "$work/stderr"
    report $? 'gnuplot can not be installed: stops'
}

under_load() {
    job --only server --output "$work/out"
    report $? "server: $(tail -n 1 "$work/stderr")"
    results "$work/out" server
    report $? 'server: results.json has every row and cell'
    grep -Eq '^server: hello, CPU a request .*(than|with) glibc .*; n = 1$' "$work/stdout"
    report $? 'server: a verdict'
}

# runs_on: a process that was given a file of ours is there. One that was killed may take a moment to be gone.
runs_on() {
    for _ in $(seq 100); do
        grep -lsaF "$work/scratch" /proc/[0-9]*/cmdline >/dev/null || return 1
        sleep 0.1
    done
}

# interrupt PARTS: interrupted in the middle, it says so, ends at once, and leaves nothing: no file, no process.
interrupt() {
    local process status=0
    mkdir "$work/stopped" "$work/scratch"
    : >"$work/stderr" # whoever looks before the run has opened it sees nothing of the one before
    TMPDIR=$work/scratch "$run" --quick "${programs[@]}" --only "$1" --output "$work/stopped" "$input" >"$work/stdout" 2>"$work/stderr" &
    process=$!
    while ! grep -q '^\[' "$work/stderr" && kill -0 "$process" 2>/dev/null; do
        sleep 0.1
    done
    kill -TERM "$process" # a background process of a script ignores SIGINT; both end the same way
    wait "$process" || status=$?
    [ "$status" = 130 ] && grep -q interrupted "$work/stderr" && ! grep -q Traceback "$work/stderr" &&
        [ -z "$(find "$work/stopped" "$work/scratch" -mindepth 1)" ] && ! runs_on
    report $? "interrupted in $1: status $status, $(tail -n 1 "$work/stderr")"
    rm -rf "$work/stopped" "$work/scratch"
}

# A reader that goes away early: no traceback, and the files are there.
closed_pipe() {
    local status=0 both gone
    mkdir "$work/piped"
    mkfifo "$work/pipe"
    # shellcheck disable=SC2094 # nothing is read
    exec {both}<>"$work/pipe" {gone}>"$work/pipe" {both}>&- # the one reader that there was has left
    "$run" --quick "${programs[@]}" --only cost --output "$work/piped" "$input" 1>&"$gone" 2>"$work/stderr" || status=$?
    exec {gone}>&-
    [ "$status" = 141 ] && ! grep -q -e Traceback -e Exception "$work/stderr" && [ -s "$work/piped/results.json" ]
    report $? "closed pipe: status $status"
}

# Standard output that takes nothing: full, or closed from the start.
no_output() {
    local status=0
    mkdir "$work/unheard"
    "$run" --quick "${programs[@]}" --only cost --output "$work/unheard" "$input" >/dev/full 2>"$work/stderr" || status=$?
    [ "$status" = 1 ] && [ "$(tail -n 1 "$work/stderr")" = 'run: writing: No space left on device' ] &&
        folder_holds "$work/unheard" results.html results.json
    report $? "full device: status $status"
    rm "$work"/unheard/* && status=0
    "$run" --quick "${programs[@]}" --only cost --output "$work/unheard" "$input" >&- 2>"$work/stderr" || status=$?
    [ "$status" = 0 ] && ! grep -q Traceback "$work/stderr" && folder_holds "$work/unheard" results.html results.json
    report $? "standard output is closed: status $status"
    local odd=$work/$'odd \xff'
    mkdir "$odd" && status=0
    PYTHONIOENCODING=ascii "$run" --quick "${programs[@]}" --only cost --output "$odd" "$input" >"$work/stdout" 2>"$work/stderr" || status=$?
    [ "$status" = 0 ] && folder_holds "$odd" results.html results.json && grep -q '^written: .*odd' "$work/stdout"
    report $? "a folder whose name can not be shown: status $status, $(tail -n 1 "$work/stderr")"
}

input=$work/input
head -c 100000 "$(readlink -f "$(command -v bash)")" >"$input"
mkdir "$work/out"
if [ -n "$server" ]; then
    under_load
else
    errors
    whole_job
    comparison
    without_extras
    damage
    interrupt decode,micro
    interrupt cost
    closed_pipe
    no_output
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
