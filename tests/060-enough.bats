load helpers

setup_file() {
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
}

# Milliseconds from the moment when `head` has its line until everybody is gone; P producers, each fed by ARGS.
enough() { # P ARGS...
    local p=$1 m producers consumer
    shift
    m=$(mpp-create -p "$p" --name "enough-$$-$RANDOM")
    mpp-produce "$m" --all "$@" &
    producers=$!
    (
        set -o pipefail
        mpp-consume "$m" | {
            head -n 1
            echo "$EPOCHREALTIME" >enough
        }
    ) >got &
    consumer=$!
    exits 0 $consumer
    exits 0 $producers
    local end=${EPOCHREALTIME/./} begin
    begin=$(<enough)
    assert_equal "$(wc -l <got)" 1
    echo $(((end - ${begin/./}) / 1000))
}

@test "head -1 ends everything within 50 ms, and everybody exits 0: commands" {
    for _ in {1..20}; do enough 4 -- seq 1 1000000000; done >measured
    bounded 50 measured
}

@test "the same where a command is a pipeline of a shell" {
    for _ in {1..10}; do enough 2 -- sh -c 'yes | cat'; done >measured
    bounded 50 measured
}

@test "the same where SIGPIPE is ignored" {
    for _ in {1..10}; do (
        trap '' PIPE
        enough 2 -- seq 1 1000000000 2>/dev/null
    ); done >measured
    bounded 50 measured
}

@test "the same where the source is slow" {
    for _ in {1..5}; do enough 2 -- sh -c 'echo x; exec sleep 1000'; done >measured
    bounded 50 measured
}

@test "the same for a file, and for a pipe as input" {
    seq 3000000 >big
    for _ in {1..5}; do enough 2 big; done >measured
    bounded 50 measured
    m=$(mpp-create)
    seq 1 1000000000 2>/dev/null | mpp-produce "$m" &
    p=$!
    run -0 bash -c 'set -o pipefail; mpp-consume "$0" | head -n 3' "$m"
    assert_output $'1\n2\n3'
    exits 0 $p
}

@test "a command that ignores SIGTERM is killed two seconds later, and nothing of it remains" {
    m=$(mpp-create)
    mpp-produce "$m" -- sh -c 'trap "" TERM PIPE; while :; do echo x 2>/dev/null; done' &
    p=$!
    run -0 bash -c 'mpp-consume "$0" | head -n 1' "$m"
    exits 0 $p
    nothing_left
}

@test "-n is enough, too, and says nothing" {
    m=$(mpp-create -p 3)
    mpp-produce "$m" --all -- seq 1 1000000000 2>p.err &
    mpp-consume "$m" -n 5 >out 2>c.err
    wait $!
    assert_equal "$(wc -l <out)" 5
    is_empty p.err
    is_empty c.err
}

@test "a command behind a consumer that exits 0 early has had enough" {
    m=$(mpp-create)
    mpp-produce "$m" -- seq 1 1000000000 &
    mpp-consume "$m" -- sh -c 'read -r x; echo "$x" >got'
    wait $!
    same got <(echo 1)
}

@test "of several consumers, one that has enough does not disturb the others" {
    m=$(mpp-create -c 3)
    # More for each than a pipe holds: the one whose reader leaves has to notice.
    seq 1500000 | mpp-produce "$m" &
    p=$!
    mpp-consume "$m" -i 0 >out.0 &
    cs=($!)
    mpp-consume "$m" -i 2 >out.2 &
    cs+=($!)
    mpp-consume "$m" -i 1 2>c.err | head -n 2 >out.1
    all_well $p "${cs[@]}"
    same out.0 <(seq 1 3 1500000)
    same out.1 <(printf '%s\n' 2 5)
    same out.2 <(seq 3 3 1500000)
    # It says so, as what the others got is not the whole either.
    one_line_of mpp-consume "$(<c.err)"
    grep -q '[0-9]' c.err
}

@test "--strict: an output that closes is a failure" {
    m=$(mpp-create)
    mpp-produce "$m" -- seq 1 1000000000 2>p.err &
    p=$!
    run -1 bash -c 'set -o pipefail; mpp-consume "$0" --strict 2>c.err | head -n 1' "$m"
    exits 3 $p
    one_line_of mpp-consume "$(<c.err)"
}
