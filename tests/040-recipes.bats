load helpers

# What people will write, a line each, compared with what they would have written without mpp.

setup_file() {
    local i
    for i in 0 1 2 3 4 5 6; do
        awk -v i="$i" -v n="$(scaled 20000)" 'BEGIN {
            srand(i + 1)
            for (k = 0; k < n; k++) {
                for (w = 0; w < 5; w++) printf "word%d ", int(500 * rand() ^ 2)
                print ""
            }
        }' >"$BATS_FILE_TMPDIR/text.$i"
        gzip -k1 "$BATS_FILE_TMPDIR/text.$i"
    done
    cat "$BATS_FILE_TMPDIR"/text.? | tr -s ' ' '\n' | grep . | sort | uniq -c | sort >"$BATS_FILE_TMPDIR/counts"
}

@test "word count over many files: slices, a filter, a shuffle by word" {
    m=$(mpp-create -p 3 -c 4 -k 1)
    mpp-produce "$m" --all --slice --filter "tr -s ' ' '\n' | grep ." "$BATS_FILE_TMPDIR"/text.? &
    mpp-consume "$m" --all -- sh -c 'sort | uniq -c >out.$MPP_INDEX'
    wait $!
    sort out.* | same - "$BATS_FILE_TMPDIR/counts"
}

@test "the same from compressed files" {
    m=$(mpp-create -p 4 -c 2 -k 1)
    mpp-produce "$m" --all --slice --filter "zcat | tr -s ' ' '\n' | grep ." "$BATS_FILE_TMPDIR"/text.?.gz &
    mpp-consume "$m" --all -- sh -c 'sort | uniq -c >out.$MPP_INDEX'
    wait $!
    sort out.* | same - "$BATS_FILE_TMPDIR/counts"
}

@test "two stages: map and shuffle, then reduce and gather" {
    m=$(mpp-create -p 2 -c 3 -k 1)
    g=$(mpp-create -p 3)
    mpp-produce "$m" --all --slice --filter "tr -s ' ' '\n' | grep ." "$BATS_FILE_TMPDIR"/text.? &
    track
    mpp-produce "$g" --all -- sh -c "mpp-consume $m -i \$MPP_INDEX -- sh -c 'sort | uniq -c'" &
    track
    mpp-consume "$g" >out
    all_done
    sort out | same - "$BATS_FILE_TMPDIR/counts"
}

@test "load-balanced workers over one big file" {
    for _ in {1..5}; do cat "$BATS_FILE_TMPDIR"/text.?; done >big
    m=$(mpp-create -c 4 -P any)
    mpp-produce "$m" --barrier big &
    mpp-consume "$m" --all -- sh -c 'tr [:lower:] [:upper:] >out.$MPP_INDEX'
    wait $!
    same_lines <(cat out.*) <(tr '[:lower:]' '[:upper:]' <big)
    for j in 0 1 2 3; do [[ -s out.$j ]]; done
}

@test "a big file cut into slices arrives whole, in order within each slice" {
    cat "$BATS_FILE_TMPDIR"/text.? >big
    m=$(mpp-create -p 4)
    mpp-produce "$m" --all --slice big &
    mpp-consume "$m" --tag >out
    wait $!
    sort -s -k 1,1n out | cut -f 2- | same - big
}

# Two streams that have keys in common.
tables() {
    local n
    n=$(scaled 20000)
    for i in 0 1 2 3; do
        seq "$i" 4 "$n" | awk '{ print "k" $1 "\tleft " $1 }' >a.$i
        seq "$i" 4 "$n" | awk '{ print "k" (3 * $1) "\tright " $1 }' >b.$i
    done
    join -t $'\t' <(cat a.? | sort) <(cat b.? | sort) | sort >wanted
}

@test "a join of two streams, by one process for each stream and index" {
    tables
    m=$(mpp-create -p 4 -c 4 -k 1 -s a -s b)
    for i in 0 1 2 3; do
        mpp-produce "$m" -i $i -s a a.$i &
        track
        mpp-produce "$m" -i $i -s b b.$i &
        track
    done
    for i in 0 1 2 3; do
        join -t $'\t' <(mpp-consume "$m" -i $i -s a | sort) <(mpp-consume "$m" -i $i -s b | sort) >out.$i &
        track
    done
    all_done
    sort out.? | same - wanted
}

@test "the same join where one process serves both streams, over one lane" {
    tables
    m=$(mpp-create -p 4 -c 4 -k 1 -s a -s b --lanes 1)
    for i in 0 1 2 3; do
        mpp-produce "$m" -i $i -s a=a.$i -s b=b.$i &
        track
    done
    for i in 0 1 2 3; do
        mpp-consume "$m" -i $i -s "a=|sort >left.$i" -s "b=|sort >right.$i" &
        track
    done
    all_done
    for i in 0 1 2 3; do join -t $'\t' left.$i right.$i; done | sort | same - wanted
}

