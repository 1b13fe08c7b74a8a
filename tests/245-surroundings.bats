load helpers

# Commands in strange surroundings: they cannot be signalled, or executed yet; calls are refused, signals blocked.

# Run a tool with every CALL of it doing HOW: `injected kill:error=EPERM TOOL...`.  Its pid goes to $tool.
injected() {
    local call=${1%%:*}
    strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$1" "${@:2}" &
    traced=$!
    wait_for pgrep -P $traced -x "mpp-(produce|consume)"
    tool=$(pgrep -P $traced -x "mpp-(produce|consume)")
}

# Is it gone before the grace of a command could be over twice?
gone_within() { # MILLISECONDS PID
    local begin=${EPOCHREALTIME/./}
    wait_for is_gone "$2"
    ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
    ((ms < $1 * slower)) || fail "it took $ms ms"
}

could_not_end="'[^']*sleep 1000' \(pid [0-9]+\) could not be ended: Operation not permitted; it goes on by itself"

@test "a command that cannot be signalled is given up after its grace, which is said" {
    needs_strace
    m=$(mpp-create)
    injected kill:error=EPERM mpp-consume "$m" -- sleep 1000 2>c.err
    run -7 mpp-produce "$m" -- sh -c 'echo one; exit 7'
    gone_within 6000 "$tool"
    exits 3 $traced
    assert_equal "$(grep -Ec "^mpp-consume: $could_not_end" c.err)" 1
    grep -Eq "producer 0 \(pid [0-9]+\): 'sh .*' exited with status 7" c.err
}

@test "one behind a producer, too: the run is over, and others may follow" {
    needs_strace
    m=$(mpp-create)
    injected kill:error=EPERM mpp-produce --runs 2 "$m" -- sh -c 'echo one; exec sleep 1000' 2>p.err
    mpp-consume "$m" -n 1
    wait_for grep -Eq "^mpp-produce: $could_not_end" p.err
    wait_for doing 1 "waiting for START" "$m"
    kill -TERM "$tool"
    gone_within 6000 "$tool"
}

@test "a signal that comes while a command has its grace ends that" {
    for role in produce consume; do
        m=$(mpp-create)
        mpp-$role "$m" --attach-timeout 0 -- sh -c 'trap "" TERM; echo >ready; while :; do sleep 0.1; done' 2>err &
        tool=$!
        if [[ $role == produce ]]; then
            mpp-consume "$m" 2>other.err &
        else
            mpp-produce "$m" -- sleep 1000 2>other.err &
        fi
        other=$!
        wait_for test -e ready
        rm ready
        kill -TERM $tool
        fails $other
        sleep 0.2
        kill -TERM $tool
        gone_within 1000 $tool
        exits 143 $tool
    done
}

@test "a command whose execution hangs holds nobody up" {
    needs_strace
    for role in produce consume; do
        m=$(mpp-create)
        injected execve:delay_enter=20000000:when=2+ mpp-$role "$m" --attach-timeout 0 -- true 2>err
        if [[ $role == produce ]]; then
            mpp-consume "$m" 2>other.err &
        else
            mpp-produce "$m" -- sleep 1000 2>other.err &
        fi
        other=$!
        wait_for attached 2 "$m"
        wait_for is_idle "$tool"
        kill -TERM "$tool"
        exits 3 $other
        gone_within 5000 "$tool"
        kill -KILL $traced
    done
}

@test "a sandbox that refuses pidfd_open does not matter for commands, nor for --all" {
    needs_strace
    m=$(mpp-create -p 3)
    mpp-consume "$m" -o out &
    c=$!
    strace -qq -o calls -e signal=none -e trace=pidfd_open mpp-produce "$m" --all -- seq 10
    exits 0 $c
    is_empty calls
    m=$(mpp-create)
    mpp-consume "$m" -o out &
    c=$!
    strace -qq -o calls -e signal=none -e trace=pidfd_open mpp-produce "$m" -- seq 10
    exits 0 $c
    # Peers are watched by them, commands are not.
    grep -v "pidfd_open($c, " calls >others || true
    is_empty others
}

