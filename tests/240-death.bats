load helpers

# Killed or interrupted, whatever it is doing: everybody else ends by itself, says who it was, and has whole records.

# What is measured here is how fast others learn of it, so nothing else runs at the same time.
setup_file() {
    local i
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    # Records of producer I are lines `I 1`, `I 2`, ... `I 100000`, and then `I 1` again.
    # Record N of it, from 0, is for consumer (I + N) % 2.
    for i in 0 1; do seq -f "$i %.0f" 100000 >"$BATS_FILE_TMPDIR/$i"; done
}

# ---- a 2 x 2 mesh in which somebody is at something ------------------------------------------------------------

declare -gA pid # of `p0`: producer 0, and so on

# Start WHO with ARGS.  Without job control the shell has what it puts into the background ignore SIGINT.
participant() { # WHO ARGS...
    local who=$1 tool=mpp-consume
    [[ $1 == c* ]] || tool=mpp-produce
    shift
    # What it writes is looked at while it is written, and when it has failed.
    if [[ ${1:-} == -o ]]; then
        env --default-signal=INT "$tool" "$m" -i "${who:1}" "${@:3}" 2>"$who.err" >"$2" &
    else
        env --default-signal=INT "$tool" "$m" -i "${who:1}" "$@" 2>"$who.err" &
    fi
    pid[$who]=$!
}

# A consumer whose output is a pipe that nobody reads.
stuck() { # WHO
    local both
    rm -f pipe
    mkfifo pipe
    exec {both}<>pipe
    env --default-signal=INT mpp-consume "$m" -i "${1:1}" >pipe 2>"$1.err" {both}>&- &
    pid[$1]=$!
    exec {pipe}<pipe {both}>&-
}

is_doing() { # WHO ACTIVITY
    at "$1" "$2" "$m"
}

some='seq -f "$MPP_INDEX %.0f" 100; exec sleep 1000'
endless='while cat "$BATS_FILE_TMPDIR/$MPP_INDEX"; do :; done'
no_output='seq -f "$MPP_INDEX %.0f" 100; exec >&-; exec sleep 1000'
no_end='cat >out.$MPP_INDEX; exec sleep 1000'

consumers() {
    participant c0 -o out.0
    participant c1 -o out.1
}

# Until both consumers have what there is.
delivered() { # RECORDS
    [[ $(cat out.? | wc -l) == "$1" ]]
}

# Stop WHO where it is doing something that it does for moments only.
freeze() { # WHO ACTIVITY
    local try running
    for ((try = 0; try < 2000; try++)); do
        read -r _ _ running _ <"/proc/${pid[$1]}/stat"
        [[ $running == R ]] || continue
        kill -STOP "${pid[$1]}"
        until [[ $running == T ]]; do read -r _ _ running _ <"/proc/${pid[$1]}/stat"; done
        ! is_doing "$1" "$2" || return 0
        kill -CONT "${pid[$1]}"
    done
    fail "$(name_of "$1") is never $2"
}

# ${victim} is at ${activity}; those in ${others} are there as well, ${blocked} can write when somebody reads.
producer_waits_for_START() {
    victim=p0 others="p1" activity="waiting for START"
    participant p0 -- sh -c "$some"
    participant p1 -- sh -c "$some"
    wait_for is_doing p1 "waiting for START"
}

producer_reads() {
    victim=p1 others="p0 c0 c1" activity="reading its input"
    participant p0 -- sh -c "$some"
    participant p1 -- sh -c "$some"
    consumers
    wait_for delivered 200
}

producer_waits_for_space() {
    victim=p0 others="p1 c1" blocked=c0 activity="waiting for space"
    participant p0 -- sh -c "$endless"
    participant p1 -- sh -c "$endless"
    stuck c0
    participant c1 -o out.1
    wait_for is_doing p1 "waiting for space"
    wait_for is_doing c0 "writing its output"
}

producer_waits_for_its_command() {
    victim=p1 others="p0 c0 c1" activity="waiting for its command"
    participant p0 -- sh -c "$some"
    participant p1 -- sh -c "$no_output"
    consumers
    wait_for delivered 200
}

