load helpers

# One stream, run after run; several streams in one process, at once and one after the other.

# 1 to about 30000, small ones as likely as large ones: sets $n.
any_size() {
    n=$((1 + (RANDOM >> RANDOM % 15)))
}

# The command of a stream whose N-th run consists of `N 1` to `N LAST`.  It may be stopped at any point.
numbered() { # LAST
    cat <<SOURCE
echo x >>run.\$MPP_INDEX
n=\$(wc -l <run.\$MPP_INDEX)
exec seq -f "\$n %.0f" $1
SOURCE
}

# A consumer that reads some of a run and then has enough, in one of the ways in which that can be.
some_of_it() { # RECORDS CONSUMER OUT
    local way=$((RANDOM % 3))
    case $way in
    0) mpp-consume "$m" -i "$2" -n "$1" >"$3" ;;
    1)
        mpp-consume "$m" -i "$2" 2>/dev/null | head -n "$1" >"$3"
        assert_equal "${PIPESTATUS[*]}" "0 0"
        ;;
    2) mpp-consume "$m" -i "$2" -- head -n "$1" >"$3" 2>/dev/null ;;
    esac
}

@test "many runs, each cancelled at a random point, then a whole one: nothing is left of an earlier run" {
    seed
    runs=$(rounds 40)
    last=200000
    m=$(mpp-create -r 64K)
    mpp-produce "$m" --runs $((runs + 1)) -- sh -c "$(numbered $last)" &
    p=$!
    for ((run = 1; run <= runs; run++)); do
        any_size
        some_of_it $n 0 out
        # This is the whole of what was asked for: the first n records of this run.
        same out <(seq -f "$run %.0f" $n)
    done
    mpp-consume "$m" -i 0 >out
    same out <(seq -f "$((runs + 1)) %.0f" $last)
    exits 0 $p
}

@test "the same for a file, which is read again from its start each time" {
    seed
    runs=$(rounds 15)
    seq 100000 >in
    m=$(mpp-create -r 64K)
    mpp-produce "$m" --runs $((runs + 1)) in &
    p=$!
    for ((run = 1; run <= runs; run++)); do
        any_size
        some_of_it $n 0 out
        same out <(head -n $n in)
    done
    mpp-consume "$m" -i 0 >out
    same out in
    exits 0 $p
}

# Runs of consumer J: some whole, some cancelled.
many_runs() { # J SEED
    local run n
    RANDOM=$2
    for ((run = 1; run <= runs; run++)); do
        any_size
        if ((RANDOM % 3)); then
            some_of_it "$n" "$1" "out.$1"
            same "out.$1" <(seq -f "$run %.0f" $(($1 + 1)) 3 $last | head -n "$n") || return
        else
            mpp-consume "$m" -i "$1" >"out.$1"
            same "out.$1" <(seq -f "$run %.0f" $(($1 + 1)) 3 $last) || return
        fi
    done
}

@test "consumers of a shuffle that go from run to run at their own pace each get every run whole" {
    seed
    runs=$(rounds 12)
    last=60000
    m=$(mpp-create -c 3 -r 64K)
    mpp-produce "$m" --runs $((runs + 1)) -- sh -c "$(numbered $last)" &
    track
    for j in 0 1 2; do
        many_runs $j "$RANDOM" &
        track
    done
    all_well "${tracked[@]:1}"
    for j in 0 1 2; do
        mpp-consume "$m" -i $j >out.$j &
        track
    done
    all_well "${tracked[0]}" "${tracked[@]:4}"
    for j in 0 1 2; do
        same out.$j <(seq -f "$((runs + 1)) %.0f" $((j + 1)) 3 $last)
    done
}

@test "runs of several producers: a run is one execution of each of them, and never two" {
    seed
    runs=$(rounds 15)
    last=20000
    m=$(mpp-create -p 3 -r 64K)
    mpp-produce "$m" --all --runs $((runs + 1)) -- sh -c "$(numbered $last)" &
    p=$!
    before="0 0 0"
    touch run.{0,1,2}
    for ((run = 1; run <= runs; run++)); do
        any_size
        mpp-consume "$m" -i 0 -n $n --tag >out
        assert_equal "$(wc -l <out)" $n
        # One that was not heard of may have had no run at all; of each other all records are of one, a later one.
        awk -v before="$before" '
            BEGIN { split(before, last, " ") }
            !($1 in run) { if ($2 <= last[$1 + 1]) { print "an earlier run: " $0; exit 1 } run[$1] = $2 }
            $2 != run[$1] || $3 != ++n[$1] { print "unexpected: " $0; exit 1 }' out
        before=$(for i in 0 1 2; do wc -l <run.$i; done)
    done
    mpp-consume "$m" -i 0 --tag >out
    exits 0 $p
    assert_equal "$(wc -l <out)" $((3 * last))
    for i in 0 1 2; do
        same <(sed -n "s/^$i\t//p" out) <(seq -f "$(wc -l <run.$i) %.0f" $last)
    done
}

