load helpers

# What the tools do when they are refused what they need, or the segment goes from under them: no descriptor, no process,
# a segment that somebody truncates or unlinks.  Each test says in a failure what it was doing; nothing here is random.

# It ended with STATUS and said why in one line.
ended_with() { # STATUS PID ERR REGEX
    exits "$1" "$2" 2>/dev/null
    [[ $(grep -ac '^mpp-' "$3") == 1 ]] && grep -aEq "^mpp-[a-z]+: .*($4)" "$3" && return
    echo "$3 does not say in one line: $4"
    cat "$3"
    return 1
}

# ---- descriptors and processes -------------------------------------------------------------------------------

limit='(Too many open files|no descriptor).*ulimit -n'

# With 3 the dynamic loader gives up before there is anything of ours.
few='4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20'

with() { # N COMMAND...
    prlimit --nofile="$1" "${@:2}" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

@test "with 4 to 20 descriptors mpp-create makes a mesh, or names the limit and leaves nothing" {
    for n in $few; do
        status=0
        with "$n" "$MPP_B/mpp-create" >id 2>err || status=$?
        if ((status == 0)); then
            cat id >>meshes
            mpp-create --remove "$(<id)"
        else
            assert_equal "$n: $status" "$n: 1"
            grep -Eq "$limit" err || fail "$n: $(<err)"
            is_empty id
        fi
        nothing_left
    done
    ((status == 0))
}

is_over() {
    [[ $(state .mesh.state "$m" 2>/dev/null) != @(new|live) ]]
}

# Who was refused before it could attach has told nobody: another one takes its place, and all is well.
transfer_with() { # N LIMITED-ROLE
    local pid status=0 limited=(mpp-consume "$m" -o out) other=(mpp-produce "$m" -- seq 1000)
    if [[ $2 == p ]]; then
        limited=("${other[@]}")
        other=(mpp-consume "$m" -o out)
    fi
    "${other[@]}" 2>other.err &
    pid=$!
    with "$1" "${limited[@]}" 2>limited.err || status=$?
    if ((status)) && ! is_over; then
        "${limited[@]}"
        status=0
    fi
    wait $pid && outcome="$status 0" || outcome="$status $?"
}

@test "with 4 to 20 descriptors a participant works, or names the limit and the others are told" {
    for role in p c; do
        worked=0
        for n in $few; do
            m=$(mpp-create)
            rm -f out
            transfer_with "$n" $role
            case $outcome in
            "0 0") same out <(seq 1000) ;;
            "1 3") ;;
            *) fail "$role with $n: $outcome; $(cat limited.err other.err)" ;;
            esac
            if [[ -s limited.err ]]; then
                grep -Eq "$limit" limited.err || fail "$role with $n: $(<limited.err)"
            else
                worked=$((worked + 1))
            fi
            nothing_left
        done
        ((0 < worked && worked < 17)) || fail "$role worked with $worked of the 17"
    done
}

# The N-th fork of what follows fails.
forkless() { # N COMMAND...
    local n=$1
    shift
    strace -f -qq -o /dev/null -e trace=clone,clone3,fork,vfork \
        -e "inject=clone,clone3,fork,vfork:error=EAGAIN:when=$n" "$@"
}

@test "a process that cannot be started is said with its limit, and the others are told" {
    needs_strace
    for n in 1 2; do
        m=$(mpp-create)
        mpp-consume "$m" >out 2>c.err &
        c=$!
        forkless $n mpp-produce "$m" -- seq 1000 2>p.err &
        ended_with 1 $! p.err "cannot start 'seq'.*Resource temporarily unavailable"
        ended_with 3 $c c.err "cannot start 'seq'"
        is_empty out
        nothing_left

        m=$(mpp-create)
        mpp-produce "$m" -- seq 1000 2>p.err &
        p=$!
        forkless $n mpp-consume "$m" -- cat 2>c.err &
        ended_with 1 $! c.err "cannot start 'cat'.*Resource temporarily unavailable"
        ended_with 3 $p p.err "cannot start 'cat'"
        nothing_left
    done
}

@test "one of --all that cannot be started ends all of them" {
    needs_strace
    echo x >file
    for n in 1 2 3; do
        m=$(mpp-create -p 3)
        forkless $n mpp-produce "$m" --all file file file 2>p.err &
        exits 1 $!
        grep -q "cannot start process $n of 3.*ulimit -u" p.err
        mpp-create --remove "$m"
        nothing_left
    done
}

# ---- the segment goes ------------------------------------------------------------------------------------------