producer_works() {
    victim=p0 others="p1 c0 c1" activity="working"
    participant p0 -- sh -c "$endless"
    participant p1 -- sh -c "$endless"
    consumers
    freeze p0 "working"
}

consumer_waits_for_data() {
    victim=c1 others="p0 p1 c0" activity="waiting for data"
    participant p0 -- sh -c "$some"
    participant p1 -- sh -c "$some"
    consumers
    wait_for delivered 200
}

consumer_writes() {
    victim=c0 others="p0 p1 c1" activity="writing its output"
    participant p0 -- sh -c "$endless"
    participant p1 -- sh -c "$endless"
    stuck c0
    participant c1 -o out.1
    wait_for is_doing p0 "waiting for space"
    wait_for is_doing p1 "waiting for space"
}

# The producers are there for another run; the other consumer has left.
consumer_waits_for_its_command() {
    victim=c0 others="p0 p1" activity="waiting for its command"
    participant p0 --runs 2 -- seq -f "0 %.0f" 100
    participant p1 --runs 2 -- seq -f "1 %.0f" 100
    participant c0 -- sh -c "$no_end"
    participant c1 -o out.1
    exits 0 "${pid[c1]}"
    wait_for delivered 200
}

consumer_works() {
    victim=c0 others="p0 p1 c1" activity="working"
    participant p0 -- sh -c "$endless"
    participant p1 -- sh -c "$endless"
    # With more to do for each record than others have, it is at it most of the time.
    participant c0 --tag -o /dev/null
    participant c1 -o out.1
    freeze c0 "working"
}

# Is what consumer J got made of whole records, of each producer those that it would have got, from the first on?
none_torn() { # J
    [[ ! $(tail -c 1 out."$1") ]] || fail "the last record of out.$1 is torn" || return
    awk -v j="$1" '
        BEGIN { for (i = 0; i < 2; i++) next_of[i] = (i + j) % 2 + 1 }
        $0 != $1 " " next_of[$1] { print FILENAME ", line " NR ": " $0; exit 1 }
        { next_of[$1] = next_of[$1] + 2 > 100000 ? (($1 + j) % 2 + 1) : next_of[$1] + 2 }' out."$1"
}

