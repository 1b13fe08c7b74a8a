load helpers

# What happens when nobody reads: the kinds of buffers that overwrite, and --no-wait where they do not.

# Lines that begin with their number; what arrives is held against them.
setup_file() {
    "${MPP_B:-$BATS_TEST_DIRNAME/../build}/tests/bench/gen" lines $((8 << 20)) | cat -n >"$BATS_FILE_TMPDIR/in"
}

input() { # LINES: to `in`
    head -n "$1" "$BATS_FILE_TMPDIR/in" >in
}

# Is each line of a file one of `in`, and behind the one before?
whole_and_in_order() { # FILE
    awk 'NR == FNR { line[$1] = $0; next }
         !($1 in line) || line[$1] != $0 { print "not of the input: " substr($0, 1, 200); bad = 1; exit }
         $1 + 0 <= last { print "line " $1 " behind line " last; bad = 1; exit }
         { last = $1 + 0 }
         END { exit bad }' in "$1"
}

# A number of the first stream in a summary.
summary() { # NAME FILE
    jq ".streams[0].$1" "$2"
}

lines() { # FILE
    wc -l <"$1"
}

# A consumer whose output nobody reads until `read_on FILE`.
stuck() { # ARG...
    local both
    mkfifo pipe
    exec {both}<>pipe
    mpp-consume "$m" --summary=consumed "$@" >pipe 2>c.err {both}>&- &
    c=$!
    exec {pipe}<pipe {both}>&-
    wait_for attached 1 "$m"
}
read_on() {
    cat <&"$pipe" >"$1"
    exec {pipe}<&-
}

# ---- ring ------------------------------------------------------------------------------------------------------

@test "ring: who is there in time gets all of it, whoever else is there" {
    m=$(mpp-create -b ring -c 3 -r 16M)
    input 10000
    for i in 0 1 2; do mpp-consume "$m" -o "out.$i" --fail-on-lag & track; done
    wait_for attached 3 "$m"
    mpp-produce "$m" in
    all_done
    for i in 0 1 2; do same in "out.$i"; done
}

@test "ring: a producer waits for nobody, and who comes late gets the last records and learns how many it missed" {
    m=$(mpp-create -b ring -r 64K)
    input 50000
    mpp-produce "$m" in --summary=produced
    mpp-consume "$m" -o out --summary=consumed 2>c.err
    whole_and_in_order out
    same <(tail -n "$(lines out)" in) out
    assert_equal "$(summary records produced)" 50000
    assert_equal $(($(lines out) + $(summary dropped consumed))) 50000
    assert_equal "$(cat c.err)" "mpp-consume: consumer 0: stream '0': the ring dropped $(summary dropped consumed) \
records of producer 0 before they were read; a larger --ring-size gives a reader more time"
}

@test "ring: a reader that does not read is told of every gap, once at first and once in the end" {
    m=$(mpp-create -b ring -r 64K)
    input 80000
    stuck
    for _ in 1 2 3 4; do cat in; done | mpp-produce "$m" -- cat
    read_on out
    all_well "$c"
    assert_equal $(($(lines out) + $(summary dropped consumed))) 320000
    sort -u out | sort -n >some
    whole_and_in_order some
    one_line_of mpp-consume "$(head -n 1 c.err)"
    assert_equal "$(grep -c 'the ring dropped' c.err)" "$(($(grep -c places c.err) + 1))"
    run cat c.err
    assert_line --partial "the ring dropped"
}

@test "ring: --fail-on-lag makes that a failure, of the reader alone" {
    m=$(mpp-create -b ring -r 64K -c 2)
    input 50000
    mpp-produce "$m" in
    run -1 --separate-stderr mpp-consume "$m" -i 0 --fail-on-lag
    assert_output ""
    one_line_of mpp-consume "$stderr"
    [[ $stderr == *"records of producer 0 before they were read (--fail-on-lag)" ]]
    mpp-consume "$m" -i 1 -o out 2>/dev/null
    whole_and_in_order out
}

