load helpers

# The consumer that has enough: everybody learns it, at once, and nobody has failed.  060 has more of this.

setup_file() {
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
}

no_process_is_left() {
    [[ -z $(started) ]] || left
}

# The whole life of a pipeline, from the start of the first process until the last is gone; milliseconds to `measured`.
one_record() { # CONSUMER-COMMAND...
    local m begin p
    m=$(mpp-create)
    begin=${EPOCHREALTIME/./}
    mpp-produce "$m" -- "${source[@]}" &
    p=$!
    "$@" "$m" >got
    wait $p
    echo $(((${EPOCHREALTIME/./} - begin) / 1000)) >>measured
    same got <(echo 1)
    assert_equal "$(no_process_is_left)" ""
}

source=(seq 1 1000000000)

with_head() { # MESH
    mpp-consume "$1" | head -n 1
    assert_equal "${PIPESTATUS[*]}" "0 0"
}

with_n() {
    mpp-consume "$1" -n 1
}

with_a_command() {
    mpp-consume "$1" -- head -n 1
}

@test "a billion lines behind a producer, head -1 behind the consumer: all done in 50 ms, exit 0, no process left" {
    for _ in {1..20}; do one_record with_head; done
    bounded 50 measured
}

@test "the same with SIGPIPE ignored" {
    trap '' PIPE
    for _ in {1..20}; do one_record with_head 2>>err; done
    bounded 50 measured
}

@test "the same with -n 1, and with head as the consumer's command" {
    for _ in {1..10}; do
        one_record with_n
        one_record with_a_command
    done
    bounded 50 measured
}

@test "a command whose output nobody reads has had enough; with --strict it has failed" {
    m=$(mpp-create -c 2)
    mpp-produce "$m" -- seq 1000000000 2>err &
    p=$!
    mpp-consume "$m" --all -- sh -c 'cat | cat' 2>err.consume | head -n 1 >got
    assert_equal "${PIPESTATUS[*]}" "0 0"
    exits 0 $p
    [[ ! -s err && ! -s err.consume ]] || fail "$(cat err err.consume)"
    m=$(mpp-create)
    mpp-produce "$m" -- seq 1000000000 2>err &
    p=$!
    mpp-consume "$m" --strict -- cat 2>err.consume | head -n 1 >got
    assert_equal "${PIPESTATUS[*]}" "141 0"
    exits 3 $p
    same err.consume <(echo "mpp-consume: consumer 0: 'cat' was killed by signal 13 (Broken pipe)")
    # One that nobody's output is to blame for has failed.
    m=$(mpp-create)
    mpp-produce "$m" -- seq 1000000000 2>err &
    p=$!
    run -141 mpp-consume "$m" -- sh -c 'kill -PIPE $$'
    exits 3 $p
}

@test "the same with sources that do not notice by writing: they are told" {
    source=(sh -c 'echo 1; exec sleep 1000')
    for _ in {1..5}; do one_record with_head; done
    # What a shell has started is told as well.
    source=(sh -c 'echo 1; sleep 1000 | sleep 1000; sleep 1000')
    for _ in {1..5}; do one_record with_n; done
    bounded 50 measured
}

@test "the same through two meshes, one behind the other" {
    for _ in {1..10}; do
        far=$(mpp-create)
        near=$(mpp-create)
        begin=${EPOCHREALTIME/./}
        mpp-produce "$far" -- seq 1 1000000000 &
        p=$!
        mpp-produce "$near" -- mpp-consume "$far" &
        q=$!
        with_head "$near" >got
        all_well $p $q
        echo $(((${EPOCHREALTIME/./} - begin) / 1000)) >>measured
        same got <(echo 1)
        assert_equal "$(no_process_is_left)" ""
    done
    bounded 50 measured
}

# Lines `pI KEY N`, each producer's by themselves, in their order.
by_producer() { # FILE
    sort -s -t ' ' -k 1,1 "$1"
}

# A 4 x 4 mesh made with OPTIONS: what its consumers get is in NAME.0 to NAME.3, and consumer 2 is run by the rest.
four_by_four() { # NAME OPTIONS COMMAND...
    local name=$1 options=$2 m j
    shift 2
    # shellcheck disable=SC2086 # words
    m=$(mpp-create -p 4 -c 4 -t ' ' -r 64K $options)
    mpp-produce "$m" --all -- sh -c 'awk -v p=$MPP_INDEX -v n=$0 "BEGIN { while (i++ < n) print \"p\" p, \"k\" i % 97, i }"' "$n" &
    track
    for j in 0 1 3; do
        mpp-consume "$m" -i $j >"$name.$j" 2>"$name.$j.err" &
        track
    done
    m=$m "$@" >"$name.2" 2>"$name.2.err"
    all_done
}

whole() {
    mpp-consume "$m" -i 2
}

ten_by_n() {
    mpp-consume "$m" -i 2 -n 10
}

