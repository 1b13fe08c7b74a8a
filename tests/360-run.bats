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

# ---- mpp-run -----------------------------------------------------------------------------------------

# Nothing of a job is left: this file has a /dev/shm to itself, where the machine lets it.
job_is_gone() {
    nothing_left && { [[ ! ${MPP_WORLD:-} ]] || ! compgen -G '/dev/shm/mpp_*'; }
}

# A healthy job says nothing but what its copies print.
run_job() { # OPTION|FILE|WORD...
    mpp-run "$@" 2>err || return
    [[ ! -s err ]] || fail "$(<err)"
}

@test "what the copies print is what one would, from FILEs and from standard input" {
    mkdir 'a dir'
    seq 30000 >"a dir/it's"
    seq 30001 50000 >'$b'
    : >empty
    run_job -j 3 "a dir/it's" '$b' empty -- sed 's/^/<'\''/' >got
    same <(sort got) <(seq 50000 | sed "s/^/<'/" | sort)
    run_job -- cat <'$b' >got
    same <(sort -n got) '$b'
    run_job -j 5 - empty <'$b' -- cat >got
    same <(sort -n got) '$b'
    # By key, each copy counts; merged, all is in order again.
    awk '{ print $1 % 7 "\t" $1 }' '$b' >keyed
    run_job -j 4 -k 1 keyed -- sh -c 'cut -f 1 | sort | uniq -c' >got
    same <(sort got) <(cut -f 1 keyed | sort | uniq -c | sort)
    run_job -j 4 --merge keyed -- sort >got
    same got <(sort keyed)
    run_job -j 4 --merge=2nr,1 keyed -- sort -t $'\t' -k 2,2nr -k 1,1 >got
    same got <(sort -t $'\t' -k 2,2nr -k 1,1 keyed)
    # Who printed it, and what records are.
    run_job -j 2 -P round-robin --tag -- cat <<<$'a\nb\nc' >got
    same <(sort got) <(printf '%s\n' $'0\ta' $'0\tc' $'1\tb')
    printf 'x\ny\0z' | run_job -j 2 -z -- cat >got
    same <(sort -z got) <(printf 'x\ny\0z\0')
    gzip -k '$b'
    run_job -j 4 --filter zcat '$b.gz' -- cat >got
    same <(sort -n got) '$b'
    job_is_gone
}

@test "without records one copy runs, with few of them no more than there are" {
    run_job -j 4 empty-{1..4} -- wc -l </dev/null >got && fail "there are no such files"
    : | run_job -j 4 -- wc -l >got
    same got <(echo 0)
    touch empty-{1..4}
    run_job -j 4 empty-{1..4} -- wc -l >got
    same got <(echo 0)
    run_job -j 4 -- wc -l <<<one >got
    same got <(echo 1)
    job_is_gone
}

@test "--dry-run prints a line that does the same" {
    seq 1000 >"it's"
    seq 1001 2000 >b
    mpp-run --dry-run -j 3 -k 1 "it's" b -- awk '{ print $1 "'\''" }' >line
    grep -q '^mpp-create -p2 -c3 -k 1 -- mpp-create -p3 -- sh -c ' line
    for shell in bash dash; do
        PATH=$MPP_B:$PATH $shell line >got
        same <(sort -n got) <(seq 2000 | sed "s/$/'/")
    done
}

# STATUS, and a line that says why; nothing is left.
job_fails() { # STATUS REGEX OPTION|FILE|WORD...
    local status=$1 regex=$2
    shift 2
    run "-$status" --separate-stderr mpp-run "$@"
    grep -Eq "^mpp-create: $regex" <<<"$stderr" || fail "no line is: $regex"$'\n'"$stderr"
    assert_equal "$(grep -c '^mpp-create: ' <<<"$stderr")" 1
    job_is_gone
}

