load helpers

# Those who wait for somebody who does not come, or does nothing, say for whom, and end.

wait=$((300 * slower * busy)) # milliseconds for which they wait
limit=${wait}ms
seconds=$((wait / 1000)).$((wait % 1000 / 100))
declare -gA pid

# Since then it has taken as long as the limit, and not much longer.
just_in_time() { # SINCE, an EPOCHREALTIME
    local ms=$(((${EPOCHREALTIME/./} - ${1/./}) / 1000))
    ((ms >= wait && ms < wait + $(late 1200))) || fail "it took $ms ms"
}

# As much as others wait for.
time_passes() {
    local m
    m=$(mpp-create)
    run -5 mpp-consume "$m" --attach-timeout $limit
    mpp-create --remove "$m"
}

# A participant's name, how long it waited, and for whom, in one line of its own.
said() { # FILE REGEX
    [[ $(wc -l <"$1") == 1 ]] && grep -Eq "$2" "$1" && return
    echo "$1 does not say $2:"
    cat "$1"
    return 1
}

# ---- who never comes, or comes late ----------------------------------------------------------------------------

@test "a producer that never comes: exit 5 after --attach-timeout, and its name" {
    m=$(mpp-create)
    begin=$EPOCHREALTIME
    run -5 --separate-stderr mpp-consume "$m" --attach-timeout $limit
    just_in_time "$begin"
    one_line_of mpp-consume "$stderr"
    assert_regex "$stderr" 'producer 0 never attached, .*--attach-timeout'
    # Nor does it come later.
    run -5 mpp-produce "$m" -- touch started
    run ! test -e started
}

@test "one of three producers never comes: all say which, after what the others had was delivered" {
    m=$(mpp-create -p 3)
    for i in 0 2; do
        mpp-produce "$m" -i $i -- sh -c "seq -f '$i %.0f' 1000; exec sleep 1000" 2>p$i.err &
        pid[p$i]=$!
    done
    mpp-consume "$m" --attach-timeout $limit >out 2>c.err &
    c=$!
    exits 5 $c
    exits 5 "${pid[p0]}"
    exits 5 "${pid[p2]}"
    for err in c.err p0.err p2.err; do said $err 'producer 1 never attached'; done
    same <(sort out) <(for i in 0 2; do seq -f "$i %.0f" 1000; done | sort)
    # It would find out as well.
    run -5 mpp-produce "$m"
    assert_output --partial "producer 1 never attached"
}

@test "a consumer that never comes: exit 5 as well, for the producer that waits to be asked and for one that waits for space" {
    m=$(mpp-create -c 2)
    begin=$EPOCHREALTIME
    run -5 --separate-stderr mpp-produce "$m" --attach-timeout $limit -- touch started
    just_in_time "$begin"
    one_line_of mpp-produce "$stderr"
    assert_regex "$stderr" 'consumer 0 never attached'
    run ! test -e started
    for _ in 0 1; do run -5 mpp-consume "$m"; done

    # One of two comes, but the records of the other have nowhere to go.
    m=$(mpp-create -c 2 -r 64K)
    mpp-produce "$m" --attach-timeout $limit -- yes 2>p.err &
    p=$!
    run -5 --separate-stderr mpp-consume "$m" -i 0 -o out
    assert_regex "$stderr" 'consumer 1 never attached'
    exits 5 $p
    said p.err 'consumer 1 never attached'
    run -5 mpp-consume "$m"
}

@test "--attach-timeout 0 waits for ever, on both sides" {
    m=$(mpp-create)
    other=$(mpp-create)
    mpp-consume "$m" --attach-timeout 0 >out &
    c=$!
    mpp-produce "$other" --attach-timeout 0 -- echo hello &
    p=$!
    wait_for doing 1 "waiting for data" "$m"
    wait_for doing 1 "waiting for START" "$other"
    # Longer than others would.
    time_passes
    doing 1 "waiting for data" "$m"
    doing 1 "waiting for START" "$other"
    mpp-produce "$m" -- echo hello
    run -0 mpp-consume "$other"
    assert_output hello
    all_well $c $p
    same out <(echo hello)
}

@test "producers that come late, one when the consumer waits, one when the other has ended" {
    m=$(mpp-create -p 2)
    mpp-consume "$m" --timeout 0 >out &
    c=$!
    wait_for doing 1 "waiting for data" "$m"
    mpp-produce "$m" -- seq 100000
    seq 100000 >expected
    wait_for same out expected
    wait_for doing 1 "waiting for data" "$m"
    mpp-produce "$m" -- seq 5
    exits 0 $c
    same out <(seq 100000; seq 5)
}

@test "a producer that has come in time is not timed by --attach-timeout, however long it is silent" {
    m=$(mpp-create)
    mkfifo now
    mpp-produce "$m" --attach-timeout $limit -- cat now &
    p=$!
    mpp-consume "$m" --attach-timeout $limit >out &
    c=$!
    exec {now}>now
    time_passes
    time_passes
    echo at last >&"$now"
    exec {now}>&-
    all_well $p $c
    same out <(echo at last)
}

# ---- who is silent ---------------------------------------------------------------------------------------------

