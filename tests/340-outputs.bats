load helpers
# shellcheck disable=SC2154 # stderr is from run --separate-stderr

# Outputs that keep their writer waiting, and standard error that nobody reads: all that there is to hear is heard
# meanwhile.

# Ends process $2 by a signal, and sees that it is gone at once, with STATUS.
ended_by_term() { # STATUS PID
    local begin=${EPOCHREALTIME/./}
    kill -TERM "$2"
    exits "$1" "$2"
    ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
    ((ms <= $(patient 1000))) || fail "gone after $ms ms"
}

# A pipe that is full, which nobody reads, as descriptor 7.
full_pipe() {
    mkfifo full
    exec 7<>full
    timeout 1 dd if=/dev/zero bs=4096 of=/dev/fd/7 oflag=nonblock 2>/dev/null || true
}

@test "a FIFO that nobody reads: attached, nobody is asked, SIGTERM is heard" {
    mkfifo fifo
    m=$(mpp-create)
    mpp-consume "$m" -o fifo &
    c=$!
    wait_for doing 1 "writing its output" "$m"
    mpp-produce "$m" --attach-timeout 200ms -- sh -c 'touch asked; echo x' 2>p.err &
    p=$!
    wait_for doing 1 "waiting for START" "$m"
    sleep 0.5 # longer than the producer waits for somebody to attach
    doing 1 "waiting for START" "$m"
    ended_by_term 143 $c
    exits 3 $p
    [[ ! -e asked ]] || fail "the source was started"
}

@test "and when the reader comes, it gets everything" {
    mkfifo fifo
    m=$(mpp-create)
    mpp-produce "$m" -- seq 100000 & track
    mpp-consume "$m" -o fifo & track
    wait_for doing 1 "writing its output" "$m"
    cat fifo >out
    all_done
    same out <(seq 100000)
}

@test "two FIFOs, whose reader opens the second one first" {
    mkfifo one two
    m=$(mpp-create -s a -s b)
    mpp-produce "$m" -s 'a=|seq 3' -s 'b=|seq 5' & track
    mpp-consume "$m" -s a=one -s b=two & track
    wait_for doing 2 "writing its output" "$m"
    exec 5<two 6<one
    cat <&5 >b
    cat <&6 >a
    all_done
    same a <(seq 3)
    same b <(seq 5)
}

@test "behind a FIFO that nobody reads a death, --remove and --attach-timeout are heard" {
    mkfifo fifo
    m=$(mpp-create)
    mpp-produce "$m" -- seq 3 &
    p=$!
    mpp-consume "$m" -o fifo 2>c.err &
    c=$!
    wait_for attached 2 "$m"
    wait_for doing 1 "writing its output" "$m"
    kill -KILL $p
    exits 4 $c
    assert_regex "$(<c.err)" "producer 0 .* died"

    m=$(mpp-create)
    mpp-consume "$m" -o fifo 2>c.err &
    c=$!
    wait_for doing 1 "writing its output" "$m"
    mpp-create --remove "$m"
    exits 6 $c

    m=$(mpp-create)
    run -5 --separate-stderr finishes_within "$(patient 10)" mpp-consume "$m" -o fifo --attach-timeout 200ms
    assert_regex "$stderr" "producer 0 never attached"
    mpp-create --remove "$m"
}

@test "an output that is closed before anything was asked for is enough: everybody exits 0 at once" {
    for how in "" --barrier; do
        m=$(mpp-create)
        mpp-produce "$m" --attach-timeout 60s -- sh -c 'echo x; exec sleep 1000' &
        p=$!
        wait_for attached 1 "$m"
        # shellcheck disable=SC2086 # nothing, or an option
        finishes_within "$(patient 10)" mpp-consume "$m" $how | true
        assert_equal "${PIPESTATUS[*]}" "0 0"
        exits 0 $p
    done
    # With somebody who is still missing.
    m=$(mpp-create -c 2)
    mpp-produce "$m" -- seq 3 & track
    finishes_within "$(patient 10)" mpp-consume "$m" -i 0 --barrier -- true 2>/dev/null
    mpp-consume "$m" -i 1 >out & track
    all_done
}

@test "no records, or a command that ends at once: everybody exits 0" {
    for how in "-n 0" "-- true" "-o fifo -n 0"; do
        rm -f fifo
        mkfifo fifo
        m=$(mpp-create)
        mpp-produce "$m" --attach-timeout 60s -- sh -c 'exec sleep 1000' & track
        [[ $how != *fifo* ]] || cat fifo & track
        # shellcheck disable=SC2086 # words
        finishes_within "$(patient 10)" mpp-consume "$m" $how
        all_done
    done
}

