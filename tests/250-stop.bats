load helpers

# Stopped and continued, long past every time-out: time alone means nothing, and nothing is lost.

# Producers give a piece of 1000 lines `I N` every few milliseconds, for some tenths of a second.
setup_file() {
    local i j
    cd "$BATS_FILE_TMPDIR" || return
    for i in 0 1; do
        seq -f "$i %.0f" 40000 | split -l 1000 -a 2 - piece.$i.
    done
    # Of which consumers get these, by turns.
    for j in 0 1; do
        for i in 0 1; do
            seq -f "$i %.0f" $(((i + j) % 2 + 1)) 2 40000
        done | sha256sum >sum.$j
    done
    # One process: a shell that has forked one that was stopped before it had executed anything does not seem stopped.
    cat >slow <<'PERL'
use strict;
$| = 1;
for my $name (sort glob "$ENV{BATS_FILE_TMPDIR}/piece.$ENV{MPP_INDEX}.*") {
    open my $piece, '<', $name or exit 1;
    print <$piece> or exit 1;
    select undef, undef, undef, 0.012;
}
PERL
}

# Sleep; longer with sanitizers, and so is what all are patient for.
pause_ms() { # MILLISECONDS
    local ms=$(($1 * slower * busy)) seconds
    printf -v seconds '%d.%03d' $((ms / 1000)) $((ms % 1000))
    pause "$seconds"
}

declare -gA pid # of `p0`: producer 0, and so on

impatient=(--timeout $((300 * slower * busy))ms --attach-timeout $((600 * slower * busy))ms)

# A 2 x 2 mesh in full flow, whose participants wait for others for 300 ms at most.
flow() {
    local i
    rm -f out.?
    m=$(mpp-create -p 2 -c 2 -r 64K)
    mpp-consume "$m" -i 0 "${impatient[@]}" >out.0 2>c0.err &
    pid[c0]=$!
    mpp-consume "$m" -i 1 "${impatient[@]}" -- sh -c 'exec cat >out.1' 2>c1.err &
    pid[c1]=$!
    for i in 0 1; do
        mpp-produce "$m" -i $i "${impatient[@]}" -- perl "$BATS_FILE_TMPDIR/slow" 2>p$i.err &
        pid[p$i]=$!
    done
    wait_for test -s out.1
}

# The process group of the command behind WHO, none when it has ended.
command_of() { # WHO
    pgrep -P "${pid[$1]}" -x 'perl|cat'
}

# Signal what WHAT names: `p0`, the command of `p0-command`, everybody.
signal() { # SIGNAL WHAT
    local who
    case $2 in
    *-command) kill "-$1" -- "-$(command_of "${2%-command}")" ;;
    all) for who in p0 p1 c0 c1; do signal "$1" $who; done ;;
    producers) for who in p0 p1; do signal "$1" $who; done ;;
    consumers) for who in c0 c1; do signal "$1" $who; done ;;
    *) kill "-$1" "${pid[$2]}" ;;
    esac 2>/dev/null || true # what has ended by now needs no signal
}

byte_exact() {
    local who j
    for who in p0 p1 c0 c1; do
        exits 0 "${pid[$who]}" || fail "$(cat ./*.err)" || return
        is_empty $who.err || return
    done
    for j in 0 1; do
        sort -s -t ' ' -k 1,1 out.$j | sha256sum | same - "$BATS_FILE_TMPDIR/sum.$j" || return
    done
}

stop_rounds() { # WHAT...
    local what
    seed
    for what; do
        flow
        pause_ms $((RANDOM % 100))
        echo "stopping $what"
        signal STOP "$what"
        # Longer than any of them would wait, by random amounts: nothing depends on when it is that they go on.
        pause_ms $((400 + RANDOM % 500))
        signal CONT "$what"
        byte_exact
    done
}

@test "each participant is stopped past every time-out, and goes on: byte-exact" {
    stop_rounds p0 p1 c0 c1 p0 c0
}

@test "the commands are stopped, and go on" {
    stop_rounds p0-command c1-command p1-command c1-command p0-command
}

@test "all are stopped, or all of one side, and go on" {
    stop_rounds all producers consumers all producers consumers
}

@test "stopped again and again, one or the other, all the time" {
    seed
    for _ in 1 2 3; do
        flow
        for _ in {1..8}; do
            read -r what < <(printf '%s\n' p0 p1 c0 c1 p0-command c1-command all | shuf -n 1 --random-source=<(yes "$RANDOM"))
            signal STOP "$what"
            pause_ms $((RANDOM % 600))
            signal CONT "$what"
        done
        byte_exact
    done
}