@test "--timeout: a producer that falls silent is named with its pid and what it is doing; its records are there" {
    while IFS='|' read -r command label activity; do
        m=$(mpp-create -p 2)
        eval "exec mpp-produce $m -i 1 -- $command" 2>p1.err &
        pid[p1]=$!
        mpp-produce "$m" -i 0 -- seq 500 2>p0.err &
        pid[p0]=$!
        status=0
        mpp-consume "$m" --timeout $limit >out 2>c.err || status=$?
        assert_equal "$status" 5
        reason="no record came from producer 1 \(pid ${pid[p1]}, $label\) for $seconds s .*it has been $activity for [0-9.]+ s"
        [[ $MPP_SAN ]] || said c.err "^mpp-consume: .*$reason"
        exits 5 "${pid[p1]}"
        said p1.err 'no record came from producer 1'
        # The other one has done all, and may have left before.
        exits 0 "${pid[p0]}" || exits 5 "${pid[p0]}"
        same_lines out <(seq 500; seq 10)
    done <<'EOF'
sh -c 'seq 10; exec sleep 1000'|sh|reading its input
sh -c 'seq 10; exec >&-; exec sleep 1000'|sh|waiting for its command
EOF
}

@test "--timeout is not for those who go on slowly, nor for those who have ended" {
    m=$(mpp-create -p 2)
    mpp-produce "$m" -i 0 -- seq -f '0 %.0f' 10 &
    track
    # Each of the pauses is shorter, all of them are much longer.
    mpp-produce "$m" -i 1 -- perl -e '$| = 1; for (1 .. 10) { select undef, undef, undef, 0.1 * '"$((slower * busy))"'; print "1 $_\n" }' &
    track
    mpp-consume "$m" --timeout $((500 * slower * busy))ms >out &
    track
    all_done
    same <(sort out) <(for i in 0 1; do seq -f "$i %.0f" 10; done | sort)
}

@test "--timeout does not count while the consumer itself is blocked on its output" {
    m=$(mpp-create -r 64K)
    mpp-produce "$m" -- seq 1000000 &
    p=$!
    mkfifo out
    exec {both}<>out
    mpp-consume "$m" --timeout $limit >out 2>c.err {both}>&- &
    c=$!
    exec {reader}<out {both}>&-
    wait_for doing 1 "waiting for space" "$m"
    # For as long as it takes others to time out twice, nobody reads.
    time_passes
    time_passes
    cat <&"$reader" >got
    exec {reader}<&-
    all_well $p $c
    same got <(seq 1000000)
    is_empty c.err
}

@test "--timeout of a producer: a consumer that takes nothing is named with what it is doing" {
    m=$(mpp-create -r 64K)
    mkfifo out
    exec {both}<>out
    mpp-consume "$m" >out 2>c.err {both}>&- &
    c=$!
    exec {reader}<out {both}>&-
    status=0
    mpp-produce "$m" --timeout $limit -- yes 2>p.err || status=$?
    assert_equal "$status" 5
    said p.err "^mpp-produce: consumer 0 \(pid $c\) took nothing for .*it has been writing its output for [0-9.]+ s"
    cat <&"$reader" >got
    exec {reader}<&-
    exits 5 $c
    said c.err "^mpp-consume: consumer 0 \(pid $c\) took nothing"
    (($(grep -cx y got) > 30000))
    run ! grep -qvx y got
}

# ---- who waits for everybody -----------------------------------------------------------------------------------

@test "--barrier: nobody starts before everybody is there" {
    m=$(mpp-create -p 2 -c 2)
    mpp-produce "$m" -i 0 --barrier --eager -- sh -c 'touch started.0; seq 1 2 1000' &
    track
    mpp-consume "$m" -i 0 --barrier >out.0 &
    track
    mpp-produce "$m" -i 1 --barrier -- sh -c 'touch started.1; seq 2 2 1000' &
    track
    wait_for attached 3 "$m"
    for pid in "${tracked[@]}"; do wait_for is_idle "$pid"; done
    run ! ls started.0 started.1
    mpp-consume "$m" >out.1 &
    track
    all_done
    same_lines <(cat out.0 out.1) <(seq 1000)
    test -e started.0 -a -e started.1
}

@test "--barrier and one who never comes: exit 5, and its name" {
    m=$(mpp-create -p 2 -c 2)
    for who in "produce 0" "consume 0" "consume 1"; do
        read -r tool i <<<"$who"
        "mpp-$tool" "$m" -i "$i" --barrier --attach-timeout $limit </dev/null >/dev/null 2>"$tool.$i.err" &
        track
    done
    for p in "${tracked[@]}"; do exits 5 "$p"; done
    for err in *.err; do said "$err" 'producer 1 never attached'; done
    run -5 mpp-produce "$m" -- touch started
    run ! test -e started
}

# ---- who is not asked ------------------------------------------------------------------------------------------

@test "a stream that nobody asked for ends unasked, --attach-timeout after the last consumer has left" {
    m=$(mpp-create -s a -s b)
    mkfifo now
    mpp-produce "$m" -s 'a=|cat now' -s 'b=|touch started' --attach-timeout $limit 2>p.err &
    p=$!
    mpp-consume "$m" -i 0 -s a >out &
    c=$!
    exec {now}>now
    # While there is a consumer, time does not count.
    time_passes
    wait_for doing 2 "reading its input" "$m"
    echo x >&"$now"
    begin=$EPOCHREALTIME
    exec {now}>&-
    exits 0 $c
    exits 0 $p
    just_in_time "$begin"
    same out <(echo x)
    is_empty p.err
    run ! test -e started
}

@test "a producer of which all consumers had enough before it came is not wanted any more" {
    m=$(mpp-create -p 2)
    mpp-produce "$m" -i 0 -- yes &
    p=$!
    run -0 mpp-consume "$m" -n 1
    assert_output y
    exits 0 $p
    run -0 mpp-produce "$m" -- touch started
    assert_output ""
    run ! test -e started
}
