load helpers

# Commands that use the terminal.  They are in a background process group there, and get it lent.

setup_file() {
    python3 -c "import pty" 2>/dev/null || skip "needs python3"
    cat >"$BATS_FILE_TMPDIR/ask" <<'SH'
cat >"${SINK:-/dev/null}" # where it has an input
[ -z "${FIRST:-}" ] || stty echo </dev/tty # the terminal is its own before it asks
printf 'name? ' >/dev/tty
read -r x </dev/tty
echo "got $x"
SH
}

# A job of a shell at a terminal, and what is typed when: `at_terminal JOB {PATTERN TYPED}...`.  Sets $seen.
at_terminal() {
    python3 "$BATS_TEST_DIRNAME/on-terminal.py" "$(patient 50)" '' '\$ ' 'set -b\n' '\$ ' "$1\n" "${@:2}" >seen || true
    if grep -Eq 'HANG|WAITED IN VAIN' seen; then
        cat seen
        fail "it hangs, or nothing is said"
    fi
}

ends_with_status() { # STATUS
    grep -q "status $1\$" seen || { cat seen; fail "the status is not $1"; }
}

leave=('status [0-9]+' 'exit\n')

consumer() {
    m=$(mpp-create)
    seq 3 >in
    cat >job <<SH
mpp-produce $m in & mpp-consume $m -- sh $BATS_FILE_TMPDIR/ask
echo "status \$?"
wait
SH
}

@test "a command behind a consumer asks at the terminal" {
    consumer
    at_terminal 'bash ./job' 'name\? ' 'hello\n' "${leave[@]}"
    grep -q '^got hello' seen
    ends_with_status 0
}

@test "a command behind a producer does" {
    m=$(mpp-create)
    cat >job <<SH
mpp-consume $m & mpp-produce $m -- sh $BATS_FILE_TMPDIR/ask </dev/null
echo "status \$?"
wait
SH
    at_terminal 'bash ./job' 'name\? ' 'hello\n' "${leave[@]}"
    grep -q 'got hello' seen
    ends_with_status 0
}

@test "three of --all ask, one after the other" {
    m=$(mpp-create -p 3)
    cat >job <<SH
mpp-consume $m -o out & mpp-produce $m --all -- sh $BATS_FILE_TMPDIR/ask
echo "status \$?"
wait
SH
    at_terminal 'bash ./job' 'name\? ' 'a\nb\nc\n' "${leave[@]}"
    ends_with_status 0
    same_lines out <(printf 'got %s\n' a b c)
}

@test "the settings of the terminal are a command's, too" {
    m=$(mpp-create)
    cat >job <<SH
mpp-consume $m -o out & mpp-produce $m -- sh -c 'stty -echo </dev/tty; stty echo </dev/tty; echo well' </dev/null
echo "status \$?"
wait
SH
    at_terminal 'bash ./job' "${leave[@]}"
    ends_with_status 0
    same out <(echo well)
}

@test "Ctrl-C reaches the command that has the terminal, and its end is told" {
    consumer
    at_terminal 'FIRST=1 bash ./job' 'name\? ' '\x03' "${leave[@]}"
    grep -q "mpp-consume: consumer 0: 'sh .*ask' was killed by signal 2" seen
    ends_with_status 130
}

@test "Ctrl-Z there suspends the job, fg continues it" {
    consumer
    at_terminal 'bash ./job' 'name\? ' '\x1a' 'Stopped.*' 'fg\n' 'bash ./job' 'hello\n' "${leave[@]}"
    grep -q '^got hello' seen
    ends_with_status 0
}

@test "in the background the job is stopped as one that reads the terminal itself; fg continues it" {
    consumer
    at_terminal 'bash ./job &' 'Stopped.*' 'fg\n' 'bash ./job' 'hello\n' "${leave[@]}"
    grep -q 'got hello' seen
    ends_with_status 0
}

@test "in the background, where no shell could continue it, it is a failure that says why" {
    consumer
    # Its parent has gone: no stop would have an effect.
    at_terminal "perl -e 'fork and exit; setpgrp; select undef, undef, undef, .2; exec @ARGV' bash ./job" "${leave[@]}"
    grep -q "mpp-consume: consumer 0: 'sh .*ask' wants the terminal" seen
    ends_with_status 1
}