@test "what goes on again still has the time that it had: a stop that ends just before the deadline, or just after" {
    seed
    m=$(mpp-create)
    mkfifo fifo
    mpp-produce "$m" -- cat fifo 2>p0.err &
    pid[p0]=$!
    mpp-consume "$m" --timeout $((1000 * slower * busy))ms >out 2>c0.err &
    pid[c0]=$!
    exec {fifo}>fifo
    round=0
    for stopped in 850 1000 1150 $((700 + RANDOM % 1000)); do
        for what in p0 p0-command; do
            round=$((round + 1))
            echo "$round: $what for $stopped"
            echo "$round" >&"$fifo"
            wait_for grep -qx "$round" out
            signal STOP $what
            pause_ms "$stopped"
            signal CONT $what
            # Of the time for which it was not stopped, that is half of what there is.
            pause_ms 500
        done
    done
    echo the end >&"$fifo"
    exec {fifo}>&-
    exits 0 "${pid[c0]}"
    exits 0 "${pid[p0]}"
    same out <(seq 8; echo the end)
}

@test "stopped while it waits for somebody to come: that is not counted either" {
    for role in consumer producer; do
        m=$(mpp-create)
        if [[ $role == consumer ]]; then
            mpp-consume "$m" --attach-timeout $((500 * slower * busy))ms >out 2>w.err &
            w=$!
            wait_for doing 1 "waiting for data" "$m"
        else
            mpp-produce "$m" --attach-timeout $((500 * slower * busy))ms -- echo hello 2>w.err &
            w=$!
            wait_for doing 1 "waiting for START" "$m"
        fi
        kill -STOP $w
        pause_ms 800
        kill -CONT $w
        if [[ $role == consumer ]]; then
            mpp-produce "$m" -- echo hello
        else
            mpp-consume "$m" >out
        fi
        exits 0 $w
        same out <(echo hello)
        is_empty w.err
    done
}

@test "held by a debugger past every time-out, and let go: byte-exact" {
    needs_strace
    for what in p0 c0; do
        flow
        hold "${pid[$what]}" || skip "perl cannot trace here"
        pause_ms 800
        let_go
        byte_exact
    done
}

state_of() { # PID
    cut -d ' ' -f 3 "/proc/$1/stat"
}

is_in_state() { # LETTER PID...
    local letter=$1 pid
    shift
    for pid; do [[ $(state_of "$pid") == "$letter" ]] || return; done
}

has_four_tools() { # GROUP
    [[ $(pgrep -c -g "$1" 'mpp-(produce|consume)') == 4 ]]
}

@test "Ctrl-Z stops a job with its commands, fg continues it: byte-exact" {
    # A job of a shell with job control: its parent is of the same session, and so it can be suspended.
    cat >job <<'SCRIPT'
set -m
bash -c 'mpp-produce "$0" --all "${@:1}" -- perl "$BATS_FILE_TMPDIR/slow" &
    mpp-consume "$0" "${@:1}" -- sh -c "exec cat >out.0" && wait $!
    echo $? >ended' "$@" &
echo $! >job.pid
# Not by `wait`, which would say so when it is suspended, too.
read -r status <ended
exit "$status"
SCRIPT
    for round in 1 2; do
        rm -f out.0 job.pid ended
        mkfifo ended
        m=$(mpp-create -p 2 -r 64K)
        setsid bash job "$m" "${impatient[@]}" 2>job.err &
        j=$!
        wait_for test -s out.0
        group=$(<job.pid)
        # With --all there are three of the producers; what else has that name is about to be a guard.
        wait_for has_four_tools "$group"
        pause_ms $((round * 40))
        kill -TSTP -- "-$group"
        mapfile -t tools < <(pgrep -g "$group" 'mpp-(produce|consume)')
        assert_equal "${#tools[@]}" 4
        wait_for is_in_state T "${tools[@]}"
        commands=()
        for tool in "${tools[@]}"; do
            for command in $(pgrep -P "$tool" -x 'perl|cat'); do commands+=("$command"); done
        done
        assert_equal "${#commands[@]}" 3
        wait_for is_in_state T "${commands[@]}"
        before=$(wc -c <out.0)
        pause_ms 500
        assert_equal "$(wc -c <out.0)" "$before"
        kill -CONT -- "-$group"
        exits 0 $j
        is_empty job.err
        sort -s -t ' ' -k 1,1 out.0 | same - <(seq -f "0 %.0f" 40000; seq -f "1 %.0f" 40000)
    done
}