@test "two consumers, one file: the second one is told so, and writes nothing" {
    m=$(mpp-create -c 2 -P broadcast)
    ln -s out link
    mpp-consume "$m" -i 0 -o out 2>c0.err &
    c=$!
    wait_for doing 1 "waiting for data" "$m"
    run -1 --separate-stderr mpp-consume "$m" -i 1 -o link
    assert_equal "$stderr" "mpp-consume: consumer 1: 'link' is being written by another process; each needs an output \
of its own"
    exits 3 $c
    mpp-create --remove "$m"
    echo old >out
    m=$(mpp-create)
    seq 3 | mpp-produce "$m" & track
    mpp-consume "$m" -o out # the file is free again, and is begun anew
    all_done
    same out <(seq 3)
}

@test "two streams of one process, one file, by two names: they append to it together" {
    m=$(mpp-create -s a -s b)
    ln -s out link
    mpp-produce "$m" -s 'a=|seq 1000' -s 'b=|seq 1001 2000' & track
    mpp-consume "$m" -s a=out -s b=link
    all_done
    same <(sort -n out) <(seq 2000)
}

# ---- names ---------------------------------------------------------------------------------------------

# What is in the directory but for what the tests put there.
files() {
    find . -maxdepth 1 -type f ! -name '*.err' ! -name meshes -printf '%f\n' | sort
}

@test "an output has its name when it is whole, and not before; what was there stays till then" {
    mkfifo gate
    echo old >out
    chmod 640 out
    ln -s out link
    m=$(mpp-create)
    mpp-produce "$m" -- sh -c 'seq 3; cat gate' & track
    mpp-consume "$m" -o link & track
    wait_for doing 1 "waiting for data" "$m"
    wait_for doing 1 "reading its input" "$m"
    same out <(echo old)
    assert_equal "$(files)" out
    echo end >gate
    all_done
    same out <(seq 3; echo end)
    assert_equal "$(stat -c '%a %N' out link | tr '\n' ' ')" "640 'out' 777 'link' -> 'out' "
    # New ones, also behind a link to nothing, have the mode that the umask says.
    ln -s new dangling
    umask 027
    m=$(mpp-create)
    mpp-produce "$m" -- seq 3 & track
    mpp-consume "$m" -o dangling
    all_done
    same new <(seq 3)
    assert_equal "$(stat -c %a new)" 640
}

@test "when anything fails, what was there stays, and nothing else is left" {
    echo old >out
    for keep in "" --keep-partial; do
        m=$(mpp-create)
        mpp-produce "$m" -- sh -c 'seq 3; exit 7' 2>p.err &
        p=$!
        # shellcheck disable=SC2086 # nothing, or an option
        run -3 mpp-consume "$m" $keep -o out
        exits 7 $p
        same out <(echo old)
        [[ $keep ]] || assert_equal "$(files)" out
        m=$(mpp-create)
        mpp-produce "$m" -- seq 3 2>p.err &
        p=$!
        # shellcheck disable=SC2086 # nothing, or an option
        run -9 mpp-consume "$m" $keep -o new -- sh -c 'cat; exit 9'
        wait $p || [[ $? == 3 ]] # its records all found room, or not
        [[ $keep ]] || assert_equal "$(files)" out
        # Killed: the file has no name yet, or one that says so.
        m=$(mpp-create)
        mpp-produce "$m" -- sh -c 'seq 3; exec sleep 1000' 2>p.err &
        p=$!
        # shellcheck disable=SC2086 # nothing, or an option
        mpp-consume "$m" $keep -o killed &
        c=$!
        wait_for doing 1 "waiting for data" "$m"
        wait_for doing 1 "reading its input" "$m"
        kill -KILL $c
        exits 137 $c 2>/dev/null
        exits 4 $p
        [[ $keep ]] || assert_equal "$(files)" out
    done
    assert_equal "$(files | tr '\n' ' ')" "killed.part new.part out out.part "
    for part in *.part; do same "$part" <(seq 3); done
    # A disk that is full.
    m=$(mpp-create)
    mpp-produce "$m" -- seq 100000 2>p.err &
    p=$!
    run -1 bash -c 'ulimit -f 100; exec mpp-consume "$0" -o out' "$m"
    exits 3 $p
    same out <(echo old)
}

@test "an output touches no file but its own, and no link of /proc is taken for a name" {
    echo old >out
    echo precious >out.part
    m=$(mpp-create)
    mpp-produce "$m" -- seq 3 & track
    mpp-consume "$m" -o out
    all_done
    same out <(seq 3)
    same out.part <(echo precious)
    m=$(mpp-create)
    mpp-produce "$m" -- seq 3 & track
    mpp-consume "$m" -o >(sed 's/^/x/' >piped)
    all_done
    wait_for same piped <(printf 'x%s\n' 1 2 3)
    m=$(mpp-create)
    mpp-produce "$m" -- seq 3 & track
    mpp-consume "$m" -o /dev/stdout | cat >through
    all_done
    same through <(seq 3)
}