@test "ring: a reader that has enough ends, and the producer goes on for the others" {
    m=$(mpp-create -b ring -c 3 -r 16M)
    input 20000
    mpp-consume "$m" -n 10 -o out.0 & track
    mpp-consume "$m" 2>head.err | head -n 1 >out.1 & track
    mpp-consume "$m" -o out.2 & track
    wait_for attached 3 "$m"
    mpp-produce "$m" in 2>p.err
    all_done
    same <(head -n 10 in) out.0
    same <(head -n 1 in) out.1
    same in out.2
    is_empty p.err
}

@test "ring: several producers, each in order, and --tag says whose a record is" {
    m=$(mpp-create -b ring -p 3 -r 16M)
    input 5000
    mpp-consume "$m" --tag -o out & track
    wait_for attached 1 "$m"
    for i in 0 1 2; do mpp-produce "$m" -i "$i" in & track; done
    all_done
    for i in 0 1 2; do same in <(sed -n "s/^$i\t//p" out); done
}

# ---- latest ----------------------------------------------------------------------------------------------------

@test "latest: who comes late gets the last record of each producer, once" {
    m=$(mpp-create -b latest -p 2 -c 2)
    mpp-produce "$m" -i 0 -- seq 1000
    mpp-produce "$m" -i 1 -- seq 2000
    for i in 0 1; do
        run --separate-stderr mpp-consume "$m" -i "$i"
        assert_success
        assert_equal "$(sort -n <<<"$output")" $'1000\n2000'
        assert_equal "$stderr" ""
    done
}

@test "latest: each reader sees what is newer than what it saw, and the last one" {
    m=$(mpp-create -b latest -c 2)
    input 80000
    stuck -i 0
    mpp-consume "$m" -i 1 -o out.1 & track
    wait_for attached 2 "$m"
    mpp-produce "$m" in
    read_on out.0
    all_well "$c"
    all_done
    for i in 0 1; do
        whole_and_in_order "out.$i"
        same <(tail -n 1 in) <(tail -n 1 "out.$i")
    done
    is_empty c.err
}

@test "latest: a value comes when it is written, not when the next one is" {
    m=$(mpp-create -b latest)
    mkfifo pipe
    mpp-consume "$m" -o out & track
    mpp-produce "$m" pipe & track
    exec {to}>pipe
    for i in 1 2 3; do
        echo "$i" >&"$to"
        wait_for grep -qx "$i" out
    done
    exec {to}>&-
    all_done
    same out <(seq 3)
}

# ---- mailbox ---------------------------------------------------------------------------------------------------

@test "mailbox: of several workers exactly one takes a command; taken and overwritten are all" {
    m=$(mpp-create -b mailbox -c 4 --keep)
    input 50000
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX' & track
    wait_for attached 4 "$m"
    mpp-produce "$m" --summary=produced in
    all_done
    for i in 0 1 2 3; do whole_and_in_order "out.$i"; done
    cat out.? | sort >all
    assert_equal "$(uniq -d all)" ""
    assert_equal "$(sort -n all | tail -n 1)" "$(tail -n 1 in)"
    assert_equal "$(summary records produced)" 50000
    assert_equal $(($(lines all) + $(state '.mesh.buffers[0].counters.overwritten' "$m"))) 50000
    mpp-create --remove "$m"
}

@test "mailbox: a command that nobody took waits, and the next one takes its place" {
    m=$(mpp-create -b mailbox -p 2 -c 2)
    mpp-produce "$m" -i 0 -- echo stop
    mpp-produce "$m" -i 1 -- echo go
    run mpp-consume "$m" -i 0
    assert_success
    assert_output go
    run mpp-consume "$m" -i 1
    assert_success
    assert_output ""
}

# ---- who is stopped, killed, or fails --------------------------------------------------------------------------

kinds=(ring latest mailbox)

