# mpp-stat --why: stalls made of real processes, and what it says of them; "flowing" for all that only seems to stand.

load helpers

# How long an answer takes is measured, so nothing else runs at the same time.
setup_file() {
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
    : >"$BATS_FILE_TMPDIR/times"
}

# ---- making a stall --------------------------------------------------------------------------------------------

# Become COMMAND, known as NAME from now on; mostly a part of a pipeline: `as source sleep 1000 | mpp-produce ...`.
as() { # NAME COMMAND...
    local name=$1
    shift
    echo "$BASHPID" >"$T/$name.pid.part"
    mv "$T/$name.pid.part" "$T/$name.pid"
    exec "$@" 2>>"$T/$name.err" 3>&- 4>&-
}

# The same from inside a shell command, which becomes what follows.
be='be() { echo $$ >"$MPP_TEST/$1.pid.part"; mv "$MPP_TEST/$1.pid.part" "$MPP_TEST/$1.pid"; shift; exec "$@"; }; be'

pid_of() { # NAME
    wait_for test -e "$T/$1.pid" || return
    cat "$T/$1.pid"
}

signal() { # SIGNAL NAME...
    local signal=$1 name
    shift
    for name; do kill "-$signal" "$(pid_of "$name")"; done
}

# Producers that never end, as fast as they are taken; named p0, p1 ...
endless() { # MESH INDEX...
    local mesh=$1 i
    shift
    for i; do yes "a record of producer $i" | as "p$i" mpp-produce "$mesh" -i "$i" & done
}

# Consumers that take all there is; named c0, c1 ...
greedy() { # MESH INDEX...
    local mesh=$1 j
    shift
    for j; do as "c$j" mpp-consume "$mesh" -i "$j" -o /dev/null & done
}

# A mesh with small rings, so that they are soon full.
small() { # OPTION...
    mpp-create -r 64K "$@"
}
# Have records come through a mesh?
carried() { # MESH
    [[ $(state '[.mesh.channels[].counters.bytes] | add > 0' "$1") == true ]]
}

# All who are in this test are done with.
over() {
    local id
    for id in $(meshes); do "$MPP_B/mpp-create" --remove "$id"; done
    kill_started
    wait
}

# ---- asking ----------------------------------------------------------------------------------------------------

# Those who have waited for this long are stuck.
patience=0.2s
# So long may pass between two records where all is well.
leisure=1s

# Ask about a mesh.  Sets $answer and $asked, the exit status.
ask() { # OPTION... MESH
    local begin=${EPOCHREALTIME/./}
    asked=0
    answer=$("$MPP_B/mpp-stat" --why "$@" 2>why.err) || asked=$?
    echo $(((${EPOCHREALTIME/./} - begin) / 1000)) "$BATS_TEST_DESCRIPTION" >>"$BATS_FILE_TMPDIR/times"
}

