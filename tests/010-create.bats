load helpers

@test "mpp-create prints the id, alone on standard output" {
    run -0 --separate-stderr mpp-create
    assert_output --regexp '^[0-9a-f]{12}$'
    assert_equal "$stderr" ""
    mpp-create --remove "$output"
}

@test "the segment is its owner's only" {
    m=$(mpp-create)
    run -0 stat -c %a "/dev/shm/mpp_$m"
    assert_output 600
    mpp-create --remove "$m"
}

@test "a mesh can have a name, which is what is printed" {
    m=$(mpp-create --name "name-$$.$BATS_TEST_NUMBER")
    assert_equal "$m" "name-$$.$BATS_TEST_NUMBER"
    mpp-produce "$m" <<<hello &
    run -0 mpp-consume "$m"
    assert_output hello
    wait $!
}

@test "a name that is taken is refused, and the mesh that has it unharmed" {
    m=$(mpp-create --name "taken-$$.$BATS_TEST_NUMBER")
    run -1 --separate-stderr mpp-create --name "$m"
    assert_output ""
    one_line_of mpp-create "$stderr"
    [[ $stderr == *"$m"* ]]
    mpp-produce "$m" <<<hello &
    run -0 mpp-consume "$m"
    assert_output hello
    wait $!
}

@test "of 20 creators of one name exactly one wins" {
    name=race-$$.$BATS_TEST_NUMBER
    for i in {1..20}; do
        mpp-create --name "$name" >"won.$i" 2>/dev/null &
        pids[i]=$!
    done
    for pid in "${pids[@]}"; do wait "$pid" || true; done
    run -0 cat won.*
    assert_output "$name"
    mpp-create --remove "$name"
}

@test "--remove takes any number of meshes, and one that is gone is no error" {
    a=$(mpp-create) b=$(mpp-create)
    mpp-create --remove "$a" "$b"
    run -0 meshes
    assert_output ""
    run -0 mpp-create --remove "$a" "$b"
    assert_output ""
}

@test "--remove ends those who wait in the mesh" {
    m=$(mpp-create -p 2 -c 1)
    mpp-produce "$m" -- yes 2>p.err &
    p=$!
    mpp-consume "$m" >/dev/null 2>c.err &
    c=$!
    wait_for attached 2 "$m"
    mpp-create --remove "$m"
    exits 6 $p
    exits 6 $c
    one_line_of mpp-produce "$(<p.err)"
    one_line_of mpp-consume "$(<c.err)"
}

@test "the last one out removes segment, sockets and directory" {
    m=$(mpp-create -p 2 -c 2)
    mpp-produce "$m" --all -- echo x &
    mpp-consume "$m" --all -- sh -c 'cat >/dev/null'
    wait $!
    nothing_is_left
}

@test "--keep leaves the mesh for a look" {
    m=$(mpp-create --keep)
    mpp-produce "$m" <<<x &
    mpp-consume "$m" >/dev/null
    wait $!
    run -0 state .mesh.state "$m"
    assert_output closed
    run -6 mpp-consume "$m"
    mpp-create --remove "$m"
}

@test "rings are 1M, and less where many channels would take more than 256M together" {
    for case in "1 1 1048576" "16 16 1048576" "32 32 262144" "64 64 65536"; do
        read -r p c size <<<"$case"
        m=$(mpp-create -p "$p" -c "$c")
        run -0 state .mesh.ring_size "$m"
        assert_output "$size"
        mpp-create --remove "$m"
    done
}

@test "an untouched mesh takes next to no memory" {
    m=$(mpp-create -p 64 -c 64)
    run -0 du -k "/dev/shm/mpp_$m"
    ((${output%%[!0-9]*} < 4096))
    mpp-create --remove "$m"
}

@test "a full /dev/shm is an error that says how much was wanted and how much there is" {
    needs_private_shm
    run -1 --separate-stderr private_shm 64K mpp-create -p 64 -c 64
    assert_output ""
    one_line_of mpp-create "$stderr"
    [[ $stderr =~ [0-9] ]]
    # The mesh fits, the producer's rings do not.
    run -0 private_shm 4M bash -c '
        m=$(mpp-create -p 1 -c 4 --ring-size 4M) || exit 50
        mpp-produce "$m" <<<x 2>err && exit 51
        echo $?
        cat err >&2
        mpp-create --remove "$m"'
    assert_line 1
    assert_line --regexp '^mpp-produce: .*[0-9]'
}

@test "--pid: when that process dies, everybody in the mesh is ended and it is removed" {
    sleep 1000 &
    owner=$!
    m=$(mpp-create -p 2 -c 2 --pid $owner)
    mpp-produce "$m" -- yes 2>p.err &
    p=$!
    mpp-consume "$m" >/dev/null 2>c.err &
    c=$!
    wait_for attached 2 "$m"
    kill -KILL $owner
    fails $p
    fails $c
    one_line_of mpp-produce "$(<p.err)"
    one_line_of mpp-consume "$(<c.err)"
}

@test "--pid: a process that is gone already is refused" {
    true &
    wait $!
    run ! mpp-create --pid $!
    one_line_of mpp-create "$output"
}

# What follows removes whatever can be removed, so it does not do that in everybody's /dev/shm.

@test "--gc leaves a fresh mesh, and one that is used" {
    needs_private_shm
    run -0 private_shm 64M bash -c '
        a=$(mpp-create) b=$(mpp-create -p 2)
        sleep 1000 | mpp-produce "$b" --eager &
        until mpp-stat -J "$b" | grep -q "\"live\":1"; do :; done
        mpp-create --gc
        ls /dev/shm/mpp_"$a" /dev/shm/mpp_"$b" >&2
        mpp-create --remove "$a" "$b"
        kill $(jobs -p) 2>/dev/null
        pkill -P $$
        wait'
    refute_output --partial "No such"
}

@test "--gc removes a mesh whose participants were killed, one whose --pid is gone, and one half made" {
    needs_private_shm
    run -0 private_shm 64M bash -c '
        a=$(mpp-create -p 2)
        mpp-produce "$a" -- yes & p=$!
        until mpp-stat -J "$a" | grep -q "\"live\":1"; do :; done
        kill -KILL $p
        sleep 1000 & p=$!
        b=$(mpp-create --pid $p)
        kill -KILL $p
        wait
        (umask 077; head -c 4096 /dev/zero >/dev/shm/mpp_0123456789ab)
        mpp-create --gc >removed
        cut -f 1 removed | sort
        echo left: $(ls /dev/shm)
        echo wanted: $(printf "%s\n" "$a" "$b" 0123456789ab | sort)' 
    assert_line "left:"
    wanted=$(sed -n 's/^wanted: //p' <<<"$output" | tr ' ' '\n')
    run -0 cut -f 1 removed
    assert_equal "$(sort <<<"$output")" "$wanted"
    run -0 cat removed
    assert_line --regexp '^[0-9a-f]{12}'$'\t''.'
}

@test "several cleaners at once: each mesh is removed by exactly one" {
    needs_private_shm
    run -0 private_shm 256M bash -c '
        sleep 1000 & p=$!
        for i in {1..20}; do mpp-create --pid $p; done >made
        kill -KILL $p
        for i in {1..20}; do mpp-create --gc >>removed & done
        wait
        ls /dev/shm'
    refute_line --partial mpp_
    same <(sort made) <(cut -f 1 removed | sort)
}