@test "that nobody reads our standard output is nothing to an output that goes elsewhere" {
    echo old >out
    m=$(mpp-create)
    mpp-produce "$m" -- sh -c 'seq 3; exec sleep 1000' 2>p.err &
    p=$!
    mkfifo reader
    exec {both}<>reader
    mpp-consume "$m" -o out >reader {both}>&- 2>c.err &
    c=$!
    exec {both}>&-
    wait_for doing 1 "waiting for data" "$m"
    wait_for doing 1 "reading its input" "$m"
    kill -TERM $c
    exits 143 $c
    exits 3 $p
    same out <(echo old)
    m=$(mpp-create)
    mpp-produce "$m" -- seq 3 2>p.err &
    p=$!
    run -141 bash -c 'mpp-consume "$0" -o out -- sh -c "cat; exit 141" | true; exit "${PIPESTATUS[0]}"' "$m"
    wait $p || true
    same out <(echo old)
}

@test "a file that can only be written where it is: it is a mount, or its directory is not ours to change" {
    unshare -rm true 2>/dev/null || skip "no namespaces here"
    echo something longer >mounted
    touch target
    unshare -rm bash -c 'mount --bind mounted target
        m=$(mpp-create)
        mpp-produce $m -- seq 3 & mpp-consume $m -o target && wait $!'
    same mounted <(seq 3)
    is_empty target
    [[ $UID == 0 ]] || skip "only root can be another user"
    mkdir -m 755 theirs
    echo something longer >theirs/out
    chmod 666 theirs/out
    chmod 711 . && chmod 777 s
    setpriv --reuid=65534 --regid=65534 --clear-groups bash -c 'm=$(mpp-create)
        mpp-produce $m -- seq 4 & mpp-consume $m -o theirs/out && wait $!'
    same theirs/out <(seq 4)
}

@test "-o with a COMMAND is its standard output, and % is whose it is" {
    m=$(mpp-create -c 3)
    mpp-produce "$m" -- seq 9 & track
    mpp-consume "$m" --all -o 'out.%' -- sed 's/^/x/'
    all_done
    same out.1 <(printf 'x%s\n' 2 5 8)
    assert_equal "$(files | tr '\n' ' ')" "out.0 out.1 out.2 "
    m=$(mpp-create -c 2 -s a -s b)
    mpp-produce "$m" -s 'a=|seq 4' -s 'b=|seq 5 8' & track
    mpp-consume "$m" --all -s a=a.% -s 'b=50%%.%'
    all_done
    same a.1 <(printf '%s\n' 2 4)
    same '50%.0' <(printf '%s\n' 5 7)
    # A FIFO, and a command that is never started.
    mkfifo fifo
    m=$(mpp-create)
    mpp-produce "$m" -- seq 3 & track
    mpp-consume "$m" -o fifo -- sed 's/^/y/' & track
    same <(cat fifo) <(printf 'y%s\n' 1 2 3)
    all_done
    m=$(mpp-create -c 2)
    mpp-produce "$m" -- echo only & track
    echo old >lazy.1
    mpp-consume "$m" --all --lazy -o 'lazy.%' -- cat
    all_done
    same lazy.0 <(echo only)
    is_empty lazy.1
    m=$(mpp-create -c 2)
    run -2 mpp-consume "$m" --all -o out -- cat
    assert_output --partial "2 processes would write the same 'out'; write --output FILE.%"
    mpp-create --remove "$m"
}

@test "--sequential when the mesh fails before the last stream was asked for" {
    m=$(mpp-create -s a -s b -s c)
    mpp-produce "$m" -s 'a=|echo one; exit 7' -s 'b=|seq 3' -s 'c=|seq 3' 2>p.err &
    p=$!
    run -3 finishes_within "$(patient 10)" mpp-consume "$m" --sequential --keep-partial -s a=a -s b=b -s c=c
    exits 7 $p
    assert_equal "$(<a.part)" one
}

@test "standard error is a full pipe: nobody waits for it for long, and SIGTERM ends the waiting" {
    full_pipe
    m=$(mpp-create)
    mpp-produce "$m" -- false 2>&7 &
    p=$!
    mpp-consume "$m" 2>&7 &
    c=$!
    exits 1 $p
    exits 3 $c
    m=$(mpp-create)
    mpp-produce "$m" -- false 2>p.err &
    p=$!
    mpp-consume "$m" 2>&7 &
    c=$!
    exits 1 $p # it does not wait for who cannot say what it has learnt
    is_gone $c || ended_by_term 3 $c
}