@test "--runs 0 goes on until the mesh is removed" {
    m=$(mpp-create)
    mpp-produce "$m" --runs 0 -- echo hello 2>p.err &
    p=$!
    for _ in {1..10}; do
        run -0 mpp-consume "$m" -i 0
        assert_output hello
    done
    wait_for doing 1 "waiting for START" "$m"
    mpp-create --remove "$m"
    exits 6 $p
    one_line_of mpp-produce "$(<p.err)"
    grep -q removed p.err
}

@test "a source that cannot be read twice is refused more than one run, with the reason" {
    m=$(mpp-create)
    mkfifo fifo
    for input in '< <(echo x)' 'fifo' '-s 0=fifo'; do
        run -2 bash -c "mpp-produce '$m' --runs 2 $input"
        one_line_of mpp-produce "$output"
        assert_output --partial "can be read again"
    done
    # That was no attempt at the mesh.  And a file as standard input can be read again.
    seq 3 >in
    mpp-produce "$m" --runs 2 <in &
    p=$!
    for _ in 1 2; do
        run -0 mpp-consume "$m" -i 0
        assert_output $'1\n2\n3'
    done
    exits 0 $p
}

@test "a request for a run that a source cannot give fails with the reason, and all are told" {
    m=$(mpp-create -p 2)
    mpp-produce "$m" -i 0 --runs 3 -- echo again 2>p.err &
    p=$!
    echo once | mpp-produce "$m" -i 1 &
    q=$!
    run -0 mpp-consume "$m" -i 0
    exits 0 $q
    run -3 --separate-stderr mpp-consume "$m" -i 0
    one_line_of mpp-consume "$stderr"
    assert_regex "$stderr" "producer 1 .*run 2 of stream '0'.*--runs"
    exits 3 $p
    one_line_of mpp-produce "$(<p.err)"
    grep -q "producer 1 .*run 2 of stream '0'.*--runs" p.err
}

@test "a file that is gone at the second run fails that run with its name" {
    echo x >in
    m=$(mpp-create)
    mpp-produce "$m" --runs 2 in 2>p.err &
    p=$!
    run -0 mpp-consume "$m" -i 0
    assert_output x
    rm in
    run -3 --separate-stderr mpp-consume "$m" -i 0
    assert_regex "$stderr" "producer 0 \(pid $p\): .*in.*No such file"
    exits 1 $p
    grep -q "in.*No such file" p.err
}

@test "two streams in one process on both sides, in lanes of their own and sharing one" {
    seq -f "b %.0f" 300000 >in.b
    for options in '' '--lanes 1' '-p 2' '-p 2 --lanes 1'; do
        # shellcheck disable=SC2086 # words
        m=$(mpp-create -r 64K -s a -s b $options)
        mpp-produce "$m" --all -s 'a=|seq $MPP_INDEX $MPP_COUNT 300000' -s b=in.b &
        p=$!
        mpp-consume "$m" -s a=out.a -s 'b=|cat >out.b'
        exits 0 $p
        same <(sort out.a) <(case $options in -p*) seq 0 300000 ;; *) seq 0 300000 ;; esac | sort)
        same_lines out.b in.b
    done
}

@test "two streams, each with consumers of its own number of records" {
    for lanes in 1 2; do
        m=$(mpp-create -r 64K -c 2 -s a -P round-robin -s b -P broadcast --lanes $lanes)
        mpp-produce "$m" -s 'a=|seq 100000' -s 'b=|seq 300000' &
        track
        for j in 0 1; do
            mpp-consume "$m" -i $j -s a=a.$j -s b=b.$j &
            track
        done
        all_done
        same a.0 <(seq 1 2 100000)
        same a.1 <(seq 2 2 100000)
        same b.0 <(seq 300000)
        same b.1 <(seq 300000)
    done
}

