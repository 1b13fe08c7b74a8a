load helpers

# A failure anywhere is what everybody reports, first and only, after the data that came before it.

# A command for behind a consumer: what comes first, SIGTERM or the end of its input?  It says so in the file `notes`.
setup_file() {
    cat >"$BATS_FILE_TMPDIR/notes" <<'PERL'
use strict;
my $buffer;
sub note { open my $notes, '>>', 'notes' or die; print $notes "$_[0]\n"; close $notes }
$SIG{TERM} = sub { note 'SIGTERM'; exit 5 };
note 'ready';
1 while sysread STDIN, $buffer, 65536;
note 'the end';
PERL
}

declare -gA pid # of `p0`: producer 0, and so on

# Start the participants of a 2 x 2 mesh, each with its arguments, as the shell reads them.
participants() { # PRODUCER-0 PRODUCER-1 CONSUMER-0 CONSUMER-1
    local who tool
    m=$(mpp-create -p 2 -c 2 -r 64K)
    for who in p0 p1 c0 c1; do
        [[ $who == p* ]] && tool=mpp-produce || tool=mpp-consume
        eval "exec $tool $m -i ${who:1} $1" 2>$who.err &
        pid[$who]=$!
        shift
    done
}

# Everybody reports WHO's failure, and nothing else: WHO exits with STATUS, the others with 3.
all_report() { # WHO STATUS REGEX
    local who status want text
    for who in p0 p1 c0 c1; do
        status=0
        wait "${pid[$who]}" || status=$?
        if [[ $who == "$1" ]]; then
            want=$2
            text="^mpp-[a-z]+: $(name_of "$1"): .*$3"
        else
            want=3
            text="^mpp-[a-z]+: $(name_of "$1") \\(pid ${pid[$1]}\\): .*$3"
        fi
        ((status == want)) || fail "$(name_of $who) exited with $status, not $want: $(<$who.err)" || return
        # Commands may have something to say as well.
        grep -aq '^mpp-' $who.err && ! grep -a '^mpp-' $who.err | grep -Evq "$text" ||
            fail "$(name_of $who) did not say just \"$text\": $(<$who.err)" || return
    done
}

# What consumer J got of lines `I 1`, `I 2`, ... of producers I: are they whole, and each producer's those that it
# would have got, from the first on?  Prints how many there are of each producer.
none_torn() { # J FILE
    awk -v j="$1" '
        !/^[01] [0-9]+$/ || $2 != ($1 in last ? last[$1] + 2 : ($1 + j) % 2 + 1) { print "unexpected: " $0; bad = 1; exit }
        { last[$1] = $2; n[$1]++ }
        END { print n[0] + 0, n[1] + 0; exit bad }' "$2"
}

endless='-- sh -c "exec seq -f \"\$MPP_INDEX %.0f\" 1000000000"'
silent='-- sleep 1000'

@test "a producer that fails, in each way: the data before it is delivered, and everybody reports it" {
    seq -f "1 %.0f" 1000 >in
    touch not-executable
    mkdir directory
    while IFS='|' read -r status before reason arguments; do
        for other in "-- seq -f '0 %.0f' 1000000000" "$silent"; do
            participants "$other" "$arguments" ">out.0" ">out.1"
            all_report p1 "$status" "$reason"
            assert_equal "$(none_torn 0 out.0 | cut -d ' ' -f 2)" $((before / 2))
            assert_equal "$(none_torn 1 out.1 | cut -d ' ' -f 2)" $((before / 2))
        done
    done <<'EOF'
42|1000|'sh .*' exited with status 42|-- sh -c 'cat in; exit 42'
1|0|'false' exited with status 1|-- false
137|1000|'sh .*' was killed by signal 9|-- sh -c 'cat in; kill -KILL $$'
143|1000|'sh .*' was killed by signal 15|-- sh -c 'cat in; kill -TERM $$'
127|0|no-such-command.*No such file|-- no-such-command
126|0|not-executable.*Permission denied|-- ./not-executable
127|1000|'sh .*' exited with status 127|-- sh -c 'cat in; exec no-such-command'
1|0|no-such-file.*No such file|no-such-file
1|1000|no-such-file.*No such file|in no-such-file
1|1000|directory.*directory|in directory
1|1000|/proc/self/mem.*Input/output error|in /proc/self/mem
5|1000|exited with status 5|--filter 'cat; exit 5' in
6|1000|'cat in; exit 6' exited with status 6|-s '0=|cat in; exit 6'
1|1000|no-such-file.*No such file|--files0-from=<(printf 'in\0no-such-file\0')
EOF
}