@test "--summary for a FIFO that nobody reads, and for one that a slow reader has" {
    mkfifo summary
    m=$(mpp-create)
    seq 3 | mpp-produce "$m" & track
    run -0 --separate-stderr finishes_within "$(patient 10)" mpp-consume "$m" --summary=summary
    assert_regex "$stderr" "cannot write the summary to 'summary'"
    all_done
    m=$(mpp-create)
    exec 8<>summary
    seq 3 | mpp-produce "$m" & track
    mpp-consume "$m" --summary=summary >out
    read -r line <&8
    assert_equal "$(jq .status <<<"$line")" 0
    all_done
}

@test "control characters in names are not printed" {
    name=$'a\e[31mb\x7fc\xc2\x9bd\xc3\xa9'
    for tool in mpp-produce mpp-consume mpp-stat; do
        run -6 --separate-stderr "$tool" "$name"
        [[ $stderr != *[$'\e\x7f']* && $stderr != *$'\xc2\x9b'* ]] || fail "$tool: $stderr"
    done
    m=$(mpp-create)
    run -1 --separate-stderr mpp-consume "$m" -o "no/$name"
    assert_regex "$stderr" $'no/a\\?\\[31mb\\?c\\?\\?d\xc3\xa9'
    mpp-create --remove "$m"
    m=$(mpp-create)
    run -2 --separate-stderr mpp-consume "$m" --stream "$name"
    [[ $stderr != *[$'\e\x7f']* ]] || fail "$stderr"
    mpp-create --remove "$m"
}

@test "a pseudo-terminal's master takes its output itself" {
    python3 -c 0 2>/dev/null || skip "no python3"
    m=$(mpp-create)
    seq 3 | mpp-produce "$m" & track
    python3 - "$m" >got <<'PROGRAM'
import os, pty, subprocess, sys
master, slave = pty.openpty()
import tty
tty.setraw(slave)
p = subprocess.run(["mpp-consume", sys.argv[1]], stdout=master)
os.set_blocking(slave, False)
sys.stdout.write(os.read(slave, 100).decode())
sys.exit(p.returncode)
PROGRAM
    all_done
    same got <(seq 3)
}

# A pipe of another user cannot be opened anew, so that O_NONBLOCK would be everybody's.
@test "a pipe that may make its writer wait: all of it arrives, head is enough, a failure is told behind it" {
    ((EUID == 0)) && setpriv --reuid 65534 --clear-groups true 2>/dev/null || skip "needs root and setpriv"
    chmod 777 "$T" "$T/s"
    nobody=(setpriv --reuid 65534 --clear-groups)
    m=$("${nobody[@]}" mpp-create)
    "${nobody[@]}" mpp-produce "$m" -- seq 300000 & track
    "${nobody[@]}" mpp-consume "$m" | cat >out
    all_done
    same out <(seq 300000)

    m=$("${nobody[@]}" mpp-create)
    "${nobody[@]}" mpp-produce "$m" -- seq 1000000000 & track
    "${nobody[@]}" mpp-consume "$m" | head -n 1 >out
    assert_equal "${PIPESTATUS[*]}" "0 0"
    all_done

    m=$("${nobody[@]}" mpp-create)
    "${nobody[@]}" mpp-produce "$m" -- sh -c 'seq 100000; exit 3' 2>/dev/null &
    p=$!
    "${nobody[@]}" mpp-consume "$m" 2>/dev/null | { sleep 0.3 && cat >out; } || true
    exits 3 $p
    same out <(seq 100000)

    # It is full: SIGTERM is heard, and so is whoever empties it after all.
    full_pipe
    m=$("${nobody[@]}" mpp-create)
    "${nobody[@]}" mpp-produce "$m" -- seq 1000000 2>/dev/null &
    p=$!
    "${nobody[@]}" mpp-consume "$m" >&7 &
    c=$!
    wait_for doing 1 "writing its output" "$m"
    ended_by_term 143 $c
    exits 3 $p
}

@test "an output that is closed before its stream was asked for: nothing of it stands before its lane mate's records" {
    seq 1000 >in
    mkfifo fifo
    exec 7<>fifo
    exec 8>fifo 7<&- # 8 is a pipe that nobody reads
    m=$(mpp-create -c 2 -s a -P broadcast -s b -P broadcast --lanes 1)
    mpp-produce "$m" --barrier -s a=in -s b=in 8>&- & track
    wait_for attached 1 "$m" # it serves a single run of a, and it knows so
    mpp-consume "$m" -i 0 --barrier -s a -s b=0.b >&8 & track
    exec 8>&-
    wait_for doing 2 "waiting for everybody to attach" "$m"
    mpp-consume "$m" -i 1 --barrier -s a=1.a -s b=1.b & track
    all_done
    same 0.b in
    same 1.a in
    same 1.b in
}