@test "-n counts each stream by itself, and the process goes on with the other" {
    for lanes in 1 2; do
        m=$(mpp-create -r 64K -s a -s b --lanes $lanes)
        mpp-produce "$m" -s 'a=|seq 100' -s 'b=|seq 1 1000000000' &
        mpp-consume "$m" -n 1000 -s a=out.a -s b=out.b
        wait $!
        same out.a <(seq 100)
        same out.b <(seq 1000)
    done
}

# How far is the second stream?  Its command says so when it is started, and what of the first has arrived by then.
second='wc -l <out.a.part >started.b; seq 5'

@test "--sequential: the second command is not started before the first stream has ended" {
    for lanes in 1 2; do
        rm -f started.b fifo
        mkfifo fifo
        m=$(mpp-create -r 64K -s a -s b --lanes $lanes)
        mpp-produce "$m" -s a=fifo -s "b=|$second" &
        track
        mpp-consume "$m" --sequential --keep-partial -s a=out.a -s b=out.b &
        track
        exec {in}>fifo
        seq 100000 >&"$in"
        # All that was said has arrived, and everybody waits: b could have been started long since.
        seq 100000 >expected
        wait_for same out.a.part expected
        wait_for doing $lanes "reading its input" "$m"
        wait_for doing $lanes "waiting for data" "$m"
        run ! test -e started.b
        echo the end >&"$in"
        exec {in}>&-
        all_done
        assert_equal "$(<started.b)" 100001
        same out.b <(seq 5)
    done
}

@test "the same with commands, of two producers, and for two consumers" {
    for lanes in 1 2; do
        rm -f started.b ended.a*
        m=$(mpp-create -p 2 -r 64K -s a -s b --lanes $lanes)
        mpp-produce "$m" --all -s 'a=|seq 100000; touch ended.a.$MPP_INDEX' \
            -s 'b=|test -e ended.a.0 && test -e ended.a.1 && wc -l <out.a.part >>started.b; seq 5' &
        track
        mpp-consume "$m" --sequential --keep-partial -s a=out.a -s b=out.b &
        track
        all_done
        same started.b <(printf '%s\n' 200000 200000)
        same_lines out.b <(seq 5; seq 5)
    done
    rm -f ended.a*
    m=$(mpp-create -c 2 -r 64K -s a -P round-robin -s b -P round-robin --lanes 1)
    mpp-produce "$m" -s 'a=|seq 100000; touch ended.a' -s 'b=|test -e ended.a && seq 5' &
    track
    mpp-consume "$m" --all --sequential -s 'a=|cat >a.$MPP_INDEX' -s 'b=|cat >b.$MPP_INDEX' &
    track
    all_done
    same_lines <(cat a.0 a.1) <(seq 100000)
    same_lines <(cat b.0 b.1) <(seq 5)
}

@test "--sequential with enough of the first: its command is stopped, and the second one starts" {
    for lanes in 1 2; do
        m=$(mpp-create -r 64K -s a -s b --lanes $lanes)
        mpp-produce "$m" -s 'a=|seq 1 1000000000' -s 'b=|seq 10' &
        p=$!
        mpp-consume "$m" --sequential -n 5 -s a=out.a -s b=out.b
        exits 0 $p
        same out.a <(seq 5)
        same out.b <(seq 5)
    done
}

@test "--sequential when the first one's command has enough while nothing comes: the second one starts" {
    m=$(mpp-create -s a -s b)
    mpp-produce "$m" -s 'a=|echo 1; exec sleep 1000' -s 'b=|echo 2' &
    track
    run -0 finishes_within "$(patient 10)" mpp-consume "$m" --sequential -s 'a=|head -n 1 >a' -s b
    assert_output 2
    all_done
    same a <(echo 1)
}

@test "enough before anything could be asked uses the run up, and who comes next gets the second one" {
    seq 4 >in
    m=$(mpp-create -c 2 -P broadcast)
    run -0 --separate-stderr mpp-consume "$m" -i 0 --barrier -- head -n 0 # nobody is waited for
    mpp-produce "$m" --runs 2 in &
    producer=$!
    run -0 mpp-consume "$m" -i 1
    assert_output "$(seq 4)"
    mpp-consume "$m" -i 0 >out &
    second=$!
    run -0 mpp-consume "$m" -i 1
    assert_output "$(seq 4)"
    exits 0 $second
    exits 0 $producer
    same out <(seq 4)
}