@test "a consumer that fails, in each way: everybody reports it" {
    touch not-executable
    while IFS='|' read -r status reason arguments; do
        for which in 0 1; do
            outs=(">out.0" ">out.1")
            outs[which]=$arguments
            participants "$endless" "$endless" "${outs[@]}"
            all_report "c$which" "$status" "$reason"
            none_torn $((1 - which)) out.$((1 - which))
        done
    done <<'EOF'
42|'sh .*' exited with status 42|-- sh -c 'head -n 10 >/dev/null; exit 42'
43|'sh .*' exited with status 43|-- sh -c 'exit 43'
137|'sh .*' was killed by signal 9|-- sh -c 'head -n 10 >/dev/null; kill -KILL $$'
127|no-such-command.*No such file|-- no-such-command
126|not-executable.*Permission denied|-- ./not-executable
1|/no/such/out.*No such file|-o /no/such/out
1|No space left|-o /dev/full
1|No space left|>/dev/full
1|No space left|-s 0=/dev/full
1|'sh .*' exited with status 1|-- sh -c 'exec cat >/dev/full'
9|'head .*' exited with status 9|-s '0=|head -n 10 >/dev/null; exit 9'
EOF
}

@test "a disk that becomes full behind one of two consumers: what the other has is whole" {
    needs_private_shm
    mkdir disk
    participants "$endless" "$endless" ">out.0" \
        "-- unshare --map-root-user --mount sh -c 'mount -t tmpfs -o size=64K tmpfs disk && exec cat >disk/out'"
    all_report c1 1 "'unshare .*' exited with status 1"
    grep -q 'No space left' c1.err
    none_torn 0 out.0
}

@test "a command that fails after all has been read fails its consumer" {
    m=$(mpp-create)
    mpp-produce "$m" -- seq 10000 2>p.err &
    p=$!
    run -7 --separate-stderr mpp-consume "$m" -- sh -c 'cat >out; exit 7'
    one_line_of mpp-consume "$stderr"
    assert_regex "$stderr" "consumer 0: 'sh .*' exited with status 7"
    same out <(seq 10000)
    # The producer has been done by then, or learns it.
    wait $p || (($? == 3))
}

@test "--ok-status does not hide that records were not read" {
    m=$(mpp-create)
    mpp-produce "$m" -- seq 1000000000 & track
    run -0 --separate-stderr mpp-consume "$m" --ok-status 0,3 -- sh -c 'head -n 10 >/dev/null; exit 3'
    all_done
    assert_regex "$stderr" "^mpp-consume: consumer 0: 'sh' exited with status 3 \(--ok-status\) after [0-9]+ records, before its input ended$"
    m=$(mpp-create)
    mpp-produce "$m" -- seq 1000000000 2>p.err &
    p=$!
    run -1 --separate-stderr mpp-consume "$m" --strict --ok-status 0,3 -- sh -c 'head -n 10 >/dev/null; exit 3'
    exits 3 $p
}

@test "--ok-status says what is no failure, on both sides" {
    m=$(mpp-create -p 2)
    mpp-produce "$m" -i 0 --ok-status 0,1 -- sh -c 'echo x; exit 1' &
    track
    mpp-produce "$m" -i 1 --ok-status 143,7 -- sh -c 'echo y; kill -TERM $$' &
    track
    run -0 mpp-consume "$m" --ok-status 9 -- sh -c 'sort >out; exit 9'
    all_done
    same out <(printf '%s\n' x y)
    # What is not in the list is a failure, 0 as well.
    m=$(mpp-create)
    mpp-produce "$m" --ok-status 1 -- true 2>p.err &
    p=$!
    run -3 --separate-stderr mpp-consume "$m"
    assert_regex "$stderr" "producer 0 .*'true' exited with status 0"
    wait $p || true
}