@test "-o gives each copy a file of its own" {
    seq 30000 >in
    run_job -j 3 -k 1 -o 'out.%' in -- sh -c 'echo "$MPP_INDEX"; cat'
    for i in 0 1 2; do assert_equal "$(head -n 1 out.$i)" $i; done
    same <(tail -q -n +2 out.? | sort -n) in
    echo old >out.0
    run -3 mpp-run -j 1 -o 'out.%' in -- sh -c 'cat; exit 1'
    same out.0 <(echo old)
    run -2 mpp-run -j 2 -o out in -- cat
    assert_output --partial "--output 'out': 2 copies would write the same FILE; write 'out.%'"
    run -2 mpp-run -j 2 -o out.% --tag in -- cat
    assert_output --partial "nothing is gathered that --tag could be about"
    job_is_gone
}

@test "whatever of a job fails is its exit status, with its cause" {
    seq 100000 >in
    job_fails 3 "consumer [0-2] .*: 'sh -c cat; exit 7' exited with status 7" -j 3 in -- sh -c 'cat; exit 7'
    job_fails 3 "consumer [0-2] .*: cannot run 'no-such-command': No such file or directory" -j 3 in -- no-such-command
    job_fails 3 "producer [01] .*: cannot open 'no-such-file'" -j 2 in no-such-file -- cat
    job_fails 3 "producer 0 .*: 'no-such-filter' exited with status 127" --filter no-such-filter in -- cat
    job_fails 4 "consumer [01] .* died before its stream ended" -j 2 in -- sh -c 'kill -KILL $PPID; cat'
    run -3 --separate-stderr bash -c 'mpp-run in -- cat >/dev/full'
    grep -Eq "^mpp-create: consumer 0 .*: cannot write to standard output: No space left" <<<"$stderr"
    job_is_gone
    # What is no failure.
    run_job -j 3 --ok-status 0,1 in -- grep 99999 >got
    same got <(echo 99999)
    run -2 mpp-run -j 1 --no-such-option in -- cat
}

@test "who has seen enough ends the job, and it is no failure" {
    for n in 1 1000; do
        seq 10000000 | mpp-run -j 3 -- cat 2>err | head -n $n >got
        assert_equal "${PIPESTATUS[*]:1}" "0 0"
        assert_equal "$(wc -l <got)" $n
        [[ ! -s err ]] || fail "$(<err)"
        job_is_gone
    done
}

@test "SIGKILL and SIGTERM of mpp-run, at any time: nothing is left" {
    seed
    for ((round = 0; round < $(rounds 20); round++)); do
        sig=$((round % 2 ? 9 : 15))
        yes | mpp-run -j 2 -- sh -c 'sleep 0.01; cat' >got 2>err &
        job=$!
        until [[ $(readlink /proc/$job/exe) == */mpp-* ]]; do pause 0.001; done # until then it is this shell
        printf -v moment '0.%03d' $((RANDOM % 200))
        pause "$moment"
        kill -$sig $job
        exits $((128 + sig)) $job 2>/dev/null
        job_is_gone || fail "round $round, signal $sig after $moment s"
    done
}

@test "what mpp-run does not take" {
    run -2 mpp-run file
    assert_output --partial "which COMMAND? it stands behind --"
    run -2 mpp-run -k -j 4 file -- cat
    assert_output --partial -- "--key '-j': not a key"
    run -2 mpp-run -j 0 -- cat
    run -2 mpp-run --keep-order --block 4G -- cat
    assert_output --partial -- "--block '4G': expected a size from 1 to 1G"
    run -2 mpp-run --fixed x -- cat </dev/null
    assert_output --partial -- "mpp-create: --fixed 'x'"
}

# ---- in order ------------------------------------------------------------------------------------------