@test "a reader that is stopped does not stop the producer, and reads on when it is let" {
    input 50000
    for kind in "${kinds[@]}"; do
        m=$(mpp-create -b "$kind" -r 64K)
        mpp-consume "$m" -o out 2>c.err &
        c=$!
        wait_for attached 1 "$m"
        wait_for is_idle "$c"
        kill -STOP "$c"
        mpp-produce "$m" in
        kill -CONT "$c"
        all_well "$c"
        whole_and_in_order out
        same <(tail -n 1 in) <(tail -n 1 out)
    done
}

@test "a reader that is killed is no concern of the producer's, and its place is taken again" {
    input 1000
    for kind in "${kinds[@]}"; do
        m=$(mpp-create -b "$kind")
        mkfifo "pipe.$kind"
        mpp-produce "$m" "pipe.$kind" 2>p.err & track
        exec {to}>"pipe.$kind"
        for _ in 1 2 3; do
            rm -f out
            mpp-consume "$m" -i 0 -o out 2>/dev/null {to}>&- &
            c=$!
            wait_for attached 2 "$m"
            echo something >&"$to"
            wait_for grep -qx something out
            kill -KILL "$c"
            wait "$c" || true
        done
        mpp-consume "$m" -i 0 -o out 2>/dev/null {to}>&- & track
        wait_for attached 2 "$m"
        cat in >&"$to"
        exec {to}>&-
        all_done
        is_empty p.err
        same <(tail -n 1 in) <(tail -n 1 out)
    done
}

@test "a reader whose output cannot be written fails alone" {
    input 1000
    m=$(mpp-create -b ring -c 2)
    mpp-consume "$m" -i 0 -o out & track
    run -1 bash -c 'mpp-consume "$1" -i 1 >/dev/full & c=$!; mpp-produce "$1" in && wait $c' - "$m"
    assert_output --partial "mpp-consume: "
    all_done
    same in out
}

@test "a producer that is killed: readers have what it wrote, then exit 4 and name it" {
    for kind in "${kinds[@]}"; do
        m=$(mpp-create -b "$kind" -c 2)
        mpp-produce "$m" -- sh -c 'echo something; exec sleep 1000' &
        p=$!
        rm -f out
        mpp-consume "$m" -i 0 -o out 2>c.err &
        c=$!
        wait_for grep -qx something out
        kill -KILL "$p"
        wait "$p" || true
        exits 4 "$c"
        one_line_of mpp-consume "$(<c.err)"
        [[ $(<c.err) == *"producer 0 (pid $p"*") died before its stream ended" ]]
        run -4 --separate-stderr mpp-consume "$m" -i 1
        [[ $kind == mailbox ]] || assert_output something
        mpp-create --gc >/dev/null
    done
}

@test "a producer whose command fails: readers have what it wrote, then exit 3 with the cause" {
    for kind in "${kinds[@]}"; do
        m=$(mpp-create -b "$kind")
        mpp-consume "$m" -o out 2>c.err &
        c=$!
        run -7 mpp-produce "$m" -- sh -c 'echo something; exit 7'
        exits 3 "$c"
        same out <(echo something)
        [[ $(<c.err) == *"producer 0"*"status 7"* ]]
    done
}

@test "a mesh in which somebody died is garbage when its producers have ended, not before" {
    m=$(mpp-create -b ring)
    mpp-consume "$m" &
    c=$!
    wait_for attached 1 "$m"
    kill -KILL "$c"
    wait "$c" || true
    run mpp-create --gc
    refute_output --partial "$m"
    mpp-produce "$m" -- seq 10
    run mpp-create --gc
    assert_equal "$(meshes)" ""
}

# ---- not waiting for room --------------------------------------------------------------------------------------