@test "the same with commands as sources, and --all on both sides" {
    tables
    m=$(mpp-create -p 4 -c 2 -k 1 -s a -s b)
    mpp-produce "$m" --all -s 'a=|cat a.$MPP_INDEX' -s 'b=|cat b.$MPP_INDEX' &
    mpp-consume "$m" --all -s 'a=|sort >left.$MPP_INDEX' -s 'b=|sort >right.$MPP_INDEX'
    wait $!
    for i in 0 1; do join -t $'\t' left.$i right.$i; done | sort | same - wanted
}

@test "a stream that nobody reads yet does not hold up another, with a lane of its own" {
    m=$(mpp-create -s a -s b -r 64K)
    seq 1000000 >big
    mpp-produce "$m" -s a=big -s b=big &
    p=$!
    mpp-consume "$m" -i 0 -s b >out.b &
    c=$!
    mkfifo gate
    mpp-consume "$m" -i 0 -s a -- sh -c 'read -r go <gate; cat >out.a' &
    d=$!
    wait $c
    same out.b big
    echo >gate
    all_well $p $d
    same out.a big
}

@test "one process writes several streams to several files" {
    m=$(mpp-create -p 2 -s evens -s odds)
    for i in 0 1; do
        mpp-produce "$m" -i $i -s "evens=|seq $i 2 1000" -s "odds=|seq 1 2 1000" &
        track
    done
    mpp-consume "$m" -s evens=e -s odds=o
    all_done
    same_lines e <(seq 0 1000)
    same_lines o <(seq 1 2 1000; seq 1 2 1000)
}

@test "a pipeline in one line, without a name for the mesh" {
    run -0 sh -c 'm=$(mpp-create -p 3 --pid $$); mpp-produce $m --all -- sh -c "seq \$MPP_INDEX 3 9" & mpp-consume $m | sort -n'
    assert_output "$(seq 0 9)"
}

@test "-o writes a file, -n takes so many records" {
    m=$(mpp-create)
    seq 100000 | mpp-produce "$m" &
    mpp-consume "$m" -n 10 -o out
    wait $!
    same out <(seq 10)
}

@test "--files0-from names the inputs" {
    m=$(mpp-create -p 2)
    printf '%s\0' "$BATS_FILE_TMPDIR"/text.? >names
    mpp-produce "$m" --all --slice --files0-from=names &
    mpp-consume "$m" >out
    wait $!
    same_lines out <(cat "$BATS_FILE_TMPDIR"/text.?)
}

@test "a command may end with a status that is called good" {
    m=$(mpp-create -p 2)
    mpp-produce "$m" --all --ok-status 0,1 -- sh -c 'echo x; exit $MPP_INDEX' &
    run -0 mpp-consume "$m"
    assert_output $'x\nx'
    wait $!
    m=$(mpp-create)
    echo x | mpp-produce "$m" &
    mpp-consume "$m" --ok-status 3 -- sh -c 'cat >got; exit 3'
    wait $!
    same got <(echo x)
}

@test "--summary is one line of JSON" {
    m=$(mpp-create -p 1 -c 2)
    seq 1000 | mpp-produce "$m" --summary=p.json &
    p=$!
    mpp-consume "$m" -i 1 --summary=c1.json >out.1 &
    c=$!
    mpp-consume "$m" -i 0 --summary >out.0 2>c0.json
    all_well $p $c
    for file in p.json c0.json c1.json; do
        assert_equal "$(wc -l <$file)" 1
        jq -e type $file
    done
    run -0 jq -c '[.. | .records? // empty] | max' p.json c0.json c1.json
    assert_output $'1000\n500\n500'
}

@test "--progress says nothing off a terminal, and how far it is on one" {
    m=$(mpp-create)
    seq 1000 | mpp-produce "$m" --progress 2>p.err &
    run -0 --separate-stderr mpp-consume "$m"
    wait $!
    assert_equal "$stderr" ""
    is_empty p.err
    m=$(mpp-create)
    seq 200000 >in
    (sleep 0.7; cat in) | mpp-produce "$m" &
    script -qec "mpp-consume $m --progress -o out" /dev/null >screen </dev/null
    wait $!
    same out in
    grep -aq 200000 screen || grep -aq '200[ ,.]*0*k' screen || fail "$(cat -v screen)"
}

@test "--progress with --all is one line for all, with the percentage of all" {
    for i in 1 2 3; do seq 100000 >in.$i; done
    m=$(mpp-create -p 3)
    mpp-consume "$m" >out &
    script -qec "mpp-produce $m --all --slice --progress in.1 in.2 in.3" /dev/null >screen </dev/null
    wait $!
    tr '\r' '\n' <screen | grep -a records >lines
    [[ $(grep -ac '^mpp-produce [0-9]' lines) == 0 ]] || fail "a process has drawn a line of its own: $(<lines)"
    assert_regex "$(tail -n 1 lines)" '^mpp-produce: 300000 records, 1\.7 MiB, .*, 100%'
}
