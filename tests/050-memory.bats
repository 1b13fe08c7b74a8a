load helpers

# SCALE: GB through the small ring; 10 is what is promised, 1 is what there is time for.
: "${SCALE:=1}"

# The most memory that a command under `/usr/bin/time -f %M -o FILE` had, in KiB.
peak() { # FILE
    tail -n 1 "$1"
}

# 16 MiB and the rings, each of which is mapped twice.
within_bounds() { # FILE RINGS
    local limit=$((16384 + 2 * 64 * $2))
    [[ -z ${MPP_SAN:-} ]] || return 0
    (($(peak "$1") < limit)) || fail "$1: $(peak "$1") KiB, more than $limit"
}

@test "many times a ring's size goes through it in bounded memory: a gather" {
    bytes=$((SCALE * $(scaled 1000000000)))
    line="a line of some eighty bytes, so that this is like the records of many a log file"
    m=$(mpp-create -p 2 -r 64K)
    for i in 0 1; do
        yes "$line" | head -c "$((bytes / 2))" |
            /usr/bin/time -f %M -o p$i.rss mpp-produce "$m" -i $i &
        track
    done
    /usr/bin/time -f %M -o c.rss mpp-consume "$m" | wc -lc >counted
    all_done
    # Each half ends inside a line, which gets its newline.
    n=$(((bytes / 2 + ${#line}) / (${#line} + 1)))
    ((bytes / 2 % (${#line} + 1) == 0)) && extra=0 || extra=2
    read -r got_lines got_bytes <counted
    assert_equal "$got_lines" $((2 * n))
    assert_equal "$got_bytes" $((bytes + extra))
    within_bounds p0.rss 1
    within_bounds p1.rss 1
    within_bounds c.rss 2
}

@test "the same for a shuffle" {
    n=$((SCALE * $(scaled 4000000)))
    m=$(mpp-create -p 2 -c 2 -k 1 -r 64K)
    for i in 0 1; do
        seq "$n" | /usr/bin/time -f %M -o p$i.rss mpp-produce "$m" -i $i &
        track
        /usr/bin/time -f %M -o c$i.rss mpp-consume "$m" -i $i -- wc -l >counted.$i &
        track
    done
    all_done
    read -r a <counted.0
    read -r b <counted.1
    assert_equal $((a + b)) $((2 * n))
    for i in 0 1; do
        within_bounds p$i.rss 2
        within_bounds c$i.rss 2
    done
}

# Five processes that wait: to be asked, for space, for data, to read their input, to write their output.
@test "who waits makes no system call and uses no CPU, for ten seconds" {
    needs_strace
    mkfifo in
    a=$(mpp-create) b=$(mpp-create) c=$(mpp-create)
    # shellcheck disable=SC2034 # it only keeps the FIFO open
    exec {in}<>in
    mpp-produce "$a" -- yes &
    pids=($!)
    mpp-consume "$a" -- sleep 1000 &
    pids+=($!)
    mpp-produce "$b" <in &
    pids+=($!)
    mpp-consume "$b" >/dev/null &
    pids+=($!)
    mpp-produce "$c" --attach-timeout 0 <in &
    pids+=($!)
    wait_for doing 1 "waiting for space" "$a"
    wait_for doing 1 "writing its output" "$a"
    wait_for doing 1 "reading its input" "$b"
    wait_for doing 1 "waiting for data" "$b"
    for pid in "${pids[@]}"; do wait_for is_idle "$pid"; done

    cpu() { for pid in "${pids[@]}"; do cut -d ' ' -f 14,15 "/proc/$pid/stat"; done; }
    strace -f -qq -o trace "${pids[@]/#/-p}" 2>strace.err &
    tracer=$!
    # One line for each: the call that it was in when strace came, and is still in when strace leaves.
    calls() { grep -vc ' resumed>.*<detached' trace; }
    wait_for eval '(($(calls) == 5))'
    before=$(cpu)
    sleep 10
    assert_equal "$(cpu)" "$before"
    kill -INT $tracer
    wait $tracer || true
    (($(calls) == 5)) || fail "$(<trace)"
    mpp-create --remove "$a" "$b" "$c"
    for pid in "${pids[@]}"; do exits 6 "$pid"; done
}