# A new mesh, with the victim at what its name says.
reach() { # STATE
    others="" blocked="" pid=()
    rm -f out.? ./*.err
    m=$(mpp-create -p 2 -c 2 -r 64K)
    "$1"
    wait_for is_doing "$victim" "$activity"
}

# It said so, in one line.
says() { # WHO REGEX
    local line said=()
    while IFS= read -r line; do
        [[ $line != mpp-* ]] || said+=("$line")
    done <"$1.err"
    [[ ${#said[@]} == 1 && ${said[0]} =~ ^mpp-[a-z]+:\ $2 ]] && return
    echo "$(name_of "$1") does not say $2:"
    cat "$1.err"
    return 1
}

elapsed() { # SINCE, an EPOCHREALTIME
    echo $(((${EPOCHREALTIME/./} - ${1/./}) / 1000))
}

# What all that is there ends with when the victim is sent a signal.
end_of() { # SIGNAL STATUS-OF-VICTIM STATUS-OF-OTHERS WHAT-THEY-SAY
    local who begin reason
    reason="$(name_of "$victim") \\(pid ${pid[$victim]}[^)]*\\):? ?$4"
    begin=$EPOCHREALTIME
    kill "-$1" "${pid[$victim]}"
    [[ $activity != working ]] || kill -CONT "${pid[$victim]}" 2>/dev/null || true
    exits "$2" "${pid[$victim]}" 2>/dev/null
    elapsed "$begin" >>its_own
    for who in $others; do
        exits "$3" "${pid[$who]}"
    done
    elapsed "$begin" >>all
    for who in $others; do
        says "$who" "$reason"
    done
}

all_states() {
    printf '%s\n' producer_{waits_for_START,reads,waits_for_space,waits_for_its_command,works} \
        consumer_{waits_for_data,writes,waits_for_its_command,works}
}

# ---- SIGKILL ---------------------------------------------------------------------------------------------------

@test "killed in any state: the others exit 4 within 100 ms, name it, and have whole records" {
    for state in $(all_states); do
        rm -f all its_own
        for _ in 1 2 3; do
            echo "$state"
            reach "$state"
            end_of KILL 137 4 "died before its stream ended"
            if [[ $blocked ]]; then
                # It was blocked on its own output: it ends when that is read, with all that was published before.
                cat <&"$pipe" >out.0
                exits 4 "${pid[$blocked]}"
                says "$blocked" "$(name_of "$victim") \\(pid ${pid[$victim]}[^)]*\\) died"
            fi
            for j in 0 1; do
                [[ ! -e out.$j ]] || none_torn $j
            done
            if [[ $state == producer_waits_for_START ]]; then
                # Those who come late learn it as well, and the last of them takes the mesh along.
                run -4 mpp-consume "$m" -i 0
                assert_output --regexp "^mpp-consume: producer 0 \(pid ${pid[p0]}[^)]*\) died"
                run -4 mpp-consume "$m"
            fi
            nothing_left
        done
        bounded 100 all
    done
}

@test "what the dead one had published is all delivered, from a ring that was full" {
    reach producer_waits_for_space
    kill -KILL "${pid[p0]}"
    exits 137 "${pid[p0]}" 2>/dev/null
    for who in p1 c1; do exits 4 "${pid[$who]}"; done
    # Every byte that was published, says the mesh.
    published=$(state '[.mesh.channels[] | select(.consumer == 0) | .counters.bytes] | add' "$m")
    cat <&"$pipe" >out.0
    exits 4 "${pid[c0]}"
    assert_equal "$(wc -c <out.0)" "$published"
    ((published > 100000))
    none_torn 0
}

# All of WHOs at the same moment, as far as there is such a thing.
kill_together() { # WHO...
    local who
    for who; do kill -STOP "${pid[$who]}"; done
    for who; do kill -KILL "${pid[$who]}"; done
    for who; do exits 137 "${pid[$who]}" 2>/dev/null; done
}

# Tests of this file run at once: nobody takes away what another has left and is about to look at.
garbage="" # a descriptor that is locked meanwhile
alone_with_garbage() {
    [[ ! $garbage ]] || return 0
    exec {garbage}<"$BATS_FILE_TMPDIR"
    flock "$garbage"
}

# Whoever died last may have left something.
collect() {
    if [[ $(meshes) ]]; then
        alone_with_garbage
        mpp-create --gc >/dev/null
    fi
    [[ ! $garbage ]] || exec {garbage}<&-
    garbage=""
    nothing_left
}

@test "all killed at once: --gc removes what they leave" {
    for state in producer_reads producer_waits_for_space producer_works; do
        reach $state
        alone_with_garbage
        # shellcheck disable=SC2086 # words
        kill_together $victim $others $blocked
        [[ -e /dev/shm/mpp_$m ]]
        collect
    done
}

@test "both producers killed at once, both consumers killed at once: the others name one of them" {
    for doomed in "p0 p1" "c0 c1"; do
        for _ in 1 2 3; do
            reach producer_works
            # shellcheck disable=SC2086 # words
            kill_together $doomed
            kill -CONT "${pid[p0]}" 2>/dev/null || true
            for who in p0 p1 c0 c1; do
                if [[ $doomed != *$who* ]]; then
                    exits 4 "${pid[$who]}"
                    says $who "(producer|consumer) [01] \\(pid (${pid[${doomed% *}]}|${pid[${doomed#* }]})[^)]*\\) died"
                fi
            done
            [[ $doomed == "c0 c1" ]] || for j in 0 1; do none_torn $j; done
            collect
        done
    done
}

@test "nobody can take the place of a dead one unnoticed" {
    m=$(mpp-create -p 2 -c 2)
    participant p0 -- sh -c "$some"
    wait_for is_doing p0 "waiting for START"
    kill -KILL "${pid[p0]}"
    exits 137 "${pid[p0]}" 2>/dev/null
    run -4 mpp-produce "$m" -i 0 -- touch started
    one_line_of mpp-produce "$output"
    assert_output --regexp "producer 0 \(pid ${pid[p0]}.*died"
    # Nor does one that looks for a place for itself get far.
    run -4 mpp-produce "$m" -- touch started
    assert_output --regexp "producer 0 \(pid ${pid[p0]}.*died"
    run ! test -e started
    for _ in 0 1; do run -4 mpp-consume "$m"; done
    nothing_left
}

# Whoever inherits a zombie reaps it in its own time.
has_ended() { # PID
    [[ ! -e /proc/$1 || $(cut -d ' ' -f 3 "/proc/$1/stat") == Z ]]
}

@test "what a killed participant had started does not outlive it, nor what that had started" {
    for some in "$some" 'seq -f "$MPP_INDEX %.0f" 100; (sleep 1000; sleep 1000) | sleep 1000; sleep 1000'; do
        for state in producer_reads producer_waits_for_its_command consumer_waits_for_its_command; do
            reach $state
            mapfile -t commands < <(pgrep -g "$(pgrep -P "${pid[$victim]}" -x 'sh|sleep')")
            ((${#commands[@]} > 0))
            kill -KILL "${pid[$victim]}"
            for command in "${commands[@]}"; do wait_for has_ended "$command"; done
            for who in $others; do exits 4 "${pid[$who]}"; done
            exits 137 "${pid[$victim]}" 2>/dev/null
        done
    done
}

# A daemon in a session of its own that has all descriptors which the command had.
daemon='setsid sh -c "echo \$\$ >daemon; exec sleep 1000" & '

@test "a command leaves a daemon behind that holds its descriptors: the end of its killed tool is seen all the same" {
    for who in producer consumer; do
        for _ in 1 2 3; do
            rm -f daemon
            m=$(mpp-create)
            if [[ $who == producer ]]; then
                victim=p0 others=c0
                participant p0 -- sh -c "$daemon echo x"
                participant c0 -o out.0
            else
                victim=c0 others=p0
                participant p0 -- sh -c 'echo x; exec sleep 1000'
                participant c0 -- sh -c "$daemon exec cat >out.0"
            fi
            activity="" blocked=""
            wait_for test -s daemon
            wait_for test -s out.0
            end_of KILL 137 4 "died before its stream ended"
            # It still holds what it was given.
            kill -0 "$(<daemon)"
            kill -KILL "$(<daemon)"
            same out.0 <(echo x)
            nothing_left
        done
    done
    bounded 100 all
}

# ---- coming and going ------------------------------------------------------------------------------------------

# One consumer waits for one record of producer 0, of which the first to try is killed at the N-th call of CALL.  What
# happens to a second one, and to the consumer?  Sets $outcome.
killed_at() { # CALL N
    local first second consumer
    rm -f out.0
    m=$(mpp-create)
    participant c0 -o out.0
    # With nobody to ask there is nothing to be killed at.
    wait_for is_doing c0 "waiting for data"
    strace -qq -o /dev/null -e "trace=$1" -e "inject=$1:signal=KILL:when=$2" mpp-produce "$m" -i 0 <<<x 2>first.err && first=0 || first=$?
    mpp-produce "$m" -i 0 <<<x 2>second.err && second=0 || second=$?
    wait "${pid[c0]}" && consumer=0 || consumer=$?
    outcome="$first $second $consumer $(<out.0)"
}

@test "a producer killed at any system call: either it was never there, or it died, or it had done everything" {
    needs_strace
    m=$(mpp-create)
    participant c0 -o out.0
    wait_for is_doing c0 "waiting for data"
    strace -qq -o log mpp-produce "$m" <<<x
    exits 0 "${pid[c0]}"
    # Every call from the opening of the mesh on, as its name and how many of that name there were; not those by which
    # nobody else sees a difference.
    sed -n 's/^\([a-z0-9_]*\)(.*/\1/p' log | awk '{ print $1, ++n[$1] }' >calls
    skip=$(grep -n 'openat.*/dev/shm' log | head -n 1 | cut -d : -f 1)
    tail -n "+$((skip + 1))" calls | grep -Ev '^(rt_sig.*|get.*id|lseek|.*stat.*|mmap|munmap|close) ' >points
    stage=before
    while read -r call n; do
        killed_at "$call" "$n"
        echo "$call $n: $outcome" >>outcomes
        case $stage,$outcome in
        "before,137 0 0 x") ;;                                          # the second one took its place
        before,"137 4 4 "* | before,"137 0 4 "* | before,"137 6 4 "*) ;; # it was there, and died
        during,"137 4 4 "* | during,"137 0 4 "* | during,"137 6 4 "*) ;;
        *,"137 0 0 x" | *,"137 6 0 x" | *,"137 2 0 x" | *,"137 4 0 x") stage=after ;; # all was said; nobody missed it
        *,"0 "?" 0 x") ;;                                               # this time there was no such call
        *) fail "killed at $call number $n: $outcome" ;;
        esac
        [[ $stage != before || $outcome != *" 4 "* ]] || stage=during
        collect
    done <points
    cut -d : -f 2 outcomes | sort | uniq -c
    # All three of them were there.
    grep -q '137 0 0 x' outcomes
    grep -q '137 [046] 4' outcomes
    assert_equal "$stage" after
}