# Takes apart the verdict number N of $answer: sets $got, and of all verdicts: only=1, about, verdicts, any_stalled.
# Unknown is "-"; of several lines, each ends with a newline.
declare -gA got
take_apart() { # N
    local name value
    got=()
    while IFS='=' read -r -d '' name value; do
        got[$name]=$value
    done < <(jq -j --argjson n "$1" '
        {only: (.meshes | length), about: .meshes[0].id, verdicts: (.meshes[0].verdicts | length),
            any_stalled: ([.meshes[].verdicts[].stalled] | any)} +
        (.meshes[0].verdicts[$n] // {} | {class, stalled, for_ns, mesh, pid, process, text, advice,
            who: (if .role then .role[0:1] + (.index | tostring) else null end),
            evidence: ((.evidence // []) | map(. + "\n") | join(""))}) |
        to_entries[] | "\(.key)=\(if .value == null or .value == "" then "-" else .value end)\u0000"' <<<"$answer" 2>/dev/null)
}

# Does $got have all of these?  Sets $wrong.  A pid may be the name that `as` gave.
has() { # [FIELD=VALUE | FIELD~REGEX]...
    local wish field value
    wrong=""
    for wish; do
        if [[ $wish =~ ^[a-z_]+~ ]]; then
            field=${wish%%~*} value=${wish#*~}
            [[ ${got[$field]:-} =~ $value ]] || wrong+="  $field does not match $value"$'\n'
        else
            field=${wish%%=*} value=${wish#*=}
            [[ $field != pid || ! -e $T/$value.pid ]] || value=$(<"$T/$value.pid")
            [[ ${got[$field]:-} == "$value" ]] || wrong+="  $field is not $value"$'\n'
        fi
    done
    [[ -z $wrong ]]
}

# What every answer has to be, whatever the verdict.
sound() { # MESH
    [[ $asked,${got[any_stalled]:-} == @(7,true|0,false) ]] || wrong+="  exit $asked, but stalled is ${got[any_stalled]:-}"$'\n'
    [[ ${got[only]:-},${got[about]:-} == "1,$1" ]] || wrong+="  not about $1 alone"$'\n'
    if [[ ${got[stalled]:-} == true ]]; then
        ((got[for_ns] >= 200000000 && got[for_ns] < 60000000000)) || wrong+="  for_ns is out of range"$'\n'
        [[ ${got[advice]} != - ]] || wrong+="  no advice"$'\n'
        # Where all are stopped, or nobody has noticed yet, nobody need wait for them.
        [[ ${got[evidence]} != - || ${got[class]} =~ ^(failed|dead|stopped|traced)$ ]] || wrong+="  no evidence"$'\n'
    fi
    [[ -z $wrong ]]
}

# The wishes that go without saying for a class.
implied() { # CLASS
    case $1 in
    idle | flowing | finished | skew) echo stalled=false ;;
    failed | dead) ;;
    *) echo stalled=true ;;
    esac
}

# The verdict on a mesh is CLASS (or, where one may see it so or so, CLASS|CLASS) about WHO (`p0`, `c1`, `-` for nobody,
# `*` for anybody), soon, and stays so; in words, too.
is() { # MESH CLASS WHO [FIELD=VALUE | FIELD~REGEX]...
    local mesh=$1 class=$2 who=$3 deadline=$((SECONDS + $(patient 8)))
    local wishes=("class~^($class)$")
    shift 3
    # shellcheck disable=SC2207 # one word
    wishes+=($(implied "$class"))
    [[ $who == '*' ]] || wishes+=("who=$who")
    [[ $who == [*-] || "$*" == *mesh=* ]] || wishes+=("mesh=$mesh")
    wishes+=("$@")
    while :; do
        ask --json --for "$patience" "$mesh"
        take_apart 0
        if has "${wishes[@]}" && sound "$mesh"; then
            break
        elif ((SECONDS >= deadline)); then
            disagree "$class is expected of $who:"
            return 1
        fi
        sleep 0.05
    done
    in_words "$mesh"
}

# Asked again, and answered to people, it is the same; where all moves, what is counted is not.
in_words() { # MESH
    local text=${got[text]#-} class=${got[class]} first begin
    ask --for "$patience" "$1"
    first=${answer%%$'\n'*}
    if [[ ${got[stalled]} == true ]]; then
        begin="^stalled [0-9.]+(ms|s|m) \($class\): "
    else
        begin="^$class"
        first=${first//[0-9]/} text=${text//[0-9]/}
        ((asked == 7)) || [[ $answer != *stalled* ]] || fail "exit $asked: $answer" || return
    fi
    [[ $first =~ $begin ]] || fail "$1 is expected to be '$begin': exit $asked, $answer" || return
    [[ $first == *"$text"* ]] || fail "the text is not '$text': $answer"
}

disagree() { # TITLE
    echo "$1"
    printf '%s' "$wrong"
    echo "got (exit $asked):"
    jq . <<<"$answer" 2>/dev/null || printf '%s\n' "$answer"
    cat why.err
}

# Some verdict in $answer, besides the worst, is CLASS about WHO.
beside() { # CLASS WHO [FIELD=VALUE | FIELD~REGEX]...
    local n=0 wrongs=""
    while
        n=$((n + 1))
        take_apart "$n"
        ((n < got[verdicts]))
    do
        ! has "class=$1" "who=$2" "${@:3}" || return 0
        wrongs+="verdict $n:"$'\n'$wrong
    done
    wrong=$wrongs
    return 1
}

# The same of a mesh, soon: the worst may have been there before this one.
also() { # MESH CLASS WHO [FIELD=VALUE | FIELD~REGEX]...
    local deadline=$((SECONDS + $(patient 8)))
    until
        ask --json --for "$patience" "$1"
        beside "${@:2}"
    do
        if ((SECONDS >= deadline)); then
            disagree "a $2 of $3 is expected beside the worst:"
            return 1
        fi
        sleep 0.05
    done
}

# It is one of CLASSES each time that one asks, for a while; not stalled.
keeps() { # MESH CLASS...
    local mesh=$1 n
    shift
    for n in 1 2 3 4 5; do
        ask --json --for "$patience" "$mesh"
        take_apart 0
        if ! sound "$mesh" || [[ ${got[stalled]} != false || " $* " != *" ${got[class]} "* ]]; then
            disagree "question $n: $* is expected"
            return 1
        fi
        sleep 0.05
    done
    in_words "$mesh"
}

# ---- downstream ------------------------------------------------------------------------------------------------

@test "downstream, gather: the reader of the consumer's pipe sleeps" {
    m=$(small -p 2)
    endless "$m" 0 1
    mpp-consume "$m" | as reader sleep 1000 &
    is "$m" downstream c0 process=sleep pid=reader "evidence~producer 0.*space" "evidence~producer 1.*space"
    over
}

@test "downstream, shuffle: the command of one consumer does not read" {
    m=$(small -p 2 -c 2)
    endless "$m" 0 1
    greedy "$m" 0
    mpp-consume "$m" -i 1 -- sh -c "$be reader sleep 1000" &
    is "$m" downstream c1 process=sleep pid=reader
    over
}

@test "downstream, shuffle: what one consumer's shell command has started does not read" {
    m=$(small -p 2 -c 3)
    endless "$m" 0 1
    greedy "$m" 0 2
    mpp-consume "$m" -i 1 -- sh -c 'sleep 1000; exit 0' &
    is "$m" downstream c1 "process~^(sh|sleep)$"
    over
}

@test "downstream: into a fifo that somebody holds open both ways, and does not read" {
    m=$(small)
    mkfifo fifo
    as holder sleep 1000 1<>fifo &
    endless "$m" 0
    mpp-consume "$m" >fifo &
    is "$m" downstream c0 process=sleep pid=holder
    over
}

@test "downstream: into a fifo whose reader sleeps" {
    m=$(small -c 2)
    mkfifo fifo
    endless "$m" 0
    greedy "$m" 1
    as reader sleep 1000 <fifo &
    as c0 mpp-consume "$m" -i 0 -o fifo &
    is "$m" downstream c0 process=sleep pid=reader
    over
}

@test "downstream: the end of a chain of filters sleeps" {
    m=$(small -p 2)
    endless "$m" 0 1
    mpp-consume "$m" | as filter cat | as reader sleep 1000 &
    is "$m" downstream c0 process=sleep pid=reader "evidence~cat"
    over
}

@test "downstream, shuffle: the end of a pipeline in a consumer's command sleeps" {
    m=$(small -c 2)
    endless "$m" 0
    greedy "$m" 0
    mpp-consume "$m" -i 1 -- sh -c "cat | cat | sh -c '$be reader sleep 1000'" &
    is "$m" downstream c1 process=sleep pid=reader "evidence~cat"
    over
}

@test "downstream: one of the readers behind a tee sleeps" {
    m=$(small)
    mkfifo fifo
    endless "$m" 0
    as reader sleep 1000 <fifo &
    mpp-consume "$m" | as filter tee fifo | cat >out &
    is "$m" downstream c0 process=sleep pid=reader "evidence~tee"
    over
}

@test "downstream, two meshes: the second one's consumer does not get rid of it, whichever of them is asked about" {
    a=$(small) b=$(small)
    endless "$a" 0
    mpp-consume "$a" | mpp-produce "$b" &
    mpp-consume "$b" | as reader sleep 1000 &
    is "$a" downstream c0 mesh="$b" process=sleep pid=reader "evidence~$b"
    is "$b" downstream c0 mesh="$b" process=sleep pid=reader
    over
}

@test "downstream, two meshes with filters between: a shuffle behind a gather" {
    a=$(small -p 2) b=$(small -c 2)
    endless "$a" 0 1
    mpp-consume "$a" | cat | tr a b | mpp-produce "$b" &
    greedy "$b" 0
    mpp-consume "$b" -i 1 | cat | as reader sleep 1000 &
    is "$a" downstream c1 mesh="$b" process=sleep pid=reader "evidence~tr"
    is "$b" downstream c1 process=sleep pid=reader
    over
}

@test "downstream, three meshes: map steps as commands" {
    a=$(small) b=$(small) c=$(small)
    endless "$a" 0
    mpp-produce "$b" -- mpp-consume "$a" -- cat &
    mpp-produce "$c" -- sh -c "mpp-consume $b | cat" &
    mpp-consume "$c" -- sh -c "$be reader sleep 1000" &
    for m in "$a" "$b" "$c"; do is "$m" downstream c0 mesh="$c" process=sleep pid=reader; done
    over
}

# ---- input -----------------------------------------------------------------------------------------------------

@test "input, gather: the writer of the producer's pipe sleeps" {
    m=$(small)
    greedy "$m" 0
    as source sleep 1000 | mpp-produce "$m" &
    is "$m" input p0 process=sleep pid=source
    over
}

@test "input, shuffle: a producer's command is silent" {
    m=$(small -c 2)
    greedy "$m" 0 1
    mpp-produce "$m" -- sh -c "echo a; $be source sleep 1000" &
    is "$m" input p0 process=sleep pid=source
    over
}

@test "input: a producer's shell command waits for what it has started" {
    m=$(small)
    greedy "$m" 0
    mpp-produce "$m" -- sh -c 'echo a; sleep 1000; exit 0' &
    is "$m" input p0 "process~^(sh|sleep)$"
    over
}

@test "input: a fifo that somebody holds open both ways, and does not write to" {
    m=$(small)
    mkfifo fifo
    as holder sleep 1000 1<>fifo &
    greedy "$m" 0
    mpp-produce "$m" <fifo &
    is "$m" input p0 process=sleep pid=holder
    over
}

@test "input: a fifo is its FILE, and has no writer yet" {
    m=$(small)
    mkfifo fifo
    greedy "$m" 0
    mpp-produce "$m" fifo &
    is "$m" input p0
    over
}

@test "input: a fifo is its FILE, and its writer sleeps" {
    m=$(small -c 2)
    mkfifo fifo
    greedy "$m" 0 1
    as source sleep 1000 >fifo &
    as p0 mpp-produce "$m" fifo &
    is "$m" input p0 process=sleep pid=source
    over
}

@test "input: a terminal" {
    m=$(small)
    greedy "$m" 0
    sleep 1000 | script -qec "exec mpp-produce $m" /dev/null >tty.out 2>&1 &
    is "$m" input p0
    over
}

@test "input: the source of a chain of filters sleeps" {
    m=$(small -c 2)
    greedy "$m" 0 1
    as source sleep 1000 | cat | tr a b | mpp-produce "$m" &
    is "$m" input p0 process=sleep pid=source "evidence~cat"
    over
}

@test "input, two meshes: the first one's source is slow, whichever of them is asked about" {
    a=$(small -p 2) b=$(small -c 2)
    for i in 0 1; do as "source$i" sleep 1000 | mpp-produce "$a" -i $i & done
    mpp-consume "$a" | mpp-produce "$b" &
    greedy "$b" 0 1
    is "$b" input "*" mesh="$a" process=sleep "who~^p" "evidence~$a"
    is "$a" input "*" mesh="$a" process=sleep "who~^p"
    over
}

@test "input, two meshes with filters between" {
    a=$(small) b=$(small)
    as source sleep 1000 | cat | mpp-produce "$a" &
    mpp-consume "$a" -- cat | sed -u s/a/b/ | mpp-produce "$b" &
    greedy "$b" 0
    for m in "$a" "$b"; do is "$m" input p0 mesh="$a" process=sleep pid=source; done
    over
}

@test "input, --merge: one of the producers is silent, and the others are full" {
    m=$(small -p 3)
    endless "$m" 0 2
    as source sleep 1000 | as p1 mpp-produce "$m" -i 1 &
    mpp-consume "$m" --merge >/dev/null &
    is "$m" input p1 process=sleep pid=source
    over
}

# ---- missing ---------------------------------------------------------------------------------------------------

@test "missing, shuffle: one consumer never attaches" {
    m=$(small -p 2 -c 2)
    endless "$m" 0 1
    greedy "$m" 0
    is "$m" missing c1 pid=- process=-
    over
}

@test "missing, gather: one producer never attaches" {
    m=$(small -p 2)
    seq 10 | mpp-produce "$m" -i 0 &
    greedy "$m" 0
    is "$m" missing p1 pid=-
    over
}

@test "missing: nobody feeds the consumers" {
    m=$(small -c 2)
    greedy "$m" 0 1
    is "$m" missing p0
    over
}

@test "missing: who said --eager has filled its rings, and nobody has come" {
    m=$(small)
    yes | mpp-produce "$m" --eager &
    is "$m" missing c0
    over
}

@test "missing: all who said --barrier wait for one" {
    m=$(small -p 2 -c 2)
    for i in 0 1; do yes | mpp-produce "$m" -i $i --barrier & done
    mpp-consume "$m" -i 0 --barrier >out &
    is "$m" missing c1
    over
}

@test "missing, two meshes: a consumer of the second one, whichever is asked about" {
    a=$(small) b=$(small -c 2)
    endless "$a" 0
    mpp-consume "$a" | cat | mpp-produce "$b" &
    greedy "$b" 1
    for m in "$a" "$b"; do is "$m" missing c0 mesh="$b"; done
    over
}

@test "missing, two meshes: a producer of the first one" {
    a=$(small -p 2) b=$(small)
    seq 10 | mpp-produce "$a" -i 1 &
    mpp-consume "$a" | mpp-produce "$b" &
    greedy "$b" 0
    for m in "$b" "$a"; do is "$m" missing p0 mesh="$a"; done
    over
}

# ---- stopped, traced -------------------------------------------------------------------------------------------

@test "stopped, gather: a producer" {
    m=$(small)
    endless "$m" 0
    as c0 mpp-consume "$m" -o /dev/null &
    wait_for carried "$m"
    signal STOP p0
    is "$m" stopped p0 pid=p0 process=mpp-produce
    over
}

@test "stopped, shuffle: a consumer" {
    m=$(small -p 2 -c 2)
    endless "$m" 0 1
    greedy "$m" 0 1
    wait_for attached 4 "$m"
    signal STOP c1
    is "$m" stopped c1 pid=c1 process=mpp-consume
    over
}

@test "stopped: a producer's command" {
    m=$(small)
    mpp-produce "$m" -- sh -c "$be source yes" &
    as c0 mpp-consume "$m" -o /dev/null &
    wait_for carried "$m"
    signal STOP source
    is "$m" stopped p0 pid=source process=yes
    over
}

@test "stopped, shuffle: a consumer's command" {
    m=$(small -p 2 -c 2)
    endless "$m" 0 1
    greedy "$m" 1
    mpp-consume "$m" -i 0 -- sh -c "$be reader cat >/dev/null" &
    wait_for carried "$m"
    signal STOP reader
    is "$m" stopped c0 pid=reader process=cat
    over
}

@test "stopped: a filter behind the consumer, and a filter before the producer" {
    for who in source reader; do
        rm -f ./*.pid
        m=$(small)
        yes | as source cat | mpp-produce "$m" &
        mpp-consume "$m" | cat | as reader tr a b | cat >/dev/null &
        wait_for carried "$m"
        signal STOP $who
        if [[ $who == source ]]; then
            is "$m" stopped p0 pid=source process=cat
        else
            is "$m" stopped c0 pid=reader process=tr
        fi
        over
    done
}

@test "stopped, two meshes: the second one's consumer" {
    a=$(small) b=$(small -c 2)
    endless "$a" 0
    mpp-consume "$a" | mpp-produce "$b" &
    as b0 mpp-consume "$b" -i 0 -o /dev/null &
    mpp-consume "$b" -i 1 -o /dev/null &
    wait_for carried "$b"
    signal STOP b0
    for m in "$a" "$b"; do is "$m" stopped c0 mesh="$b" pid=b0 process=mpp-consume; done
    over
}

@test "stopped, two meshes: between them, the second one's producer" {
    a=$(small) b=$(small)
    endless "$a" 0
    mpp-consume "$a" | cat | as b0 mpp-produce "$b" &
    mpp-consume "$b" -o /dev/null &
    wait_for carried "$b"
    signal STOP b0
    for m in "$a" "$b"; do is "$m" stopped p0 mesh="$b" pid=b0 process=mpp-produce; done
    over
}

@test "stopped: all of them, as with Ctrl-Z" {
    m=$(small -p 2 -c 2)
    endless "$m" 0 1
    greedy "$m" 0 1
    wait_for attached 4 "$m"
    signal STOP p0 p1 c0 c1
    is "$m" stopped "*" "process~mpp-(produce|consume)"
    over
}

@test "traced: a participant that a debugger holds, and a reader" {
    for who in c0 reader; do
        rm -f ./*.pid
        m=$(small)
        endless "$m" 0
        as c0 mpp-consume "$m" > >(as reader cat >/dev/null) &
        wait_for carried "$m"
        hold "$(pid_of $who)" || skip "nobody can be traced here"
        if [[ $who == c0 ]]; then
            is "$m" traced c0 pid=c0 process=mpp-consume
        else
            is "$m" traced c0 pid=reader process=cat
        fi
        over
    done
}

# ---- dead, failed ----------------------------------------------------------------------------------------------

@test "dead, gather: a producer, while all its peers are stopped" {
    m=$(small -p 2)
    endless "$m" 0 1
    greedy "$m" 0
    wait_for attached 3 "$m"
    signal STOP p0 c0
    signal KILL p1
    is "$m" dead p1 pid=p1
    also "$m" stopped "c0"
    over
}

@test "dead, shuffle: a consumer, while all its peers are stopped" {
    m=$(small -p 2 -c 2)
    endless "$m" 0 1
    greedy "$m" 0 1
    wait_for attached 4 "$m"
    signal STOP p0 p1 c0
    signal KILL c1
    is "$m" dead c1 pid=c1
    over
}

@test "dead, two meshes: the second one's consumer" {
    a=$(small) b=$(small)
    endless "$a" 0
    mpp-consume "$a" | as b0 mpp-produce "$b" &
    as bc mpp-consume "$b" -o /dev/null &
    wait_for carried "$b"
    signal STOP b0
    signal KILL bc
    is "$b" dead c0 pid=bc
    over
}

@test "failed: a command failed, and a consumer cannot get rid of what it still has" {
    m=$(small -p 2)
    endless "$m" 1
    mpp-produce "$m" -i 0 -- sh -c 'until [ -e go ]; do sleep 0.02; done; exit 9' 2>p0.err &
    as c0 mpp-consume "$m" > >(as reader sleep 1000) &
    wait_for at p1 "waiting for space" "$m"
    touch go
    is "$m" failed p0 "text~9"
    also "$m" downstream c0 process=sleep pid=reader
    over
}

@test "failed: a kept mesh names its root cause" {
    m=$(small -p 2 -c 2 --keep)
    seq 100 | mpp-produce "$m" -i 0 2>p0.err &
    mpp-produce "$m" -i 1 -- sh -c 'exit 9' 2>p1.err &
    mpp-consume "$m" --all -- sh -c 'cat >/dev/null' 2>c.err &
    wait
    is "$m" failed p1 stalled=false "text~9"
    over
}

# ---- idle, finished --------------------------------------------------------------------------------------------

@test "idle: producers are there, and no consumer yet" {
    m=$(small -p 3)
    endless "$m" 0 1 2
    wait_for doing 3 "waiting for START" "$m"
    is "$m" idle -
    over
}

@test "idle, shuffle: half of the producers are there" {
    m=$(small -p 2 -c 2)
    endless "$m" 1
    wait_for doing 1 "waiting for START" "$m"
    is "$m" idle "*"
    over
}

@test "idle: a mesh that nobody has come to" {
    m=$(small -p 2 -c 2)
    is "$m" idle -
    over
}

@test "finished: a kept mesh" {
    m=$(small -c 2 --keep)
    seq 100 | mpp-produce "$m" &
    mpp-consume "$m" --all -- sh -c 'cat >/dev/null'
    wait
    is "$m" finished -
    over
}

# ---- cycle -----------------------------------------------------------------------------------------------------

# A shuffle to two workers, whose outputs are merged in key order again.  What comes first is all for the first
# worker, more than all pipes between hold, and the merge wants a record of the second: each waits for the next.
diamond() { # FILTER PARTITION...
    local filter=$1 i
    shift
    a=$(small -c 2 "$@")
    b=$(small -p 2)
    mpp-produce "$a" records &
    for i in 0 1; do
        mpp-consume "$a" -i $i | $filter mpp-produce "$b" -i $i &
    done
    mpp-consume "$b" --merge -o sorted &
}
through_cat() {
    cat | "$@"
}

@test "cycle: a range shuffle to workers that are merged again, whichever mesh is asked about" {
    seq 1000000 2100000 >records
    diamond "" -P range:2000000
    # Each of the six edges; those of the other mesh name it.
    for m in "$a" "$b"; do
        other=$a
        [[ $m == "$b" ]] || other=$b
        is "$m" cycle "*" "evidence~$other" "evidence~producer 0.* space.*consumer 0" "evidence~consumer 0.* output.*producer 0" \
            "evidence~consumer 0.* data.*producer 1" "evidence~producer 1.* input.*consumer 1" \
            "evidence~consumer 1.* data.*producer 0" "evidence~(.*"$'\n'"){6}"
    done
    over
}

@test "cycle: with filters between" {
    seq 1000000 2100000 >records
    diamond through_cat -P range:2000000
    for m in "$a" "$b"; do is "$m" cycle "*" "evidence~cat"; done
    over
}

@test "cycle: a hash shuffle of data in which one key comes first" {
    { yes 0 | head -n 3000000; seq 1000 1100; } >records
    diamond "" -P hash
    for m in "$a" "$b"; do is "$m" cycle "*" "evidence~(.*"$'\n'"){6}"; done
    over
}

@test "cycle: a mesh that is fed with what comes out of it" {
    m=$(small)
    mkfifo fifo
    mpp-produce "$m" <fifo &
    mpp-consume "$m" >fifo &
    is "$m" cycle "*" "evidence~producer 0" "evidence~consumer 0"
    over
}

@test "no cycle: the same diamond with rings that hold enough goes through" {
    seq 1000000 1010000 >records
    diamond "" -P range:1005000
    wait
    same sorted records
}

# ---- lane mates ------------------------------------------------------------------------------------------------

@test "lane-mate, gather: it reads one stream after the other, and the other fills their lane" {
    m=$(small --lanes 1 -s a -s b)
    mpp-produce "$m" --eager -s 'a=|yes a' -s 'b=|yes b' &
    as c0 mpp-consume "$m" -s a=/dev/null -s b=/dev/null --sequential &
    is "$m" lane-mate c0 pid=c0 process=mpp-consume "text~stream '?b"
    over
}

@test "lane-mate, shuffle: one consumer reads one stream after the other" {
    m=$(small -c 2 --lanes 1 -P broadcast -s a -s b)
    mpp-produce "$m" -s 'a=|while echo a; do sleep 0.01; done' -s 'b=|yes b' &
    as c0 mpp-consume "$m" -i 0 -s a=/dev/null -s b=/dev/null &
    as c1 mpp-consume "$m" -i 1 -s a=/dev/null -s b=/dev/null --sequential &
    is "$m" lane-mate c1 pid=c1 "text~stream '?b"
    over
}

@test "lane-mate, shuffle of 2 x 2: one consumer reads one of the streams only" {
    m=$(small -p 2 -c 2 --lanes 1 -s quick -s slow)
    for i in 0 1; do mpp-produce "$m" -i $i -s 'quick=|yes' -s 'slow=|while echo a; do sleep 0.01; done' & done
    as c0 mpp-consume "$m" -i 0 -s slow=/dev/null -s quick=/dev/null &
    as c1 mpp-consume "$m" -i 1 -s slow=/dev/null &
    is "$m" lane-mate c1 pid=c1 "text~stream '?quick"
    over
}

@test "lane-mate: its producers have ended, and what stands first it has not asked for" {
    m=$(small --lanes 1 -s a -s b)
    mpp-produce "$m" --eager -s 'a=|sleep 0.3; echo one' -s 'b=|echo two' &
    as c0 mpp-consume "$m" --sequential -s a=a.out -s b=b.out &
    wait %1
    is "$m" lane-mate c0 pid=c0 "text~does not read stream 'b'.* waits for stream 'a'" "advice~--eager"
    over
}

@test "lane-mate: two consumers read the streams of a lane one after the other, in opposite order" {
    m=$(small -c 2 --lanes 1 -P broadcast -s a -s b)
    mpp-produce "$m" --eager -s 'a=|yes a' -s 'b=|yes b' &
    as c0 mpp-consume "$m" -i 0 --sequential -s a=/dev/null -s b=/dev/null &
    as c1 mpp-consume "$m" -i 1 --sequential -s b=/dev/null -s a=/dev/null &
    is "$m" lane-mate '*' "who~^c" "text~(does not read stream 'b'.* waits for stream 'a'|'a'.*'b')"
    over
}

@test "flowing: the producers wait to be asked, and it reads one stream of the lane after the other" {
    m=$(small --lanes 1 -s a -s b)
    mpp-produce "$m" -s 'a=|while echo a; do sleep 0.01; done' -s 'b=|yes b' &
    as c0 mpp-consume "$m" --sequential -s a=/dev/null -s b=/dev/null &
    wait_for carried "$m"
    keeps "$m" flowing
    over
}

# ---- command ---------------------------------------------------------------------------------------------------

@test "command, gather: the consumer's command has all its input, and does not end" {
    m=$(small)
    seq 10 | mpp-produce "$m" &
    mpp-consume "$m" -- sh -c "cat >/dev/null; $be command sleep 1000" &
    is "$m" command c0 process=sleep pid=command
    over
}

@test "command, shuffle: of one consumer; the other has finished" {
    m=$(small -p 2 -c 2)
    for i in 0 1; do seq 10 | mpp-produce "$m" -i $i & done
    mpp-consume "$m" -i 0 >out &
    mpp-consume "$m" -i 1 -- sh -c "cat >/dev/null; sleep 1000; exit 0" &
    is "$m" command c1 "process~^(sh|sleep)$"
    over
}

@test "command: the producer's command has closed its output, and does not end" {
    m=$(small)
    mpp-produce "$m" -- sh -c "echo a; exec >&-; $be command sleep 1000" &
    greedy "$m" 0
    is "$m" command p0 process=sleep pid=command
    over
}

@test "command, two meshes: the first one's consumer is a command that holds the second one's input" {
    a=$(small) b=$(small)
    seq 10 | mpp-produce "$a" &
    mpp-consume "$a" -- sh -c "cat; $be command sleep 1000" | mpp-produce "$b" &
    mpp-consume "$b" -o out &
    is "$a" command c0 process=sleep pid=command
    # Of the other one it is the source.
    is "$b" "command|input" "*" process=sleep pid=command
    over
}

# ---- skew ------------------------------------------------------------------------------------------------------

# Reads records of a KiB, so many in a second.
slowly='while read -r; do sleep 0.01; done'

@test "skew: all records have one key, and its consumer is slow" {
    m=$(small -c 2 -k 1)
    hot=$(mpp-stat --where hot "$m")
    yes "hot"$'\t'"$(printf '%01000d' 0)" | mpp-produce "$m" &
    mpp-consume "$m" -i "$hot" -- bash -c "$slowly" &
    greedy "$m" $((1 - hot))
    wait_for at p0 "waiting for space" "$m"
    patience=$leisure
    is "$m" skew "c$hot" "text~hot"
    keeps "$m" skew
    over
}

@test "skew, 2 x 4: most records have one key" {
    m=$(small -p 2 -c 4 -k 1)
    hot=$(mpp-stat --where hot "$m")
    long=$(printf '%01000d' 0)
    { for i in {1..90}; do echo "hot"$'\t'"$long"; done; for i in {1..10}; do echo "$i"$'\t'"$long"; done; } >records
    for i in 0 1; do mpp-produce "$m" -i $i -- sh -c 'while cat records; do :; done' & done
    mpp-consume "$m" --all -- bash -c "$slowly" &
    wait_for doing 2 "waiting for space" "$m"
    patience=$leisure
    is "$m" skew "c$hot" "text~hot"
    keeps "$m" skew
    over
}

# ---- flowing ---------------------------------------------------------------------------------------------------

@test "flowing: a shuffle at full speed" {
    m=$(mpp-create -p 2 -c 2)
    endless "$m" 0 1
    greedy "$m" 0 1
    wait_for attached 4 "$m"
    patience=$leisure
    keeps "$m" flowing
    over
}

@test "flowing: by key, at full speed, small rings" {
    m=$(small -p 2 -c 2 -k 1)
    seq 10000 >records
    for i in 0 1; do mpp-produce "$m" -i $i -- sh -c 'while cat records; do :; done' & done
    greedy "$m" 0 1
    wait_for attached 4 "$m"
    patience=$leisure
    keeps "$m" flowing
    over
}

@test "flowing: a slow source" {
    m=$(small -c 2)
    mpp-produce "$m" -- bash -c 'while echo a; do sleep 0.2; done' &
    as c0 mpp-consume "$m" -i 0 -o /dev/null &
    greedy "$m" 1
    wait_for carried "$m"
    patience=$leisure
    keeps "$m" flowing
    over
}

@test "flowing: a slow reader, all rings full" {
    m=$(small -p 2)
    endless "$m" 0 1
    mpp-consume "$m" | bash -c 'while read -r; do sleep 0.05; done' &
    wait_for doing 2 "waiting for space" "$m"
    # Nothing has moved in the rings for longer than that.
    sleep 0.3
    keeps "$m" flowing
    over
}

@test "flowing: a slow reader behind a filter, in a shuffle" {
    m=$(small -c 2 -P broadcast)
    endless "$m" 0
    greedy "$m" 0
    mpp-consume "$m" -i 1 -- sh -c "cat | bash -c 'while read -r; do sleep 0.05; done'" &
    wait_for at p0 "waiting for space" "$m"
    sleep 0.3
    keeps "$m" flowing
    over
}

@test "flowing: a reader that computes" {
    m=$(small)
    endless "$m" 0
    mpp-consume "$m" -- perl -e 'sysread STDIN, $_, 65536; 1 while 1' &
    wait_for at p0 "waiting for space" "$m"
    sleep 0.3
    keeps "$m" flowing
    over
}

@test "downstream: a filter that polls, and what is behind it does not read" {
    m=$(small)
    endless "$m" 0
    mpp-consume "$m" | perl -MIO::Select -e '
        $in = IO::Select->new(*STDIN); $out = IO::Select->new(*STDOUT);
        while (1) { $out->can_write; $in->can_read; sysread STDIN, $_, 65536 or last; syswrite STDOUT, $_ }' |
        as reader sleep 1000 &
    is "$m" downstream c0 process=sleep pid=reader "evidence~perl"
    over
}

@test "cycle: two processes behind a consumer, each of which writes to the other" {
    m=$(small)
    endless "$m" 0
    mpp-consume "$m" -- perl -e '
        pipe A, B; pipe C, D;
        if (fork == 0) { close STDIN; close B; close C; syswrite D, "x" x 65536 while 1 }
        close A; close D; syswrite B, "x" x 65536 while 1' &
    is "$m" cycle "*" "evidence~perl.*-> .perl"
    over
}

@test "thirty stalled meshes are asked about together, and each is named" {
    for ((i = 0; i < 30; i++)); do
        m=$(small)
        many+=("$m")
        mpp-produce "$m" < <(exec yes) &
        mpp-consume "$m" -- sleep 1000 &
    done
    for m in "${many[@]}"; do wait_for at p0 "waiting for space" "$m"; done
    sleep 0.3
    begin=${EPOCHREALTIME/./}
    run -7 mpp-stat --why --for 0.2
    took=$((${EPOCHREALTIME/./} - begin))
    for m in "${many[@]}"; do assert_line --regexp "^$m: stalled .*downstream.*sleep"; done
    ((took < 2000000)) || fail "it took $took us"
    mpp-create --remove "${many[@]}"
    over
}

@test "flowing: two meshes" {
    a=$(small -p 2) b=$(small -c 2)
    endless "$a" 0 1
    mpp-consume "$a" | cat | mpp-produce "$b" &
    as c0 mpp-consume "$b" -i 0 -o /dev/null &
    greedy "$b" 1
    wait_for carried "$b"
    patience=$leisure
    for m in "$a" "$b"; do keeps "$m" flowing; done
    over
}

@test "flowing: two meshes, the source slow" {
    a=$(small) b=$(small)
    mpp-produce "$a" -- bash -c 'while echo a; do sleep 0.2; done' &
    mpp-consume "$a" | sed -u s/a/b/ | mpp-produce "$b" &
    mpp-consume "$b" -o /dev/null &
    wait_for carried "$b"
    patience=$leisure
    for m in "$a" "$b"; do keeps "$m" flowing; done
    over
}

@test "flowing: a command that has all its input and computes" {
    m=$(small -p 2)
    for i in 0 1; do seq 1000 | mpp-produce "$m" -i $i & done
    mpp-consume "$m" -- perl -e '1 while <STDIN>; 1 while 1' &
    wait_for at c0 "waiting for its command" "$m"
    sleep 0.3
    keeps "$m" flowing
    over
}

@test "flowing: whoever has time gets it, and one is slow" {
    m=$(small -c 2 -P any)
    endless "$m" 0
    greedy "$m" 0
    mpp-consume "$m" -i 1 -- bash -c 'while read -r; do sleep 0.05; done' &
    wait_for attached 3 "$m"
    patience=$leisure
    keeps "$m" flowing
    over
}

@test "flowing: one of two producers is silent, the other is not" {
    m=$(small -p 2)
    as source sleep 1000 | mpp-produce "$m" -i 0 &
    endless "$m" 1
    as c0 mpp-consume "$m" -o /dev/null &
    wait_for carried "$m"
    patience=$leisure
    keeps "$m" flowing
    over
}

# ---- several at once -------------------------------------------------------------------------------------------

@test "two problems at once: the worst first" {
    m=$(small -p 2 -c 2 -P range:n)
    yes a | mpp-produce "$m" -i 0 &
    yes z | mpp-produce "$m" -i 1 &
    greedy "$m" 0
    mpp-consume "$m" -i 1 | as reader sleep 1000 &
    wait_for at c1 "writing its output" "$m"
    signal STOP c0
    is "$m" stopped c0 pid=c0
    also "$m" downstream c1 process=sleep pid=reader
    over
}

@test "two problems at once: one has not come, and another one's source is silent" {
    m=$(small -p 3)
    as source sleep 1000 | as p0 mpp-produce "$m" -i 0 &
    endless "$m" 1
    mpp-consume "$m" --merge -o out &
    is "$m" missing p2
    also "$m" input p0 process=sleep pid=source
    over
}

@test "of all meshes, each has its verdict" {
    a=$(small) b=$(small)
    endless "$a" 0
    mpp-consume "$a" | as reader sleep 1000 &
    is "$a" downstream c0
    ask --json --for "$patience"
    assert_equal "$asked" 7
    run -0 jq -r --arg m "$a" '.meshes[] | select(.id == $m).verdicts[0].class' <<<"$answer"
    assert_output downstream
    run -0 jq -r --arg m "$b" '.meshes[] | select(.id == $m).verdicts[0].class' <<<"$answer"
    assert_output idle
    over
}

# ---- the question itself ---------------------------------------------------------------------------------------

@test "--for says how long is too long" {
    m=$(small)
    endless "$m" 0
    mpp-consume "$m" | as reader sleep 1000 &
    is "$m" downstream c0
    ask --json --for 1h "$m"
    assert_equal "$asked" 0
    take_apart 0
    assert_equal "${got[stalled]}" false
    ask --for 1h "$m"
    assert_equal "$asked" 0
    refute [ "${answer#*stalled}" != "$answer" ]
    ask --for 100ms "$m"
    assert_equal "$asked" 7
    over
}

@test "where /proc may not be read, the class is known all the same" {
    [[ -z ${MPP_SAN:-} ]] || skip "a sanitizer needs /proc"
    unshare --mount true 2>/dev/null || skip "no mount namespaces here"
    m=$(small -c 2)
    endless "$m" 0
    greedy "$m" 0
    mpp-consume "$m" -i 1 | as reader sleep 1000 &
    is "$m" downstream c1
    run -7 unshare --mount sh -c 'mount -t tmpfs none /proc && exec "$@"' sh "$MPP_B/mpp-stat" --why --for "$patience" "$m"
    assert_line --index 0 --regexp '^stalled .*\(downstream\): .*consumer 1'
    over
}

# Run a command whose clocks are so many seconds ahead of ours, or behind.
elsewhen() { # SECONDS COMMAND...
    unshare --time --monotonic "$1" --boottime "$1" --fork "${@:2}"
}

@test "in other time namespaces, of those who look and of those who are looked at, times are the same" {
    elsewhen 100000 true 2>/dev/null || skip "no time namespaces here"
    read -r uptime _ </proc/uptime
    for ahead in 100000 $((-${uptime%.*} / 2)); do
        m=$(small)
        endless "$m" 0
        elsewhen "$ahead" mpp-consume "$m" | as reader sleep 1000 &
        is "$m" downstream c0 pid=reader
        run -7 elsewhen 200000 "$MPP_B/mpp-stat" --why --json --for "$patience" "$m"
        (($(jq '.meshes[0].verdicts[0].for_ns' <<<"$output") < 60000000000))
        over
    done
}

@test "a process that a mesh is tied to is there, whatever time namespace it is looked for from" {
    elsewhen 100000 true 2>/dev/null || skip "no time namespaces here"
    elsewhen 100000 mpp-create --pid "$BASHPID" --name "then.$$"
    mpp-create --pid "$BASHPID" --name "now.$$"
    for m in "then.$$" "now.$$"; do
        for ahead in 0 100000 -1; do
            [[ $(elsewhen "$ahead" "$MPP_B/mpp-stat" --json "$m" | jq -r .mesh.garbage) == null ]]
        done
    done
    over
}

# ---- surroundings that hang -------------------------------------------------------------------------------------

# A file system at $T/mnt, in a mount namespace of its own, that gives nothing of its files: nothing at all from `hang` on.
served() {
    "$MPP_B/tests/fault/hung" --try || skip "no FUSE file system may be mounted here"
    mkdir "$T/mnt"
    "$MPP_B/tests/fault/hung" "$T/mnt" read >hung &
    hung=$!
    wait_for grep -q ready hung
    # The leak checker waits for a thread that sleeps in such a file system, and nothing wakes it.
    export ASAN_OPTIONS=detect_leaks=0
}
hang() {
    kill -USR1 "$hung"
    wait_for grep -q hung hung
}
# Run a command there; and as `as` does.
there() { # COMMAND...
    nsenter -m -t "$hung" "$@"
}
as_there() { # NAME COMMAND...
    as "$1" nsenter -m -t "$hung" "${@:2}"
}

@test "somebody holds files of a file system that hangs: asked as ever" {
    served
    there sh -c 'exec sleep 1000 <$MPP_TEST/mnt/f 9<>$MPP_TEST/mnt/p' &
    m=$(small)
    endless "$m" 0
    mpp-consume "$m" | as_there reader sh -c 'exec sleep 1000 9<$MPP_TEST/mnt/f' &
    mkfifo fifo
    n=$(small)
    endless "$n" 0
    as reader2 sleep 1000 <>fifo &
    mpp-consume "$n" >fifo &
    pid_of reader
    wait_for at c0 "writing its output" "$m"
    hang
    is "$m" downstream c0 process=sleep pid=reader
    is "$n" downstream c0 process=sleep pid=reader2
    run -7 there "$MPP_B/mpp-stat" --why --for "$patience" "$m"
    kill "$hung"
    over
}

@test "input: a command reads from a file system that hangs, and the file is named" {
    served
    m=$(small)
    as_there p0 mpp-produce "$m" -- sh -c "$be source cat $T/mnt/f" &
    as c0 mpp-consume "$m" -o /dev/null &
    pid_of source
    hang
    is "$m" input p0 process=cat pid=source "text~/mnt/f \\(fuse.hung at $T/mnt, " "advice~server"
    kill "$hung"
    over
}

@test "input: the producer itself reads from a file system that hangs, and the file is named" {
    served
    m=$(small)
    as_there p0 mpp-produce "$m" "$T/mnt/f" &
    as c0 mpp-consume "$m" -o /dev/null &
    wait_for attached 2 "$m"
    wait_for at c0 "waiting for data" "$m"
    is "$m" input p0 process=mpp-reader "text~/mnt/f \\(fuse.hung at $T/mnt, " "advice~server"
    kill "$hung"
    over
}

@test "downstream: a reader becomes another program, and what is closed on the way hangs: others are seen all the same" {
    served
    mkfifo go
    m=$(small)
    endless "$m" 0
    mpp-consume "$m" | nsenter -m -t "$hung" perl -e '
        open my $f, "+<", "$ENV{MPP_TEST}/mnt/f" or die;
        <STDIN>;
        open my $is, ">", "$ENV{MPP_TEST}/is-open";
        open my $go, "<", "$ENV{MPP_TEST}/go";
        <$go>;
        exec "cat"' >/dev/null &
    wait_for test -e is-open
    hang
    timeout "$(patient 10)" sh -c 'echo >go'
    is "$m" downstream c0 "evidence~producer 0.*space"
    run -7 mpp-stat --why --json --for "$patience" "$m"
    assert_equal "$(jq '.meshes[0].unseen' <<<"$output")" 1
    kill "$hung"
    over
}

@test "where there are more descriptors than can be looked at, those that come first are, and the rest is owned up to" {
    ulimit -n 20000 2>/dev/null || skip "the limit of descriptors cannot be raised"
    m=$(small)
    endless "$m" 0
    perl -e 'open $f[$_], "<", "/dev/null" or die for 1 .. 15000; fork for 1 .. 3; open my $done, ">", "full"; sleep 1000' &
    wait_for test -e full
    mpp-consume "$m" | as reader sleep 1000 &
    is "$m" downstream c0 process=sleep pid=reader
    run -7 mpp-stat --why --json --for "$patience" "$m"
    (($(jq '.meshes[0].unseen' <<<"$output") > 0))
    run -7 mpp-stat --why --for "$patience" "$m"
    assert_output --partial "not all was seen: "
    over
}

@test "no such mesh is exit 6" {
    ask no-such-mesh
    assert_equal "$asked" 6
    assert_equal "$answer" ""
    grep -q '^mpp-stat: .*no-such-mesh' why.err
}

# ---- a mesh that is not well -----------------------------------------------------------------------------------

# Whatever happens to a mesh meanwhile, --why says something, and does not crash.
unharmed() { # [MESH]
    local format
    for format in "" --json; do
        # shellcheck disable=SC2086 # none or one
        ask $format --for "$patience" "$@"
        case $asked in
        # Where there is no mesh at all, there is nothing to say.
        0 | 7) [[ $answer || $# == 0 ]] || fail "exit $asked, and not a word" || return ;;
        6 | 8) [[ $answer || -s why.err ]] || fail "exit $asked, and not a word" || return ;;
        *) fail "exit $asked: $answer $(<why.err)" || return ;;
        esac
    done
}

# In the background, without end: COMMAND in a shell.
meanwhile() { # COMMAND ARG...
    bash -c "while :; do $1; done" bash "${@:2}" >meanwhile.out 2>meanwhile.err &
    meanwhile=$!
}

# A mesh of which nothing is left to its participants.
forget() { # MESH
    kill_started
    wait
    rm -rf "/dev/shm/mpp_$1" "$T"/s/mpp_*
}

stalled_mesh() {
    m=$(small -p 2 -c 2)
    endless "$m" 0 1
    greedy "$m" 0
    mpp-consume "$m" -i 1 2>/dev/null | as reader sleep 1000 &
    wait_for at p0 "waiting for space" "$m"
}

@test "asked while a mesh is cut short: a message, never a crash" {
    stalled_mesh
    signal STOP p0 p1 c0
    meanwhile 'for size in 0 64 4096 5000 70000; do truncate -s $size "/dev/shm/mpp_$1"; truncate -s 200000 "/dev/shm/mpp_$1"; done' "$m"
    for _ in {1..10}; do unharmed "$m"; done
    kill $meanwhile
    forget "$m"
}

@test "asked while a mesh is unlinked and comes back: a message, never a crash" {
    stalled_mesh
    meanwhile 'mv "/dev/shm/mpp_$1" "/dev/shm/away_$1"; mv "/dev/shm/away_$1" "/dev/shm/mpp_$1"' "$m"
    for _ in {1..10}; do unharmed "$m"; done
    kill $meanwhile
    wait $meanwhile 2>/dev/null || true
    rm -f "/dev/shm/away_$m" "/dev/shm/mpp_$m"
    ask "$m"
    assert_equal "$asked" 6
    forget "$m"
}

@test "asked while a mesh is overwritten: a message, never a crash" {
    local seed=${MPP_SEED:-$SRANDOM} at
    echo "replay with MPP_SEED=$seed"
    RANDOM=$seed
    stalled_mesh
    signal STOP p0 p1 c0
    cp "/dev/shm/mpp_$m" good
    for _ in {1..15}; do
        # The magic and the version stand first; what matters to the graph stands behind.
        at=$((16 + RANDOM % 8192))
        head -c $((1 + RANDOM % 16)) /dev/urandom | dd of="/dev/shm/mpp_$m" bs=1 seek=$at conv=notrunc status=none
        unharmed "$m" || fail "at $at"
        cat good >"/dev/shm/mpp_$m"
    done
    meanwhile 'head -c 64 /dev/urandom | dd of="/dev/shm/mpp_$1" bs=1 seek=$((RANDOM % 8192)) conv=notrunc status=none; cat good >"/dev/shm/mpp_$1"' "$m"
    for _ in {1..10}; do unharmed "$m"; done
    kill $meanwhile
    forget "$m"
}

@test "asked while meshes come and go: a message, never a crash" {
    meanwhile 'm=$("$MPP_B/mpp-create" --name "$1"); echo x | "$MPP_B/mpp-produce" "$m" & "$MPP_B/mpp-consume" "$m"; wait; "$MPP_B/mpp-create" --remove "$m"' "why.$$"
    for _ in {1..10}; do
        unharmed "why.$$"
        unharmed
    done
    kill $meanwhile
    wait $meanwhile 2>/dev/null || true
    kill_started
    "$MPP_B/mpp-create" --remove "why.$$"
}

# ---- and last --------------------------------------------------------------------------------------------------

@test "each of these questions was answered within 200 ms, as the median goes, and none took a second" {
    [[ -s $BATS_FILE_TMPDIR/times ]] || skip "nothing was asked"
    sort -n "$BATS_FILE_TMPDIR/times" >took
    echo "$(wc -l <took) questions; the median and the slowest in ms:"
    tail -n 5 took
    cut -d ' ' -f 1 took >milliseconds
    bounded 200 milliseconds
    (($(tail -n 1 milliseconds) < $(late 1000)))
}
