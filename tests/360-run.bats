# A job in one line: mpp-run, and the parts that it is made of.

load helpers

# What each consumer's COMMAND says, one line each.
tell_lines() {
    # shellcheck disable=SC2016 # for the COMMAND's shell
    mpp-consume "$@" -- sh -c 'n=$(wc -l); echo "$MPP_INDEX: $n"'
}

@test "--lazy: a COMMAND is started by the first record, and where there is none, by consumer 0" {
    for partition in any hash round-robin broadcast; do
        m=$(mpp-create -p 3 -c 4 -P $partition)
        mpp-produce "$m" --all -- true &
        run -0 tell_lines "$m" --all --lazy
        assert_output "0: 0"
        exits 0 $!
    done
    # One record, which goes to whoever has its key.
    seed
    for ((round = 0; round < $(rounds 20); round++)); do
        m=$(mpp-create -p 2 -c 5 -k 1)
        record=$RANDOM
        mpp-produce "$m" --all -- sh -c "[ \$MPP_INDEX = 1 ] || echo $record" &
        run -0 tell_lines "$m" --all --lazy
        assert_regex "$output" '^[0-4]: 1$'
        exits 0 $!
    done
    m=$(mpp-create -c 3)
    seq 10 | mpp-produce "$m" &
    tell_lines "$m" --all --lazy | sort >got
    same got <(printf '%s\n' '0: 4' '1: 3' '2: 3')
    # A record longer than a ring, and several runs.
    m=$(mpp-create -c 3 -r 64K)
    mpp-produce "$m" --runs 2 -- sh -c 'head -c 300000 /dev/zero; echo' &
    for _ in 1 2; do
        for i in 1 2; do mpp-consume "$m" -i $i --lazy -- false & done
        run -0 tell_lines "$m" -i 0 --lazy
        assert_output "0: 1"
        wait_for all_have_left "$m" 3
    done
}

# Nobody but the producer is attached, or the mesh is gone.
all_have_left() {
    local there
    there=$(mpp-stat --json "$1" 2>/dev/null | jq '[.participants[] | select(.role == "consumer" and .state == "live")] | length') || return 0
    ((there == 0))
}

@test "--lazy: what cannot be started fails when it is to be started, and what goes nowhere is refused" {
    m=$(mpp-create -c 2)
    mpp-produce "$m" -- echo x 2>err &
    mpp-consume "$m" -i 1 --lazy -- no-such-command &
    q=$!
    run -127 mpp-consume "$m" -i 0 --lazy -- no-such-command
    assert_output "mpp-consume: consumer 0: cannot run 'no-such-command': No such file or directory"
    wait $q || [[ $? == 3 ]] # it may have ended before
    m=$(mpp-create -b latest)
    run -2 mpp-consume "$m" --lazy -- cat
    assert_output --partial "--lazy: that nobody gets a record of stream '0' is never known"
    run -2 mpp-consume "$m" --lazy
    mpp-create --remove "$m"
    m=$(mpp-create)
    run -2 mpp-consume "$m" --lazy
    assert_output --partial "--lazy is for a COMMAND"
    mpp-create --remove "$m"
}