@test "producers that attach and die at once: nobody hangs, and nothing is torn" {
    seed
    for ((round = 0; round < $(rounds 40); round++)); do
        # As soon as it is asked.
        m=$(mpp-create)
        participant c0 -o out.0
        mpp-produce "$m" -- sh -c 'echo a record; kill -KILL $PPID; exec sleep 1000' 2>p0.err &
        exits 137 $! 2>/dev/null
        exits 4 "${pid[c0]}"
        says c0 'producer 0 \(pid [0-9]+[^)]*\) died'
        [[ ! -s out.0 || $(<out.0) == "a record" ]] || fail "$(<out.0)"

        # At a random moment, perhaps before it is there, perhaps when it has done all; then the next one is asked.
        m=$(mpp-create)
        participant c0 -o out.0
        mpp-produce "$m" -i 0 <<<"a record" 2>p0.err &
        first=$!
        printf -v moment '0.%06d' $((RANDOM % 8000))
        pause "$moment"
        kill -KILL $first 2>/dev/null || true
        wait $first 2>/dev/null || true
        mpp-produce "$m" -i 0 <<<"a record" 2>p0.err || (($? == 2 || $? == 4 || $? == 6))
        status=0
        wait "${pid[c0]}" || status=$?
        case $status,$(<out.0) in
        "0,a record" | "4," | "4,a record") ;;
        *) fail "round $round: the consumer exits $status with '$(<out.0)'" ;;
        esac
    done
    collect
}

