load helpers

# Nothing is opened, started or done before somebody asks for it.

# The processes that PID has started, and those that they have, PID first.
family() { # PID
    local child
    echo "$1"
    for child in $(pgrep -P "$1"); do family "$child"; done
}

# The tools among processes, and what they do it with, but not their commands.
tools() { # PID...
    local pid
    for pid; do
        [[ $(<"/proc/$pid/comm") != mpp-* ]] || echo "$pid"
    done
}

traced_are() { # N LOG
    [[ $(awk '{ print $1 }' "$2" | sort -u | wc -l) == "$1" ]]
}

# For ten seconds, processes do nothing at all: strace finds each in the call in which it sleeps, and sees no other.
sleep_for_10_s() { # PID...
    local pid strace options=() wrong=0
    for pid; do options+=(-p "$pid"); done
    env -u MPP_TEST strace -q -o log "${options[@]}" &
    strace=$!
    wait_for traced_are $# log
    sleep 10
    cp log during
    kill -INT $strace
    wait $strace || true
    (($(grep -c '' during) == $#)) || wrong=1
    for pid; do
        grep -Eq "^$pid +(ppoll|poll|restart_syscall|wait4|epoll_wait|read)\(" during || wrong=1
    done
    ((wrong == 0)) && return
    echo "not one call for each of $#:"
    head -n 40 during
    return 1
}

@test "with no consumer, none of four commands is started, and nobody makes a system call for 10 s" {
    needs_strace
    m=$(mpp-create -p 4)
    mpp-produce "$m" --all -- sh -c 'touch started.$MPP_INDEX; echo x' &
    p=$!
    wait_for doing 4 "waiting for START" "$m"
    mapfile -t pids < <(family $p)
    assert_equal "${#pids[@]}" 5
    sleep_for_10_s "${pids[@]}"
    run ! ls started.*
    run -0 mpp-consume "$m"
    assert_output $'x\nx\nx\nx'
    wait $p
    assert_equal "$(echo started.*)" "started.0 started.1 started.2 started.3"
}

@test "a mesh whose sources are silent makes no system call for 10 s either" {
    needs_strace
    m=$(mpp-create -p 2 -c 2 --pid $$)
    mpp-produce "$m" --all -- sh -c 'echo x; exec sleep 1000' 2>p.err &
    p=$!
    mpp-consume "$m" --all -- sh -c 'exec cat >out.$MPP_INDEX' 2>c.err &
    c=$!
    # What they have said has arrived, and after that there is nothing to do.
    wait_for eval '[[ $(cat out.* | wc -l) == 2 ]]'
    wait_for doing 2 "reading its input" "$m"
    wait_for doing 2 "waiting for data" "$m"
    mapfile -t all < <(family $p; family $c)
    mapfile -t pids < <(tools "${all[@]}")
    ((${#pids[@]} >= 6))
    sleep_for_10_s "${pids[@]}"
    mpp-create --remove "$m"
    wait $p $c || true
}

@test "of four streams of one process, only the command of the one that is asked for is ever started" {
    needs_strace
    m=$(mpp-create -s a -s b -s c -s d)
    strace -f -qq -e trace=execve -e signal=none -o log mpp-produce "$m" \
        -s 'a=|echo a >>started; seq 1' -s 'b=|echo b >>started; seq 2' \
        -s 'c=|echo c >>started; seq 3' -s 'd=|echo d >>started; seq 4' --attach-timeout "$(patient 1)s" &
    p=$!
    wait_for doing 4 "waiting for START" "$m"
    run -0 mpp-consume "$m" -i 0 -s c
    assert_output $'1\n2\n3'
    # The others end unasked, which is no failure.
    wait $p
    same started <(echo c)
    # The tool, the shell, seq: what else was executed?
    run ! grep -v 'execve("[^"]*\(mpp-produce\|/sh\|/seq\)"' log
    assert_equal "$(grep -c 'execve(.*/sh".* = 0' log)" 1
}

@test "of four processes that serve a stream each, only the one that is asked starts its command" {
    m=$(mpp-create -s a -s b -s c -s d --pid $$)
    for s in a b c d; do
        mpp-produce "$m" -i 0 -s $s -- sh -c "echo $s >>started; seq 3" 2>$s.err &
        ps[36#$s - 10]=$!
    done
    wait_for doing 4 "waiting for START" "$m"
    run -0 mpp-consume "$m" -i 0 -s b
    assert_output $'1\n2\n3'
    exits 0 "${ps[1]}"
    wait_for doing 3 "waiting for START" "$m"
    same started <(echo b)
    mpp-create --remove "$m"
    wait "${ps[@]}" || true
    same started <(echo b)
}

@test "of four meshes with a command each, only the one with a consumer starts its command" {
    for i in 0 1 2 3; do
        ms[i]=$(mpp-create)
        mpp-produce "${ms[i]}" -- sh -c "echo $i >>started; seq 3" 2>$i.err &
        ps[i]=$!
        wait_for doing 1 "waiting for START" "${ms[i]}"
    done
    run -0 mpp-consume "${ms[2]}"
    assert_output $'1\n2\n3'
    exits 0 "${ps[2]}"
    same started <(echo 2)
    mpp-create --remove "${ms[@]}"
    wait "${ps[@]}" || true
    same started <(echo 2)
}

@test "four consumers ask, and the command runs once" {
    for _ in {1..10}; do
        rm -f started out.*
        m=$(mpp-create -c 4)
        mpp-produce "$m" -- sh -c 'echo x >>started; seq 10000' &
        track
        mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX' &
        track
        all_done
        same started <(echo x)
        same_lines <(cat out.*) <(seq 10000)
    done
}

@test "a file is not opened before it is asked for" {
    needs_strace
    m=$(mpp-create)
    echo hello >the-file
    strace -f -qq -e trace=openat,open -e signal=none -o log mpp-produce "$m" the-file &
    p=$!
    wait_for doing 1 "waiting for START" "$m"
    run ! grep the-file log
    run -0 mpp-consume "$m"
    assert_output hello
    wait $p
    run -0 grep -c the-file log
    assert_output 1
}

@test "a source that would block its opener forever costs nothing while nobody asks: a FIFO without a writer" {
    m=$(mpp-create)
    mkfifo fifo
    mpp-produce "$m" fifo &
    p=$!
    wait_for doing 1 "waiting for START" "$m"
    mpp-consume "$m" >out &
    c=$!
    # It is asked now, and still nobody hangs: the writer comes late.
    wait_for doing 1 "waiting for data" "$m"
    echo hello >fifo
    all_well $p $c
    same out <(echo hello)
}

@test "--eager is the exception: it starts with nobody there" {
    m=$(mpp-create -p 2)
    mpp-produce "$m" -i 0 --eager -- sh -c 'touch started.0; echo x' &
    track
    mpp-produce "$m" -i 1 -- sh -c 'touch started.1; echo y' &
    track
    wait_for test -e started.0
    wait_for doing 1 "waiting for START" "$m"
    run ! test -e started.1
    mpp-consume "$m" | sort >out
    all_done
    same out <(printf '%s\n' x y)
}