@test "--no-wait: what finds no room is dropped and counted, the rest is whole and in order" {
    for partition in round-robin any; do
        m=$(mpp-create -r 64K -P "$partition")
        input 50000
        rm -f pipe produced
        stuck
        run --separate-stderr mpp-produce "$m" --no-wait --summary=produced in
        assert_success
        read_on out
        all_well "$c"
        whole_and_in_order out
        dropped=$(summary dropped produced)
        ((dropped > 0))
        assert_equal $(($(lines out) + dropped)) 50000
        assert_equal "$(summary records produced)" "$(lines out)"
        assert_equal "$stderr" \
            "mpp-produce: producer 0: $dropped records of stream '0' were dropped: they found no room (--no-wait)"
    done
}

@test "--no-wait: nothing is dropped, or said, where there is room" {
    m=$(mpp-create -c 2)
    input 1000
    for i in 0 1; do mpp-consume "$m" -i "$i" -o "out.$i" & track; done
    run mpp-produce "$m" --no-wait in
    assert_success
    assert_output ""
    all_done
    same_lines in <(cat out.?)
}

@test "--no-wait: records longer than the ring are dropped, shorter ones behind them are not" {
    m=$(mpp-create -r 64K)
    {
        echo one
        head -c 100000 /dev/zero | tr '\0' x
        echo
        head -c 30000 /dev/zero | tr '\0' y
        echo
        echo two
    } >long
    mpp-consume "$m" -o out & track
    mpp-produce "$m" --no-wait --summary=produced long 2>p.err
    all_done
    assert_equal "$(cut -c 1-3 out)" $'one\nyyy\ntwo'
    assert_equal "$(summary dropped produced)" 1
    [[ $(<p.err) == *": 1 records of stream"* ]]
}

@test "--no-wait: on buffers that overwrite it changes nothing" {
    m=$(mpp-create -b latest)
    run mpp-produce "$m" --no-wait -- seq 100000
    assert_success
    assert_output ""
    run mpp-consume "$m"
    assert_output 100000
}

# ---- misuse ----------------------------------------------------------------------------------------------------

misuse() { # MESSAGE COMMAND...
    local message=$1
    shift
    run -2 "$@"
    assert_equal "${#lines[@]}" 1
    assert_output --partial "$message"
}

@test "what cannot be is refused in a line that says what can" {
    unset -f lines
    misuse "bounded, ring, latest, mailbox" mpp-create -b pipe
    for kind in "${kinds[@]}"; do
        misuse "has no key" mpp-create -b "$kind" -k 1
        misuse "has no partition" mpp-create -b "$kind" -P hash
        misuse "shares no lane" mpp-create -b "$kind" --lanes 1
        misuse "at most 16368 bytes" mpp-create -b "$kind" -r 64K --fixed 20000
        m=$(mpp-create -b "$kind" -c 2)
        misuse "it has one run" mpp-produce "$m" --runs 2 -- true
        misuse "waits for nobody" mpp-consume "$m" --merge
        mpp-create --remove "$m"
    done
}

@test "a record that is too long for the buffer is an error that says how long it may be" {
    for kind in "${kinds[@]}"; do
        m=$(mpp-create -b "$kind" -r 64K)
        mpp-consume "$m" -o out 2>/dev/null &
        c=$!
        run -1 --separate-stderr mpp-produce "$m" -- sh -c 'echo one; head -c 20000 /dev/zero; echo'
        assert_regex "$stderr" "offset 4 .* longer than the 16367 bytes that the stream's buffer can hold"
        exits 3 "$c"
        same out <(echo one)
    done
}

# ---- side by side ----------------------------------------------------------------------------------------------

@test "a bounded stream beside a ring and a mailbox: each as by itself" {
    m=$(mpp-create -s data -s log -b ring -s command -b mailbox -r 64K)
    input 30000
    mpp-consume "$m" -i 0 -s data=data -s log=log -s command=command 2>c.err & track
    mpp-produce "$m" -i 0 -s data=in -s log=in -s command='|seq 100' & track
    all_done
    same in data
    whole_and_in_order log
    same <(tail -n 1 in) <(tail -n 1 log)
    assert_equal "$(tail -n 1 command)" 100
}