# A random participant of a 2 x 2 mesh fails in a random way after a random number of records.  The commands of the
# others fail, too, once they are told to end, so that there is something to be taken for the cause.
random_failure() {
    local who=$((RANDOM % 4)) n=$((1 + (RANDOM >> RANDOM % 15))) status=$((10 + RANDOM % 100)) reason k got all=()
    for k in 0 1; do
        all+=("-- sh -c 'trap \"exit 9\" TERM; seq -f \"\$MPP_INDEX %.0f\" 1000000000; exit 9'")
    done
    for k in 0 1; do
        all+=(">out.$k")
        ((RANDOM % 2)) || all[k + 2]="-- sh -c 'trap \"exit 8\" TERM; cat >/dev/null; exit 8'"
    done
    case $((RANDOM % 4)) in
    0) all[who]="-- sh -c ': marked; DO; exit $status'" reason="'sh -c : marked.* exited with status $status" ;;
    1) all[who]="-- sh -c ': marked; DO; kill -KILL \$\$'" reason="'sh -c : marked.* signal 9" status=137 ;;
    2) all[who]="-- marked" reason="'marked'.*No such file" status=127 n=0 ;;
    3) all[who]="FAULT" status=1 ;;
    esac
    if ((who < 2)); then
        seq -f "$who %.0f" $n >in
        all[who]=${all[who]/DO/cat in}
        [[ ${all[who]} != FAULT ]] || all[who]="in marked" reason="marked.*No such file"
    else
        all[who]=${all[who]/DO/head -n $n}
        [[ ${all[who]} != FAULT ]] || all[who]="-o /dev/full" reason="/dev/full.*No space left"
    fi
    rm -f out.0 out.1
    printf '%s\n' "${all[@]}"
    participants "${all[@]}"
    k=$((who % 2))
    if ((who > 1)); then
        all_report c$k $status "$reason"
        return
    fi
    all_report p$k $status "$reason" || return
    # Where records went to files, those of the failed producer are all there.
    for k in 0 1; do
        if [[ ${all[k + 2]} == ">out"* ]]; then
            read -ra got < <(none_torn $k out.$k)
            assert_equal "${got[who]}" $(((n + ((who + k) % 2 == 0)) / 2)) || return
        fi
    done
}

@test "random participants fail at random times: none is masked by what it causes" {
    seed
    for ((round = 0; round < $(rounds 40); round++)); do
        random_failure >round || fail "round $round: $(<round)"
    done
}

@test "a failure while the ring is full: what was said before it is delivered when there is room" {
    m=$(mpp-create -r 64K)
    mpp-produce "$m" -- sh -c 'echo $$ >source; exec seq 1 1000000000' 2>p.err &
    p=$!
    mkfifo out
    exec {both}<>out
    mpp-consume "$m" >out 2>c.err {both}>&- &
    c=$!
    exec {reader}<out {both}>&-
    wait_for doing 1 "waiting for space" "$m"
    kill -KILL "$(<source)"
    # It is not over for anybody yet: what is in the ring and in the pipe comes first.
    cat <&"$reader" >got
    exec {reader}<&-
    exits 3 $c
    exits 137 $p
    grep -Eq "^mpp-consume: producer 0 \(pid $p\): 'sh .*' was killed by signal 9" c.err
    # Killed anywhere in a line, of which it had said far more than a ring.
    n=$(wc -l <got)
    ((n > 20000))
    same <(head -n $((n - 1)) got) <(seq $((n - 1)))
    [[ $n == "$(tail -n 1 got)"* ]]
}

@test "a failure elsewhere while a producer waits for space: it ends at once, the consumer when it has written" {
    m=$(mpp-create -p 2 -r 64K)
    mkfifo now out
    mpp-produce "$m" -i 0 -- seq -f '0 %.0f' 1 1000000000 2>p0.err &
    p0=$!
    mpp-produce "$m" -i 1 -- sh -c 'read -r x <now; exit 5' 2>p1.err &
    p1=$!
    exec {both}<>out
    mpp-consume "$m" >out 2>c.err {both}>&- &
    c=$!
    exec {reader}<out {both}>&-
    wait_for doing 1 "waiting for space" "$m"
    wait_for doing 1 "reading its input" "$m"
    echo >now
    # Nothing is read meanwhile.
    exits 5 $p1
    exits 3 $p0
    cat <&"$reader" >got
    exec {reader}<&-
    exits 3 $c
    n=$(wc -l <got)
    ((n > 10000))
    same got <(seq -f '0 %.0f' "$n")
    for err in p0.err c.err; do
        assert_equal "$(wc -l <$err)" 1
        grep -Eq "^mpp-[a-z]*: producer 1 \(pid $p1\): 'sh .*' exited with status 5" $err
    done
}