ten_by_head() {
    mpp-consume "$m" -i 2 | head -n 10
    assert_equal "${PIPESTATUS[*]}" "0 0"
}

ten_by_command() {
    mpp-consume "$m" -i 2 -- head -n 10
}

@test "4 x 4: consumer 2 cancels after 10 records; the others get exactly what they would have got" {
    n=$(scaled 20000)
    for options in '-P round-robin' '-k 2' "-k 3n -P range:$((n / 5)),$((n * 2 / 5)),$((n * 3 / 4))" '-P broadcast'; do
        four_by_four whole "$options" whole
        for way in ten_by_n ten_by_head ten_by_command; do
            four_by_four some "$options" $way
            for j in 0 1 3; do
                same <(by_producer whole.$j) <(by_producer some.$j)
                is_empty some.$j.err
            done
            # And the ten are ten of those that it would have got, whole, in each producer's order.
            assert_equal "$(wc -l <some.2)" 10
            for i in 0 1 2 3; do
                grep "^p$i " some.2 >ten || continue
                grep "^p$i " whole.2 | head -n "$(wc -l <ten)" | same ten -
            done
        done
    done
}

has_more_than() { # BYTES FILE
    (($(wc -c <"$2") > $1))
}

@test "the source goes on until the last of four consumers has enough, and stops then" {
    m=$(mpp-create -c 4 -r 64K)
    mpp-produce "$m" -- sh -c 'echo $$ >source; exec yes' &
    track
    for j in 0 1 2; do
        mpp-consume "$m" -i $j -n $((j * 1000 + 10)) >out.$j
    done &
    track
    # The last one reads slowly, but it does read, or nobody would get on.
    mkfifo slow
    exec {slow}<>slow
    mpp-consume "$m" -i 3 >slow {slow}>&- &
    c=$!
    exec {reader}<slow {slow}>&-
    wait_for test -s source
    cat <&"$reader" >all {reader}<&- &
    reading=$!
    wait_for eval '[[ $(cat out.* 2>/dev/null | wc -l) == 3030 ]]'
    before=$(wc -c <all)
    wait_for has_more_than $((before + 1000000)) all
    kill -0 "$(<source)"
    exec {reader}<&-
    kill $reading
    wait $reading || true
    exits 0 $c
    all_done
    is_gone "$(<source)"
    for j in 0 1 2; do
        assert_equal "$(wc -l <out.$j)" $((j * 1000 + 10))
    done
}

@test "with several consumers, one whose output closes says after how many records, and everybody exits 0" {
    m=$(mpp-create -c 2)
    mpp-produce "$m" -- seq 3000000 &
    track
    mpp-consume "$m" -i 0 >out.0 &
    track
    mpp-consume "$m" -i 1 2>c.err | head -n 3 >out.1
    assert_equal "${PIPESTATUS[*]}" "0 0"
    all_done
    same out.0 <(seq 1 2 3000000)
    same out.1 <(seq 2 2 6)
    one_line_of mpp-consume "$(<c.err)"
    run -0 cat c.err
    assert_output --regexp '^mpp-consume: consumer 1: .* closed after [0-9]+ records'
}

@test "--strict: an output that closes early is a failure, and everybody is told" {
    for closes in '| head -n 1 >/dev/null' '-- head -n 1 >/dev/null'; do
        m=$(mpp-create -p 2 -c 2)
        mpp-produce "$m" --all -- seq 1 1000000000 2>p.err &
        p=$!
        mpp-consume "$m" -i 0 >out 2>other.err &
        other=$!
        run -1 bash -c 'set -o pipefail; mpp-consume "$0" -i 1 --strict 2>c.err '"$closes" "$m"
        exits 3 $p
        exits 3 $other
        one_line_of mpp-consume "$(<c.err)"
        grep -Eq '^mpp-consume: consumer 1: .* closed after [0-9]+ records.*--strict' c.err
        one_line_of mpp-consume "$(<other.err)"
        grep -Eq 'consumer 1 \(pid [0-9]+\): .*--strict' other.err
        one_line_of mpp-produce "$(<p.err)"
        grep -Eq 'consumer 1 \(pid [0-9]+\): .*--strict' p.err
    done
}

@test "--strict has nothing against -n, nor against a reader that reads to the end" {
    m=$(mpp-create)
    mpp-produce "$m" -- seq 1 1000000000 &
    run -0 mpp-consume "$m" --strict -n 2
    assert_output $'1\n2'
    wait $!
    m=$(mpp-create)
    mpp-produce "$m" -- seq 1000 &
    run -0 bash -c 'set -o pipefail; mpp-consume "$0" --strict | tail -n 1' "$m"
    assert_output 1000
    wait $!
    m=$(mpp-create)
    mpp-produce "$m" -- seq 1000 &
    run -0 mpp-consume "$m" --strict -- tail -n 1
    assert_output 1000
    wait $!
}