@test "signals that whoever started us has blocked or ignored are heard, and commands have them so" {
    env --block-signal=TERM true || skip "needs env --block-signal"
    strangely=(env "--block-signal=TERM,CHLD,CONT" "--ignore-signal=CHLD,XFSZ")
    m=$(mpp-create)
    "${strangely[@]}" mpp-produce "$m" -- cat /proc/self/status &
    p=$!
    mpp-consume "$m" -o status
    exits 0 $p
    # TERM is 15, CHLD 17, CONT 18, XFSZ 25.
    grep -q '^SigBlk:.*034000$' status
    grep -q '^SigIgn:.*101000[0-9]$' status
    m=$(mpp-create)
    mpp-produce "$m" -- sleep 1000 2>p.err &
    p=$!
    "${strangely[@]}" mpp-consume "$m" -- sleep 1000 &
    c=$!
    wait_for attached 2 "$m"
    kill -TERM $c
    gone_within 5000 $c
    exits 143 $c
    exits 3 $p
}

@test "the end of a command is seen when SIGCHLD was ignored" {
    m=$(mpp-create)
    seq 10 >in
    (trap '' CHLD; exec env --ignore-signal=CHLD mpp-produce "$m" -- sh -c 'cat in; exit 9') 2>p.err &
    p=$!
    run -3 mpp-consume "$m"
    exits 9 $p
}

@test "a signal that would end us at once ends us in order, with its name" {
    for sig in USR1 USR2 ALRM XCPU; do
        m=$(mpp-create)
        mpp-produce "$m" -- sh -c 'echo $$ >command.pid; exec sleep 1000' 2>p.err &
        p=$!
        mpp-consume "$m" 2>c.err &
        c=$!
        wait_for test -s command.pid
        kill -$sig $p
        exits $((128 + $(kill -l $sig))) $p
        exits 3 $c
        grep -q "ended by signal $(kill -l $sig) " c.err
        wait_for is_gone "$(<command.pid)"
        rm command.pid
    done
}

@test "an output, or a segment, beyond ulimit -f: an error that names the limit" {
    run -1 bash -c 'ulimit -f 100; exec mpp-create'
    assert_regex "$output" '^mpp-create: .*File too large.*ulimit -f'
    m=$(mpp-create)
    mpp-produce "$m" -- seq 2000000 2>p.err &
    p=$!
    run -1 bash -c 'ulimit -f 100; exec mpp-consume "$0" -o out' "$m"
    assert_regex "$output" "^mpp-consume: consumer 0: cannot write to out: File too large.*ulimit -f"
    exits 3 $p
    grep -q 'consumer 0 .*File too large' p.err
    # A command has the limit and the signal as we were started with them.
    m=$(mpp-create)
    mpp-produce "$m" -- seq 2000000 2>p.err &
    p=$!
    run -153 bash -c 'ulimit -f 100; ulimit -c 0; exec mpp-consume "$0" -- sh -c "exec cat >out"' "$m"
    exits 3 $p
}

@test "a filter that fails names its file" {
    seq 10 >a
    seq 10 >b
    m=$(mpp-create)
    mpp-consume "$m" >out 2>c.err &
    c=$!
    run -4 mpp-produce "$m" --filter 'cat; case $MPP_FILE in b) exit 4;; esac' a b
    assert_regex "$output" "^mpp-produce: producer 0: 'cat; .*' exited with status 4 on 'b' \(--filter\)"
    exits 3 $c
    grep -q "on 'b'" c.err
}

@test "what all of --all learn is said once" {
    m=$(mpp-create -p 6 -c 6)
    mpp-consume "$m" --all -- cat 2>c.err &
    c=$!
    mpp-produce "$m" --all -- sleep 1000 2>p.err &
    p=$!
    wait_for attached 12 "$m"
    mpp-create --remove "$m"
    exits 6 $c
    exits 6 $p
    one_line_of mpp-consume "$(<c.err)"
    one_line_of mpp-produce "$(<p.err)"
}

@test "a guard that somebody has stopped holds nobody up" {
    m=$(mpp-create)
    seq 10 >in
    mkfifo gate
    mpp-consume "$m" -- sh -c 'cat >out' &
    c=$!
    wait_for pgrep -P $c mpp-guard
    kill -STOP "$(pgrep -P $c mpp-guard)"
    mpp-produce "$m" in
    exits 0 $c
    same out in
}