cut='truncated|not a mesh|corrupt|has [0-9]+ bytes'

# It exits 8, or 4 where what it has of the segment is there: then the other has died of it.
cut_off() { # PID ERR
    local status=0
    wait "$1" || status=$?
    ends+=$status
    case $status in
    8) one_line_of "$(cut -d : -f 1 "$2")" "$(<"$2")" && grep -Eq "$cut" "$2" ;;
    4) grep -q 'died before' "$2" ;;
    *) fail "$2: $status, $(<"$2")" ;;
    esac
}

# What a death by truncation leaves is nobody's: remove the name, and the directory for sockets.
clean() {
    mpp-create --remove "$m"
    private_shm 1M mpp-create --gc
    nothing_left
}

@test "a segment truncated while records flow: both ends exit 8 and say so, and their commands are ended" {
    needs_private_shm
    for size in 0 100 4096 8192 20000 60000; do
        ends=""
        m=$(mpp-create -r 64K)
        mpp-produce "$m" -- sh -c 'echo $$ >command.p; exec yes' 2>p.err &
        p=$!
        mpp-consume "$m" -- sh -c 'echo $$ >command.c; exec cat >/dev/null' 2>c.err &
        c=$!
        wait_for test -s command.p
        wait_for test -s command.c
        truncate -s $size "/dev/shm/mpp_$m"
        cut_off $p p.err
        cut_off $c c.err
        ((size > 0)) || assert_equal "$ends" "88"
        [[ $ends == *8* ]] || fail "$size: $ends"
        wait_for is_gone "$(<command.p)"
        wait_for is_gone "$(<command.c)"
        rm command.?
        clean
    done
}

# Producer and consumer of an idle mesh, both asleep.
idle() {
    m=$(mpp-create)
    rm -f in
    mkfifo in
    mpp-produce "$m" <in >/dev/null 2>p.err &
    p=$!
    exec {in}>in
    mpp-consume "$m" >out 2>c.err {in}>&- &
    c=$!
    wait_for doing 1 "waiting for data" "$m"
}

@test "a segment truncated while both ends sleep: the next record ends both with 8" {
    needs_private_shm
    for size in 0 4096; do
        idle
        truncate -s $size "/dev/shm/mpp_$m"
        echo x >&"$in" || true
        ended_with 8 $p p.err "$cut"
        ended_with 8 $c c.err "$cut"
        is_empty out
        exec {in}>&-
        clean
    done
}

@test "a segment truncated while a producer waits for space, and its consumer for a reader" {
    needs_private_shm
    m=$(mpp-create -r 64K)
    mkfifo pipe
    exec {both}<>pipe
    mpp-produce "$m" -- yes 2>p.err {both}>&- &
    p=$!
    mpp-consume "$m" >pipe 2>c.err {both}>&- &
    c=$!
    exec {pipe}<pipe {both}>&-
    wait_for doing 1 "writing its output" "$m"
    wait_for doing 1 "waiting for space" "$m"
    truncate -s 0 "/dev/shm/mpp_$m"
    cat <&"$pipe" >out
    ended_with 8 $c c.err "$cut"
    ended_with 8 $p p.err "$cut"
    # Whole lines, but for the one that was on its way out.
    assert_equal "$(head -c -1 out | tr -d 'y\n' | wc -c)" 0
    clean
}

@test "a segment truncated before anybody asks: who comes is told, who waits finds it when its time is up" {
    needs_private_shm
    m=$(mpp-create)
    mpp-produce "$m" --attach-timeout 1 <<<x 2>p.err &
    p=$!
    wait_for doing 1 "waiting for START" "$m"
    truncate -s 0 "/dev/shm/mpp_$m"
    mpp-consume "$m" 2>c.err &
    ended_with 8 $! c.err "$cut"
    ended_with 8 $p p.err "$cut"
    clean
}

@test "a segment that is unlinked: who is there goes on, who comes finds no mesh" {
    idle
    rm "/dev/shm/mpp_$m"
    run -6 mpp-consume "$m"
    run -6 mpp-produce "$m"
    run -0 mpp-create --remove "$m"
    seq 50000 >&"$in"
    exec {in}>&-
    all_well $p $c
    same out <(seq 50000)
    nothing_left

    m=$(mpp-create -r 64K)
    mpp-produce "$m" -- seq 3000000 &
    p=$!
    mpp-consume "$m" >after &
    c=$!
    wait_for test -s after
    rm "/dev/shm/mpp_$m"
    all_well $p $c
    same after <(seq 3000000)
}
