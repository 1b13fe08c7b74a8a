load helpers

# Who comes when, and who is gone when: nobody hangs, every exit is 0, and nothing is left (see teardown).

@test "producers that have finished before any consumer starts" {
    m=$(mpp-create -p 3 -c 2)
    for i in 0 1 2; do mpp-produce "$m" --eager <<<"from $i"; done
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX'
    same_lines <(cat out.*) <(printf 'from %d\n' 0 1 2)
}

@test "producers that wait long before anyone asks" {
    m=$(mpp-create -p 2)
    mpp-produce "$m" --all -- sh -c 'touch asked.$MPP_INDEX; echo x' &
    p=$!
    wait_for doing 2 "waiting for START" "$m" || wait_for attached 2 "$m"
    run ! ls asked.*
    run -0 mpp-consume "$m"
    assert_output $'x\nx'
    wait $p
}

@test "consumers that wait long before anyone produces" {
    m=$(mpp-create -c 2)
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX' &
    c=$!
    wait_for doing 2 "waiting for data" "$m"
    seq 10 | mpp-produce "$m"
    wait $c
    same_lines <(cat out.*) <(seq 10)
}

# Has this participant been there?
has_come() { # ROLE INDEX MESH
    local state
    state=$(state ".mesh.endpoints[] | select(.role == \"$1\" and .index == $2) | .state" "$3")
    [[ $state != free ]]
}

@test "consumers that start one by one" {
    m=$(mpp-create -p 2 -c 4)
    mpp-produce "$m" --all -- seq 1000 &
    p=$!
    for j in 0 1 2 3; do
        mpp-consume "$m" >out.$j &
        cs[j]=$!
        wait_for has_come consumer $j "$m"
    done
    all_well $p "${cs[@]}"
    same_lines <(cat out.*) <(seq 1000; seq 1000)
}

@test "consumers each of which starts when the one before has finished" {
    m=$(mpp-create -p 2 -c 4)
    mpp-produce "$m" --all -- seq 1000 &
    for j in 0 1 2 3; do mpp-consume "$m" >out.$j; done
    wait $!
    same_lines <(cat out.*) <(seq 1000; seq 1000)
}

@test "head -1 while two of four producers have not started yet" {
    m=$(mpp-create -p 4)
    for i in 0 1; do
        mpp-produce "$m" -- seq 1 1000000000 &
        ps[i]=$!
    done
    run -0 bash -c 'set -o pipefail; mpp-consume "$0" | head -n 1' "$m"
    assert_output 1
    all_well "${ps[@]}"
    # They are not needed any more, and their source is never started.
    for i in 2 3; do mpp-produce "$m" -- touch started.$i; done
    run ! ls started.*
}

@test "head -1, and the late producers come all the same while the others still run" {
    m=$(mpp-create -p 3)
    mkfifo in
    mpp-produce "$m" -- sh -c 'echo x; exec sleep 1000' &
    ps=($!)
    bash -c 'set -o pipefail; mpp-consume "$0" | head -n 1 >got' "$m" &
    c=$!
    mpp-produce "$m" </dev/null &
    ps+=($!)
    mpp-produce "$m" -- seq 10 &
    ps+=($!)
    all_well $c "${ps[@]}"
    assert_equal "$(wc -l <got)" 1
}

@test "eight producers of very different inputs: no index is taken twice" {
    n=0
    for size in 0 1 10 100 1000 10000 100000 1000000; do
        seq "$size" | sed "s/^/$n /" >in.$n
        n=$((n + 1))
    done
    m=$(mpp-create -p 8)
    mpp-consume "$m" --tag >out &
    c=$!
    for i in {0..7}; do
        mpp-produce "$m" "in.$i" &
        ps[i]=$!
        # Small ones are done before the next one starts.
        ((i > 3)) || wait "${ps[i]}"
    done
    all_well $c "${ps[@]:4}"
    same_lines <(cut -f 2 out) <(cat in.*)
    # Each input came from an index of its own.
    awk '{ print $1, $2 }' out | sort -u >pairs
    assert_equal "$(cut -d ' ' -f 1 pairs | sort -u | wc -l)" 7
    assert_equal "$(wc -l <pairs)" 7
}

@test "an index that has been used is not claimed again" {
    m=$(mpp-create -p 2)
    mpp-produce "$m" --eager <<<first
    mpp-produce "$m" --eager <<<second
    run ! mpp-produce "$m" --eager <<<third
    one_line_of mpp-produce "$output"
    mpp-consume "$m" --tag | sort >out
    same out <(printf '%d\t%s\n' 0 first 1 second)
}

# Ctrl-C goes to the whole foreground group; what a script has put into the background ignores it.
@test "Ctrl-C in a script that uses --pid ends all of it" {
    cat >script <<'SCRIPT'
m=$(mpp-create -p 3 -c 2 --pid $$)
yes | mpp-produce $m &
mpp-produce $m -- yes &
mpp-produce $m -- sh -c 'yes | cat' &
mpp-consume $m -- sh -c 'cat >/dev/null' &
mpp-consume $m >/dev/null
echo survived >survived
SCRIPT
    setsid env --default-signal=INT bash script 2>err &
    s=$!
    wait_for eval '[[ -s meshes ]] && attached 5 "$(<meshes)"'
    kill -INT -- -$s
    status=0
    wait $s || status=$?
    assert_equal "$status" 130
    nothing_left
    [[ ! -e survived ]]
}

@test "a script that uses --pid and is killed takes all of it along" {
    cat >script <<'SCRIPT'
m=$(mpp-create -p 2 --pid $$)
mpp-produce $m --all -- yes &
mpp-consume $m >/dev/null &
wait
SCRIPT
    bash script 2>err &
    s=$!
    wait_for eval '[[ -s meshes ]] && attached 3 "$(<meshes)"'
    kill -KILL $s
    wait $s || true
    nothing_left
}

@test "SIGTERM to the processes of --all ends what they started" {
    m=$(mpp-create -p 3 -c 3)
    mpp-produce "$m" --all -- yes 2>p.err &
    p=$!
    mpp-consume "$m" --all -- sleep 1000 2>c.err &
    c=$!
    wait_for attached 6 "$m"
    kill -TERM $p
    wait_for is_gone $p
    wait_for is_gone $c
    nothing_left
}