@test "who comes after the failure learns its cause, and starts nothing" {
    m=$(mpp-create -p 3 -c 2)
    mpp-produce "$m" -i 0 -- sh -c 'exit 6' 2>p0.err &
    p=$!
    run -3 mpp-consume "$m" -i 0
    exits 6 $p
    cause="producer 0 \(pid $p\): 'sh .*status 6"
    run -3 mpp-produce "$m" -i 1 -- touch started
    one_line_of mpp-produce "$output"
    assert_output --regexp "$cause"
    run -3 mpp-produce "$m" -i 2 --eager -- touch started
    assert_output --regexp "$cause"
    run -3 mpp-consume "$m" -i 1
    one_line_of mpp-consume "$output"
    assert_output --regexp "$cause"
    run ! test -e started
}

# A mesh behind whose consumer there is the note taker, of 2 producers; producer 1 fails when it reads from the FIFO
# `now`, producer 0 does what its arguments say.
noted() { # PRODUCER-0
    rm -f notes now
    mkfifo now
    m=$(mpp-create -p 2)
    eval "exec mpp-produce $m -i 0 $1" 2>p0.err &
    pid[p0]=$!
    mpp-produce "$m" -i 1 -- sh -c 'seq 100; read -r x <now; exit 4' 2>p1.err &
    pid[p1]=$!
    env --default-signal=INT mpp-consume "$m" -- perl "$BATS_FILE_TMPDIR/notes" 2>c0.err &
    pid[c0]=$!
    wait_for test -s notes
    wait_for eval '[[ $(state "[.mesh.channels[] | select(.counters.frames > 0)] | length" "$m") != 0 ]]'
}

# It heard of the failure, and never saw the end of its input.
it_was_told() {
    same notes <(printf '%s\n' ready SIGTERM)
}

@test "a command behind a consumer gets SIGTERM before its input closes, when a source fails" {
    for other in "$silent" "-- yes" /dev/null; do
        for _ in {1..5}; do
            noted "$other"
            echo >now
            exits 3 "${pid[c0]}"
            exits 4 "${pid[p1]}"
            it_was_told
            wait "${pid[p0]}" || (($? == 3))
        done
    done
}

@test "the same when a producer is killed, the mesh is removed, or the consumer is interrupted" {
    while read -r status event; do
        for other in "$silent" "-- yes"; do
            for _ in 1 2; do
                noted "$other"
                eval "$event"
                exits "$status" "${pid[c0]}"
                it_was_told
                wait "${pid[@]}" || true
            done
        done
    done <<'EOF'
4 kill -KILL ${pid[p1]}
6 mpp-create --remove $m
143 kill -TERM ${pid[c0]}
130 kill -INT ${pid[c0]}
EOF
}

@test "nor does it see the end of its input when its consumer is killed" {
    for other in "$silent" "-- yes"; do
        for _ in 1 2 3; do
            noted "$other"
            kill -KILL "${pid[c0]}"
            for who in p0 p1; do exits 4 "${pid[$who]}"; done
            exits 137 "${pid[c0]}" 2>/dev/null
            wait_for eval '[[ -z $(started) ]]'
            same notes <(echo ready)
        done
    done
}

@test "a command that obeys no SIGTERM is killed, without seeing the end of its input" {
    mkfifo now
    m=$(mpp-create)
    mpp-produce "$m" -- sh -c 'echo x; read -r y <now; exit 3' 2>p.err &
    p=$!
    run -3 mpp-consume "$m" -- sh -c 'trap "" TERM; echo >now; cat >out; echo "the end" >>out'
    exits 3 $p
    same out <(echo x)
}
