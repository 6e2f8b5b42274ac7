#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Test of the parallel decompressor: check.sh UNPACK [DECODERS-BENCH]. The reference is what `zstd -d` and `gzip -d`
# make of the same files.
set -uo pipefail
export LC_ALL=C
unset OPOOL_CHECKS

unpack=$(readlink -f "$1")
bench=${2:+$(readlink -f "$2")}
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0
failed=0
skipped=0

report() {
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $2"
        [ ! -s stderr ] || sed 's/^/    /' stderr
    fi
}

skip() {
    skipped=$((skipped + 1))
    echo "skipped: $1"
}

# ends STATUS ARGUMENT...: runs unpack, its outputs in stdout and stderr
ends() {
    local wanted=$1 status=0
    shift
    "$unpack" "$@" >stdout 2>stderr || status=$?
    [ "$status" = "$wanted" ] || { echo "  status $status, not $wanted: unpack $*" && return 1; }
}

# No temporary name is left.
tidy() {
    ! find . -name '*.unpack-*' | grep -q .
}

# Real content: a program, as long on each machine, and text.
make_content() {
    local shell
    shell=$(readlink -f "$(command -v bash)")
    while cat "$shell"; do :; done 2>/dev/null | head -c 3000000 >program
    cat "${BASH_SOURCE[0]}" /etc/services /etc/passwd 2>/dev/null >text
    head -c 2 text >two
    : >nothing
}

frames() {
    split -b "$2" --filter='cat >piece; zstd -q -c piece; rm piece' "$1"
}

make_inputs() {
    mkdir in
    local file
    for file in program text two nothing; do
        zstd -q -o "in/$file.zst" "$file"
        zstd -q -19 --no-check -o "in/$file-19.zst" "$file"
        gzip -c "$file" >"in/$file.gz.gz"
        gzip -1 -c "$file" >"in/$file-1.gz"
    done
    frames program 40000 >in/frames.zst
    frames text 200 >in/small-frames.zst
    # Sizes that the header does not say: streams, though they are small.
    zstd -q -c <(cat text) >in/unsized.zst
    { cat in/text.zst && printf '\x50\x2a\x4d\x18\x05\0\0\0hello' && cat in/two.zst; } >in/skippable.zst
    # A raw block of 1,000 bytes, and two that repeat a byte 128 Ki times: with the input read to its end there is output
    # left that does not fit the buffer.
    { printf '\x28\xb5\x2f\xfd\0\x50\x40\x1f\0' && head -c 1000 program && printf '\x02\0\x10a\x03\0\x10b'; } >in/pending.zst
    zstd -q --long=24 -c < <(cat program) >in/window24.zst
    zstd -q --long=27 -c < <(cat text) >in/window27.zst
    cat in/text-1.gz in/program-1.gz in/nothing-1.gz in/two-1.gz >in/members.gz
    # 27 bytes each: the buffer ends behind the first byte of a member.
    printf abcdefg | gzip -nc >in/split.gz
    for _ in $(seq 14); do
        cat in/split.gz in/split.gz >doubled && mv doubled in/split.gz
    done
    { gzip -c text && head -c 700000 /dev/zero; } >in/padded.gz
    tar cf archive.tar text two && gzip -c archive.tar >in/archive.tgz && zstd -q -o in/archive2.tzst archive.tar
    local i
    for i in $(seq 60); do
        head -c $((i * 997)) program | zstd -q -c >"in/many$i.zst"
        head -c $((i * 1009)) program | gzip -c >"in/many-gz$i.gz"
    done
}