@test "--keep-order prints what one copy would, in the order of the input" {
    seq 200000 >a
    seq 200001 250000 >b
    run_job -j 4 --keep-order a b -- sed 's/$/x/' >got
    same got <(seq 250000 | sed 's/$/x/')
    # Blocks of one record, of less than one, of more than a ring; slow ones among quick ones.
    head -n 100 a >few
    for block in 1 5 10K; do
        run_job -j 3 --keep-order --block $block few -- sh -c 'sleep 0.00$(($$ % 9)); cat' >got
        same got few
    done
    run_job -j 2 --keep-order --block 3M <(cat a b a b) -- cat >got
    same got <(cat a b a b)
    # Copies that print nothing, more than they read, or read only the beginning.
    run_job -j 3 --keep-order --block 50 few -- sed -n '$p' >got
    assert_equal "$(tail -n 1 got)" 100
    same got <(sort -n got)
    run_job -j 3 --keep-order --block 100 few -- sed 'p;p' >got
    same got <(sed 'p;p' few)
    run_job -j 3 --keep-order --block 64K a -- head -n 1 >got
    assert_equal "$(head -n 1 got)" 1
    same got <(sort -n got)
    # Records of other kinds.
    printf 'a\nb\0c\0\0' >nul
    run_job -j 2 --keep-order -z --block 1 nul -- cat >got
    same got nul
    : | run_job -j 3 --keep-order -- wc -l >got
    same got <(echo 0)
    job_is_gone
}

@test "--keep-order: whatever of it fails is the exit status, and who has enough ends it" {
    seq 300000 >in
    job_fails 3 "consumer [0-2] .*: block [0-9]+: 'sh -c cat; exit 7' exited with status 7" -j 3 --keep-order --block 64K in -- sh -c 'cat; exit 7'
    job_fails 3 "consumer [0-2] .*: block 0: its command prints more than 100 bytes" -j 3 --keep-order --max-record 100 in -- seq 1000
    seq 10000000 | mpp-run -j 3 --keep-order -- cat 2>err | head -n 3 >got
    assert_equal "${PIPESTATUS[*]:1}" "0 0"
    same got <(seq 3)
    [[ ! -s err ]] || fail "$(<err)"
    job_is_gone
    for no in "-k 1" "-P any" --merge --tag "-o x.%"; do
        # shellcheck disable=SC2086 # words
        run -2 mpp-run --keep-order $no in -- cat
        assert_output --partial "blocks in turn, and takes them back in turn: not with --"
    done
    run -2 mpp-run --block 1M in -- cat
    assert_output --partial -- "--block is for --keep-order"
}

@test "blocks and turns by themselves, and what they do not go with" {
    m=$(mpp-create -c 2)
    run -2 mpp-consume "$m" --block -- cat
    assert_output --partial "of which size? mpp-create -P round-robin:SIZE"
    run -2 mpp-consume "$m" --block=1M
    assert_output --partial -- "--block is for one stream and a COMMAND"
    run -2 mpp-consume "$m" --block=1M --tag -- cat
    run -2 mpp-consume "$m" --in-turn --merge
    mpp-produce "$m" -- seq 100 & track
    mpp-consume "$m" -i 0 --block=7 -- tr '\n' , >zero & track
    mpp-consume "$m" -i 1 --block=1K -- sha1sum >one
    all_done
    # Two digits and a newline are three bytes: three of them are the first seven or more.
    assert_equal "$(head -c 12 zero | od -An -tx1 | tr -d ' \n')" "08000000312c332c352c372c"
    assert_equal "$(tail -c +5 one)" "$(seq 2 2 100 | sha1sum)"
    m=$(mpp-create -c 2 -P round-robin:1K)
    run -2 mpp-consume "$m" --block=2K -- cat
    assert_output --partial "stream '0' is dealt out in blocks of 1024 bytes, not of 2048: leave the size out"
    run -0 mpp-stat "$m"
    assert_output --partial "round-robin by blocks of 1.0K"
    mpp-create --remove "$m"
    for bad in round-robin: round-robin:0 round-robin:x round-robin:1T round-robin:2G round-robin:1Kx; do
        run -2 mpp-create -P $bad
        assert_output --partial "the size of a block is 1 to 1G bytes"
    done
    # Two that do not take turns.
    m=$(mpp-create -p 2)
    mpp-produce "$m" -i 0 -- seq 3 2>p.err &
    p=$!
    mpp-produce "$m" -i 1 -- seq 5 2>p.err &
    q=$!
    run -1 --separate-stderr mpp-consume "$m" --in-turn
    assert_output "$(printf '%s\n' 1 1 2 2 3 3)"
    assert_equal "$stderr" "mpp-consume: consumer 0: --in-turn: producer 0 has ended, and producer 1 has a record left: they do not take turns"
    wait $p $q || true
}
