load helpers

setup_file() {
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
}

# Skip where /dev/shm is smaller than that many MiB.
needs_shm() { # MIB
    local free
    free=$(df -m --output=avail /dev/shm | tail -n 1)
    ((free > $1)) || skip "/dev/shm has only $free of $1 MiB free"
}

@test "forty meshes at once" {
    for k in {1..40}; do all[k]=$(mpp-create -r 64K); done
    run -0 meshes
    assert_equal "${#lines[@]}" 40
    pids=()
    for k in {1..40}; do
        seq "$k" 1000 | mpp-produce "${all[k]}" &
        pids+=($!)
        mpp-consume "${all[k]}" >"out.$k" &
        pids+=($!)
    done
    all_well "${pids[@]}"
    for k in {1..40}; do same "out.$k" <(seq "$k" 1000); done
}

@test "64 x 64: all attached in under 5 s, with no more than 1024 descriptors each" {
    needs_shm 320
    m=$(mpp-create -p 64 -c 64 -k 1 --name "big-$$")
    ulimit -n 1024
    begin=${EPOCHREALTIME/./}
    mpp-produce "$m" --all -- sh -c 'until [ -e go ]; do sleep 0.1; done; seq $MPP_INDEX 64 10000' &
    p=$!
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX' &
    c=$!
    wait_for attached 128 "$m"
    ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
    ((ms < $(late 5000))) || fail "$ms ms"
    touch go
    all_well $p $c
    same <(sort -n out.*) <(seq 0 10000)
}

@test "256 producers to one consumer, one producer to 256 consumers" {
    patience=(--attach-timeout "$((30 * slower * busy))s")
    m=$(mpp-create -p 256 -r 64K)
    mpp-produce "$m" "${patience[@]}" --all -- sh -c 'seq $MPP_INDEX 256 9999' &
    mpp-consume "$m" "${patience[@]}" >out
    wait $!
    same <(sort -n out) <(seq 0 9999)
    m=$(mpp-create -c 256 -r 64K)
    seq 0 9999 | mpp-produce "$m" "${patience[@]}" &
    mpp-consume "$m" "${patience[@]}" --all -- sh -c 'cat >out.$MPP_INDEX'
    wait $!
    for j in 0 1 100 255; do same out.$j <(seq $j 256 9999); done
    same <(sort -n out.*) <(seq 0 9999)
}

@test "a mesh of 256 x 256 can be made, looked at and removed" {
    m=$(mpp-create -p 256 -c 256)
    run -0 state '[.mesh.producers, .mesh.consumers, .mesh.ring_size] | join(" ")' "$m"
    assert_output "256 256 65536"
    mpp-create --remove "$m"
}

@test "a thousand streams in a mesh with a single lane" {
    mapfile -t options < <(seq -f '-ss%.0f' 1000)
    m=$(mpp-create "${options[@]}" --lanes 1)
    mpp-produce "$m" -s s1=<(echo first) -s s1000=<(echo last) -i 0 &
    p=$!
    run -0 mpp-consume "$m" -i 0 -s s1000 -s s1=first
    assert_output last
    wait $p
    same first <(echo first)
}

@test "a limit of descriptors that is too low is named" {
    m=$(mpp-create -p 32 -c 32)
    for n in 8 12 20; do
        status=0
        (
            ulimit -n $n
            mpp-produce "$m" --attach-timeout 1 <<<x
        ) 2>err || status=$?
        # It may get by with so few, and then nobody comes.
        ((status == 5)) && continue
        assert_equal "$status" 1
        grep -Eiq 'descriptor|open files|ulimit' err || fail "$(<err)"
        one_line_of mpp-produce "$(<err)"
        break
    done
    mpp-create --remove "$m"
}