reference() {
    mkdir reference
    local file name
    for file in in/*; do
        name=${file#in/}
        case $name in
        *.tgz) gzip -dc "$file" >"reference/${name%.tgz}.tar" ;;
        *.tzst) zstd -dqc "$file" >"reference/${name%.tzst}.tar" ;;
        *.gz) gzip -dc "$file" >"reference/${name%.gz}" ;;
        *.zst) zstd -dqc "$file" >"reference/${name%.zst}" ;;
        esac
    done
}

# Each way to run gives what the reference tools give, byte for byte, name for name.
identical() {
    local way options
    for way in '-j 1' '-j 2' '-j 13' '-j 5 --memory=malloc' '--memory=pool'; do
        rm -rf out && mkdir out
        read -ra options <<<"$way"
        ends 0 "${options[@]}" -o out in/* && diff -r reference out >&2 && tidy && [ ! -s stderr ] && [ ! -s stdout ]
        report $? "identical to zstd -d and gzip -d: $way"
    done
    rm -rf out && mkdir out
    OPOOL_CHECKS=full ends 0 -j 3 -o out in/* && diff -r reference out >&2 && [ ! -s stderr ]
    report $? 'identical under full checks, which have nothing to say'
}

# One context a thread, however many files: and only as many as are used at once.
kept() {
    rm -rf out && mkdir out
    ends 0 -j 2 --stats -o out in/*
    local built
    built=$(awk '$1 == "inflater_pool" || $1 == "buffers_pool" { n++; if ($3 < 50) bad = 1 } $5 > 2 && $1 != "owned_pool" { bad = 1 }
        $7 > 0 && $1 != "owned_pool" { bad = 1 } END { print bad + 0 }' stdout)
    [ "$built" = 0 ] && grep -q '^one_shot_pool gets [0-9]*' stdout
    report $? "2 threads build at most 2 contexts of a kind: $(tr '\n' ';' <stdout)"
    awk '$1 == "one_shot_pool" && $3 >= 100 { ok = 1 } END { exit !ok }' stdout
    report $? 'small frames go through the one-shot pool'
    # program twice, unsized, pending, a skippable frame, and the 60 that came through a pipe; no small frame, wherever it lies.
    awk '$1 == "stream_pool" && $3 == 65 { ok = 1 } END { exit !ok }' stdout
    report $? "large frames and those of unknown size, no others, go through the stream pool: $(grep stream_pool stdout)"
    awk '$1 == "owned_pool" && $3 == 2 && $9 == 1 { ok = 1 } END { exit !ok }' stdout
    report $? 'windows above 8 MiB go through the owning pool; one of 128 MiB is not kept'
}

metadata() {
    rm -rf out && mkdir out
    cp in/two.zst meta.zst && chmod 640 meta.zst && touch -d '2001-02-03 04:05:06' meta.zst
    ends 0 -o out meta.zst && [ "$(stat -c '%a %Y' out/meta)" = "$(stat -c '%a %Y' meta.zst)" ]
    report $? 'mode and time are those of the input'
    ends 0 meta.zst && cmp -s meta two && [ -e meta.zst ]
    report $? 'without -o: beside the input, which stays'
}

# refused WHAT PATTERN FILE: exit 1, one line that matches, nothing written; the files beside it are unpacked.
refused() {
    local what=$1 pattern=$2 file=$3 memory
    for memory in pool malloc; do
        rm -rf out && mkdir out
        ends 1 -j 1 --memory=$memory -o out in/many1.zst "$file" in/many2.zst in/many-gz3.gz && grep -q -- "$pattern" stderr &&
            [ "$(wc -l <stderr)" = 1 ] && [ "$(cd out && echo * .[!.]*)" = 'many-gz3 many1 many2 .[!.]*' ] &&
            cmp -s out/many2 reference/many2 && cmp -s out/many-gz3 reference/many-gz3
        report $? "$what ($memory): exit 1, a line, the others go on"
    done
}

flip() {
    cp "$1" "$2"
    printf '\xa5\x5a\xff\x00\xa5' | dd of="$2" bs=1 seek="$3" conv=notrunc status=none
}

damage() {
    mkdir bad bad/folder.zst
    flip in/program.zst bad/stream.zst 100000
    flip in/text.zst bad/small.zst 300
    flip in/frames.zst bad/frame.zst 300000
    flip in/window24.zst bad/large.zst 400000
    flip in/program.gz.gz bad/member.gz 50000
    head -c 200000 in/program.zst >bad/cut.zst
    head -c 300 in/text.zst >bad/cut-small.zst
    head -c 3 in/text.zst >bad/cut-magic.zst
    head -c 7 in/text.zst >bad/cut-header.zst
    head -c $(($(stat -c %s in/text.zst) - 1)) in/text.zst >bad/cut-checksum.zst
    head -c 100000 in/program.gz.gz >bad/cut.gz
    head -c 1 in/two.gz.gz >bad/cut-magic.gz
    head -c $(($(stat -c %s in/text-1.gz) - 1)) in/text-1.gz >bad/cut-trailer.gz
    { cat in/text-1.gz && head -c 12 in/two-1.gz; } >bad/cut-member.gz
    { cat in/text-1.gz && printf '\x1f'; } >bad/cut-next.gz
    { cat in/text-1.gz && printf X; } >bad/cut-byte.gz
    { cat in/text.zst && echo garbage; } >bad/trailing.zst
    : >bad/empty.zst
    : >bad/empty.gz
    cp text bad/plain.zst && cp text bad/plain.gz && cp in/text.zst bad/other.gz && cp in/text-1.gz bad/other.zst
    cp text bad/suffix.txt && cp in/two.zst bad/.zst
    mkfifo bad/pipe.zst
    zstd -q --ultra -22 --long=28 -c < <(cat program) >bad/window28.zst 2>/dev/null

    refused 'damaged stream' 'stream.zst: damaged' bad/stream.zst
    refused 'damaged small frame' 'small.zst: damaged' bad/small.zst
    refused 'damaged frame of many' 'frame.zst: damaged' bad/frame.zst
    refused 'damaged frame of a large window' 'large.zst: damaged' bad/large.zst
    refused 'damaged member' 'member.gz: damaged' bad/member.gz
    local cut
    for cut in bad/cut*; do
        refused "truncated: $cut" "$cut: unexpected end of file" "$cut"
    done
    refused 'garbage behind the last frame' 'what follows the last frame' bad/trailing.zst
    refused 'empty .zst' 'unexpected end of file' bad/empty.zst
    refused 'empty .gz' 'unexpected end of file' bad/empty.gz
    refused 'no zstd' 'not in zstd format' bad/plain.zst
    refused 'no gzip' 'not in gzip format' bad/plain.gz
    refused 'zstd named .gz' 'not in gzip format' bad/other.gz
    refused 'gzip named .zst' 'not in zstd format' bad/other.zst
    refused 'unknown suffix' 'unknown suffix' bad/suffix.txt
    refused 'window of 256 MiB' 'window of 256 MiB, the limit is 128 MiB' bad/window28.zst
    refused 'folder' 'is a directory' bad/folder.zst
    refused 'named pipe' 'not a regular file' bad/pipe.zst
    refused 'file that is not there' 'No such file' bad/none.zst
    refused 'name that is only a suffix' 'unknown suffix' '.zst'
    refused 'name that would turn the screen' 'bad/?\[2Jx.zst: No such file' $'bad/\e[2Jx.zst'
    if [ "$(id -u)" != 0 ]; then
        cp in/two.zst bad/locked.zst && chmod 000 bad/locked.zst
        refused 'unreadable file' 'Permission denied' bad/locked.zst
    elif command -v setpriv >/dev/null; then
        mkdir open && cp in/two.zst open/locked.zst && cp in/many1.zst open/ && chmod 000 open/locked.zst
        chmod 755 "$work" && chmod 777 open && cp "$unpack" open/unpack
        ldd "$unpack" | awk '/libopool/ { print $3 }' | xargs -r cp -t open
        local status=0
        (cd open && LD_LIBRARY_PATH=. setpriv --reuid 65534 --regid 65534 --clear-groups ./unpack locked.zst many1.zst) >stdout 2>stderr || status=$?
        [ "$status" = 1 ] && grep -q 'locked.zst: Permission denied' stderr && cmp -s open/many1 reference/many1
        report $? "unreadable file: status $status"
    else
        skip 'unreadable file: this is root, without setpriv'
    fi
    tidy
    report $? 'no temporary file is left of any'
}

# Files as they are, and with bytes changed, cut off, doubled and added, the same each time: what the reference tool
# refuses is refused, what it takes gives the same bytes. The first four stay, by which the tools tell older formats.
mutated() {
    mkdir mutants
    rm -rf out && mkdir out
    python3 - <<'END'
import random
generator = random.Random(1)
seeds = [(name, open(f'in/{name}', 'rb').read()[:60000])
         for name in ('many7.zst', 'text.zst', 'frames.zst', 'small-frames.zst', 'many-gz5.gz', 'members.gz')]
for number in range(240):
    name, data = generator.choice(seeds)
    data = bytearray(data)
    for _ in range(generator.choice((0, 1, 1, 2, 5))):
        at = generator.randrange(4, generator.choice((12, 40, len(data))))
        kind = generator.randrange(5)
        if kind == 0:
            data[at:at + 1] = bytes([data[at] ^ 1 << generator.randrange(8)] if at < len(data) else [])
        elif kind == 1:
            data[at:at + 1] = generator.randbytes(1)
        elif kind == 2:
            del data[max(at, 40):]
        elif kind == 3:
            data[at:at] = data[at:at + generator.randrange(30)]
        else:
            data += generator.randbytes(generator.randrange(6))
    with open(f'mutants/{number}.{name.rpartition(".")[2]}', 'wb') as file:
        file.write(data)
END
    "$unpack" -j 3 -o out mutants/* >stdout 2>stderr
    local file name accepted=0 differ=0 status
    for file in mutants/*; do
        name=${file#mutants/}
        status=0
        case $name in
        *.gz) gzip -dc "$file" >expected 2>/dev/null || status=$? ;; # 2: a warning
        *) zstd -dqc "$file" >expected 2>/dev/null || status=$? ;;
        esac
        if [ "$status" = 0 ] || [ "${file##*.}$status" = gz2 ]; then
            accepted=$((accepted + 1))
            cmp -s expected "out/${name%.*}" || differ=$((differ + 1))
        elif [ -e "out/${name%.*}" ]; then
            differ=$((differ + 1))
        fi
    done
    [ "$differ" = 0 ] && [ "$accepted" -gt 0 ] && tidy
    report $? "240 mutated files, as the reference tools have them: $accepted taken, $differ differ"
}

# All that was unpacked is what it must be.
as_reference() {
    local file
    for file in out/*; do
        cmp -s "$file" "reference/${file#out/}" || return 1
    done
}

# The context that met damaged input is torn down, each time, and no other is.
discarded() {
    local pool file counted
    for pool in one_shot_pool:small.zst stream_pool:stream.zst owned_pool:large.zst inflater_pool:member.gz \
        one_shot_pool:frame.zst stream_pool:cut.zst inflater_pool:cut.gz; do
        file=bad/${pool#*:}
        pool=${pool%:*}
        rm -rf out && mkdir out
        "$unpack" -j 1 --stats -o out "$file" in/*.zst in/*.gz "$file" >stdout 2>stderr
        counted=$(awk -v pool="$pool" '{ n = $7 } $1 == pool && n == 2 { right++ } $1 != pool && n != 0 { wrong++ }
            END { print right + 0, wrong + 0 }' stdout)
        [ "$counted" = '1 0' ] && rm -f out/archive* && as_reference
        report $? "$pool: its two contexts that met ${file} were discarded, the files after it are right: $(tr '\n' ';' <stdout)"
    done
}

warnings() {
    { cat in/text-1.gz && echo garbage; } >trailing.gz
    { cat in/text-1.gz && printf '\0X'; } >trailing1.gz
    { cat in/text-1.gz && head -c 300000 /dev/zero && echo garbage; } >trailing2.gz
    local file
    for file in trailing trailing1 trailing2; do
        rm -rf out && mkdir out
        ends 3 -o out "$file.gz" in/many1.zst && grep -q "$file.gz: unpacked; garbage" stderr && cmp -s out/$file text
        report $? "garbage behind the last member: exit 3, unpacked as gzip does ($file)"
        ends 1 -o out "$file.gz" bad/cut.zst -f
        report $? 'a file that was not unpacked weighs more than a warning'
    done
}

outputs() {
    rm -rf out && mkdir out
    echo mine >out/two
    ends 1 -o out in/two.zst in/many1.zst && grep -q 'in/two.zst: output exists: out/two' stderr && [ "$(cat out/two)" = mine ] &&
        cmp -s out/many1 reference/many1
    report $? 'output exists: it stays, exit 1'
    ends 0 -f -o out in/two.zst && cmp -s out/two two
    report $? 'output exists, -f: replaced'
    rm -rf out && mkdir -p out twin && cp in/many60.zst twin/many60.zst
    ends 1 -j 2 -o out in/many60.zst twin/many60.zst && [ "$(wc -l <stderr)" = 1 ] && grep -q 'output exists' stderr &&
        cmp -s out/many60 reference/many60
    report $? 'two inputs of one name: one of them, never both mixed'
    rm -rf out && mkdir -p out/two
    ends 1 -f -o out in/two.zst && grep -q 'renaming to out/two' stderr && tidy
    report $? 'a folder has the name of the output'
    ends 1 -o /proc in/two.zst && grep -q 'creating /proc/' stderr
    report $? 'folder that takes no files'
    rm -rf out && mkdir out
    local long
    long=$(printf 'n%.0s' $(seq 4200))
    ends 1 "$long.zst" && grep -q 'File name too long' stderr
    report $? 'name that is too long'
    long=$(printf 'n%.0s' $(seq 250))
    cp in/two.zst "$long.zst" && ends 0 -o out "$long.zst" && cmp -s "out/$long" two
    report $? 'name as long as names may be'
}

# 3 MB do not fit: an error, nothing is left, what fits is unpacked.
full_disk() {
    local status=0
    rm -rf out && mkdir out
    (ulimit -f 1000 && "$unpack" -j 2 -o out in/program.zst in/many1.zst in/program-1.gz >stdout 2>stderr) || status=$?
    [ "$status" = 1 ] && [ "$(grep -c 'writing: File too large' stderr)" = 2 ] && [ "$(ls -A out)" = many1 ]
    report $? "limit on file sizes: status $status"
    # One after the other: what two write at once leaves no room to a third.
    # shellcheck disable=SC2016 # expanded inside
    local inside='mount -t tmpfs -o size=1m none out || exit 77
        "$0" -j 1 -o out in/program.zst in/many1.zst in/program-1.gz >stdout 2>stderr; echo $? $(ls -A out) >inside'
    unshare -rm bash -c "$inside" "$unpack" 2>/dev/null || status=77
    if [ "$status" = 77 ]; then
        skip 'full file system: no right to mount one'
    else
        [ "$(cat inside)" = '1 many1' ] && [ "$(grep -c 'writing: No space left' stderr)" = 2 ]
        report $? "full file system: $(cat inside)"
    fi
    ends 0 --help
    "$unpack" --help >/dev/full 2>stderr
    [ $? = 1 ] && grep -q 'standard output: No space left' stderr
    report $? 'help to a full device'
    rm -rf out && mkdir out
    "$unpack" --stats -o out in/two.zst >/dev/full 2>stderr
    [ $? = 1 ] && grep -q 'standard output: No space left' stderr && cmp -s out/two two
    report $? 'figures to a full device: exit 1, the file is there'
}

# A window of 128 MiB where there are 117 of addresses.
no_memory() {
    rm -rf out && mkdir out
    if ! (ulimit -v 120000 && "$unpack" --help) >/dev/null 2>&1; then
        skip 'no memory: this build does not start with less'
        return
    fi
    (ulimit -v 120000 && "$unpack" -j 1 --memory=malloc -o out in/window27.zst in/many1.zst >stdout 2>stderr)
    [ $? = 1 ] && grep -q 'window27.zst: no memory to decode' stderr && [ "$(ls -A out)" = many1 ]
    report $? 'no memory for a window: said, and the others go on'
}

# A reader that goes away ends nothing: the files are unpacked, the lost output is an error. SIGPIPE would leave
# temporary files behind.
closed_pipe() {
    local gone both
    mkfifo pipe
    # shellcheck disable=SC2094 # nothing is read
    exec {both}<>pipe {gone}>pipe {both}>&- # the one reader that there was has left
    rm -rf out && mkdir out
    "$unpack" --stats -o out in/two.zst 1>&"$gone" 2>stderr
    [ $? = 1 ] && grep -q 'standard output: Broken pipe' stderr && cmp -s out/two two
    report $? 'closed pipe'
    rm -rf out && mkdir out
    "$unpack" --progress -o out in/two.zst bad/cut.gz >stdout 2>&"$gone"
    [ $? = 1 ] && cmp -s out/two two
    report $? 'closed pipe for progress'
    exec {gone}>&-
}

progress() {
    rm -rf out && mkdir out
    ends 0 --progress -o out in/* && ! grep -q $'\r' stderr && ! grep -q $'\e' stderr &&
        tail -n 1 stderr | grep -Eq "^$(find in -type f | wc -l) of $(find in -type f | wc -l) files, 100 %, [0-9.]+ MiB"
    report $? 'progress when piped: plain lines, the last one says 100 %'
    if command -v script >/dev/null; then
        rm -rf out && mkdir out
        script -qec "'$unpack' -o out in/* bad/cut.gz" /dev/null </dev/null >terminal
        grep -q $'\r.*100 %.*\e\\[K' terminal && tr -d '\r' <terminal | grep -q 'unpack: bad/cut.gz: unexpected end'
        report $? 'progress on a terminal: one line, drawn again; errors stand on lines of their own'
    else
        skip 'no script: no terminal'
    fi
}

usage() {
    local arguments
    for arguments in '' '-j 0 x.zst' '-j 257 x.zst' '-j 1x x.zst' '-j' '-o none x.zst' '-o text x.zst' '--memory=heap x.zst' '--nonsense x.zst'; do
        # shellcheck disable=SC2086 # words
        ends 2 $arguments && grep -q '^usage: unpack' stderr && [ ! -s stdout ]
        report $? "usage: $arguments"
    done
    ends 0 --help && grep -q 'Exit status: 0' stdout && [ ! -s stderr ]
    report $? 'help'
}

# begin ARGUMENT...: starts unpack, and waits until it writes, or is over. Its number is in `process`.
begin() {
    rm -rf out && mkdir out
    (exec "$unpack" -j 1 -o out "$@" 2>stderr) &
    process=$!
    while [ -z "$(ls -A out)" ] && kill -0 "$process" 2>/dev/null; do
        sleep 0.02
    done
}

# Interrupted in the middle: ends by that signal, nothing half done is left. Where the signal came too late, more input
# keeps it busy for longer.
interrupt() {
    local process status=0 i
    for i in $(seq 80); do cat in/program.zst; done >long.zst
    for i in 1 2 3 4; do
        begin long.zst in/two.zst
        kill -TERM "$process" 2>/dev/null
        status=0
        wait "$process" || status=$?
        [ "$status" = 0 ] || break
        cat long.zst long.zst >longer && mv longer long.zst
    done
    [ "$status" = 143 ] && grep -q interrupted stderr && [ -z "$(ls -A out)" ]
    report $? "interrupted: status $status"
    trap '' HUP # as nohup has it
    begin long.zst in/two.zst
    trap - HUP
    kill -HUP "$process" 2>/dev/null
    status=0
    wait "$process" || status=$?
    [ "$status" = 0 ] && [ -s out/long ] && cmp -s out/two two
    report $? "a signal that is ignored ends nothing: status $status"
}

benchmark() {
    "$bench" --quick --json program >stdout 2>stderr
    report $? 'benchmark'
    python3 - <<'END' 2>stderr
import json
with open('stdout', encoding='utf-8') as file:
    results = json.load(file)
names = [row['format'] for row in results['rows']]
assert names[:4] == ['zstd one-shot', 'zstd stream', 'zstd owned', 'inflate'], names
for row in results['rows']:
    for side in ('pooled', 'created'):
        assert row[side]['raw'] and min(row[side]['raw']) > 0, row
        assert min(row[side]['raw']) <= row[side]['median'] <= max(row[side]['raw']), row
    assert row['ratio']['min'] <= row['ratio']['median'] <= row['ratio']['max'], row
    assert row['built'] <= 1 < row['gets'], row
assert isinstance(results['virtual_machine'], bool)
END
    report $? 'benchmark: JSON has every format, pooled contexts were built once'
    "$bench" --quick program >stdout 2>stderr && grep -Eq '^zstd one-shot +frame of 4 KiB +[0-9]' stdout && grep -q 'on a .* machine' stdout
    report $? 'benchmark: table'
    "$bench" --rounds 1 program >stdout 2>stderr && # of one round no range can cover 1
        awk 'NR > 4 && $NF != "tie" && $(NF - 1) + 0 < 1.02 { exit 1 }' stdout
    report $? 'benchmark: 1.00 is a tie'
    local status
    for status in '1 none' '1 nothing' '1 in' '2 --nonsense' '2 program program'; do
        read -ra words <<<"$status"
        "$bench" --quick "${words[@]:1}" >stdout 2>stderr
        [ $? = "${words[0]}" ] && [ -s stderr ] && [ ! -s stdout ]
        report $? "benchmark refuses: ${words[*]:1}"
    done
    "$bench" --quick program >/dev/full 2>stderr
    [ $? = 1 ] && grep -q 'No space left' stderr
    report $? 'benchmark to a full device'
}

make_content
make_inputs
reference
identical
kept
metadata
damage
mutated
discarded
warnings
outputs
full_disk
no_memory
closed_pipe
progress
usage
interrupt
[ -z "$bench" ] || benchmark
echo "unpack: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
