load helpers

# The directory for sockets, and namespaces: what a mesh finds around it.

# What a producer and a consumer that both wait have for an output and an input.
waiting_pair() { # MESH
    mkfifo in reader
    exec {both}<>reader
    mpp-consume "$1" >reader 2>c.err {both}>&- &
    c=$!
    mpp-produce "$1" -- seq 300000 2>p.err {both}>&- &
    p=$!
    exec {reads}<reader {both}>&-
    wait_for doing 1 "writing its output" "$1"
    wait_for doing 1 "waiting for space" "$1"
}

may_unshare() { # OPTION...
    unshare "$@" true 2>/dev/null || skip "no namespaces here"
}

@test "a mesh whose socket directory is removed while all sleep goes on" {
    m=$(mpp-create -r 64K)
    waiting_pair "$m"
    rm -r "$TMPDIR/mpp_$m"
    cat <&"$reads" >out
    all_well $p $c
    same out <(seq 300000)
}

@test "--remove ends those who sleep, also without their directory" {
    m=$(mpp-create -r 64K)
    waiting_pair "$m"
    rm -r "$TMPDIR/mpp_$m"
    run -0 mpp-create --remove "$m"
    exec {reads}<&-
    exits 6 $p
    wait $c || true
}

@test "who attaches when the directory is gone is reached, and the directory is there again" {
    m=$(mpp-create -p 2 -r 64K)
    mpp-consume "$m" >out &
    c=$!
    seq 1000 | mpp-produce "$m" -i 0 &
    p=$!
    all_well $p
    rm -r "$TMPDIR/mpp_$m"
    seq 1001 2000 | mpp-produce "$m" -i 1
    all_well $c
    same_lines out <(seq 2000)
}

@test "a consumer that sees another directory for sockets gets every record" {
    may_unshare -m
    mkdir sockets
    m=$(TMPDIR=$T/sockets mpp-create -r 64K)
    unshare -m bash -c 'mount -t tmpfs tmpfs "$1/sockets" && exec mpp-consume "$2"' - "$T" "$m" >out &
    c=$!
    wait_for attached 1 "$m"
    mpp-produce "$m" -- seq 300000
    all_well $c
    same out <(seq 300000)
}

@test "whatever the umask is, its owner can use a mesh" {
    for mask in 0777 0277 0177 0; do
        m=$(umask "$mask"; mpp-create)
        assert_equal "$(stat -c %a "$TMPDIR/mpp_$m")" 700
        (umask "$mask"; exec mpp-consume "$m") >out &
        c=$!
        (umask "$mask"; exec mpp-produce "$m") <<<hello
        all_well $c
        assert_equal "$(<out)" hello
    done
}

@test "an XDG_RUNTIME_DIR that cannot be used is told, and the next directory is taken" {
    : >file
    for unusable in /no/such "$T/file" /proc/1; do
        m=$(XDG_RUNTIME_DIR=$unusable mpp-create 2>err)
        assert_regex "$(<err)" "^mpp-create: XDG_RUNTIME_DIR '$unusable' cannot be used .*$TMPDIR/mpp_$m"
        mpp-consume "$m" >out &
        mpp-produce "$m" <<<hello
        all_well $!
        assert_equal "$(<out)" hello
    done
    m=$(XDG_RUNTIME_DIR=$T mpp-create 2>err)
    is_empty err
    mpp-create --remove "$m"
}

@test "a directory is there as long as its mesh, used or not, kept or not" {
    for keep in '' --keep; do
        m=$(mpp-create $keep)
        [[ -d $TMPDIR/mpp_$m ]] || fail "it is not there"
        mpp-create --remove "$m"
        [[ ! -e $TMPDIR/mpp_$m ]] || fail "it is still there"
    done
}

@test "the death of a peer in another PID namespace is learnt" {
    may_unshare -pf --mount-proc --kill-child
    m=$(mpp-create)
    mkfifo in
    mpp-produce "$m" <in 2>p.err &
    p=$!
    exec {in}>in
    unshare -pf --mount-proc --kill-child mpp-consume "$m" >out 2>c.err {in}>&- &
    c=$!
    echo hi >&"$in"
    wait_for test -s out
    kill -KILL $p
    exits 4 $c
    assert_regex "$(<c.err)" "producer 0 .*died"
    exec {in}>&-
}

@test "a process of another PID namespace is not judged: who attaches there to a mesh of --pid is refused" {
    may_unshare -pf --mount-proc --kill-child
    m=$(mpp-create --pid $$)
    run -1 --separate-stderr unshare -pf --mount-proc --kill-child mpp-consume "$m"
    assert_regex "$stderr" "tied to process $$ .*another PID namespace"
    mpp-consume "$m" >out &
    mpp-produce "$m" <<<hello
    all_well $!
}

@test "where a sandbox refuses pidfd_open(2), the death of a peer is learnt all the same" {
    needs_strace
    m=$(mpp-create -r 64K)
    mkfifo in
    mpp-produce "$m" <in 2>p.err &
    p=$!
    exec {in}>in
    strace -qq -o trace -e trace=pidfd_open -e inject=pidfd_open:error=EPERM mpp-consume "$m" >out 2>c.err {in}>&- &
    c=$!
    echo hi >&"$in"
    wait_for test -s out
    kill -KILL $p
    exits 4 $c
    assert_regex "$(<c.err)" "producer 0 .*died"
    exec {in}>&-
}

@test "a mesh of --pid that failed, or was never used, goes with the next mpp-create when its process is gone" {
    sleep 1000 &
    pid=$!
    never=$(mpp-create --pid $pid)
    failed=$(mpp-create -c 2 --pid $pid)
    mpp-produce "$failed" --eager -- false 2>p.err || true
    [[ -e /dev/shm/mpp_$failed ]] || fail "it does not wait for who is late"
    kill -KILL $pid
    wait $pid || true
    m=$(mpp-create)
    [[ ! -e /dev/shm/mpp_$never && ! -e /dev/shm/mpp_$failed ]] || fail "they are still there"
    mpp-create --remove "$m"
}