# ---- SIGINT and SIGTERM ----------------------------------------------------------------------------------------

# The victim is gone within 50 ms, with its command, and all the others are told.
interrupted() { # ROUNDS SIGNAL NUMBER NAME
    local round
    for state in $(all_states); do
        rm -f all its_own
        for ((round = 0; round < $1; round++)); do
            echo "$state"
            reach "$state"
            end_of "$2" $((128 + $3)) 3 "ended by signal $3 \\($4\\)"
            # What was published is not wanted any more: also who was blocked on its output ends.
            [[ -z $blocked ]] || exits 3 "${pid[$blocked]}"
            assert_equal "$(started)" ""
            for j in 0 1; do
                [[ ! -e out.$j || $j == "${blocked#c}" ]] || none_torn $j
            done
            nothing_left
        done
        bounded 50 its_own
        bounded 100 all
    done
}

@test "SIGTERM in any state: it ends within 50 ms with its command, and the others are told" {
    interrupted 2 TERM 15 Terminated
}

@test "SIGINT in any state: the same" {
    interrupted 1 INT 2 Interrupt
}

@test "SIGTERM while a producer stops a stubborn command: the command is killed two seconds after it was told" {
    m=$(mpp-create)
    participant p0 -- sh -c 'trap "" TERM PIPE; echo $$ >command; while :; do echo x; done 2>/dev/null'
    run -0 mpp-consume "$m" -n 1
    wait_for is_doing p0 "waiting for its command"
    kill -TERM "${pid[p0]}"
    status=0
    wait "${pid[p0]}" || status=$?
    ((status == 143 || status == 0))
    has_ended "$(cat command)"
}
