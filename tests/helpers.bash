# shellcheck shell=bash
# What every test file loads: `load helpers` at its top.
#
# A test has a private directory $T, which is its working directory and gone afterwards; meshes put their sockets
# into $TMPDIR below it.  All that a test starts carries MPP_TEST=$T in its environment, however many processes are
# between: so teardown finds what was left behind, and ends exactly that.  A test fails when it leaves a process, a
# segment or a socket directory behind.

bats_require_minimum_version 1.5.0
# Not by bats_load_library: what that loads starts a process for each of its files, and every test loads it anew.
for library in support assert; do
    for file in "${BATS_LIB_PATH%%:*}/bats-$library/src/"*.bash; do
        # shellcheck disable=SC1090 # not ours
        source "$file"
    done
done

# `bats tests/020-gather.bats` by itself tests what `make` has built.
if [[ -z ${MPP_B:-} ]]; then
    MPP_B=$(cd "$BATS_TEST_DIRNAME/.." && pwd)/build
    export MPP_B PATH=$MPP_B:$PATH
fi

export LC_ALL=C
slower=1 # how much slower, and how much less, with sanitizers
[[ -z ${MPP_SAN:-} ]] || slower=5
# As many as want to run for each processor, as far as that is more than one: for bounds that are no promise.
export MPP_CPUS=${MPP_CPUS:-$(nproc)}
read -r load _ </proc/loadavg
busy=$(((10#${load/./} / MPP_CPUS + 50) / 100))
((busy)) || busy=1
export BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:-$((60 * slower * busy))}

# bats notes where it is before each command, which costs more than most commands do: a third of the suite's time.  It
# is enough to do so when one has failed, or the time is up.
note_failure() {
    bats_check_status_from_trap
    [[ ${BATS_DEBUG_LAST_STACK_TRACE_IS_VALID:-} ]] || bats_capture_stack_trace
    BATS_DEBUG_LAST_STACK_TRACE_IS_VALID=1
}

note_timeout() {
    bats_capture_stack_trace
    # shellcheck disable=SC2034 # bats looks at it
    BATS_DEBUG_LASTLAST_STACK_TRACE=("${BATS_DEBUG_LAST_STACK_TRACE[@]}")
    bats_timeout_trap
}

setup() {
    if declare -F bats_check_status_from_trap bats_capture_stack_trace bats_timeout_trap >/dev/null; then
        trap - DEBUG
        trap note_failure ERR
        trap note_timeout ABRT
        # shellcheck disable=SC2034 # bats looks at both
        BATS_DEBUG_LAST_STACK_TRACE=() BATS_DEBUG_LASTLAST_STACK_TRACE=()
    fi
    # What ends a test that hangs is a child of the test's shell: no `wait` may wait for it.
    [[ -z ${BATS_killer_pid:-} ]] || disown "$BATS_killer_pid"
    nobody_writes=$BATS_FILE_TMPDIR/nobody-writes
    mkfifo "$nobody_writes" 2>/dev/null || [[ -p $nobody_writes ]]
    T=$(mktemp -d "${MPP_WORLD:-/tmp}/mppt.XXXXXX")
    mkdir "$T/s"
    cd "$T" || return
    unset XDG_RUNTIME_DIR
    export TMPDIR=$T/s MPP_TEST=$T
    PATH=$BATS_TEST_DIRNAME/bin:$PATH # where mpp-create is one that remembers what it made
    # bats ends a test that hangs, but of what it started only the children; so it must not end this.
    {
        trap '' TERM
        pause $((BATS_TEST_TIMEOUT + 1))
        kill_started
    } </dev/null >/dev/null 2>&1 3>&- 4>&- &
    watchdog=$!
    disown "$watchdog"
}

teardown() {
    local status=0
    kill -KILL "$watchdog" 2>/dev/null || true
    if [[ ${BATS_TEST_SKIPPED:-} ]]; then
        end_all
    elif [[ ! ${BATS_TEST_COMPLETED:-} ]]; then
        explain
        end_all
    elif ! nothing_left; then
        status=1
        end_all
    fi
    cd / && rm -rf "$T"
    return "$status"
}

# ---- what is there -----------------------------------------------------------------------------------

# The pids of all that this test has started.
started() {
    local file
    for file in $(unset MPP_TEST && exec grep -lszxF "MPP_TEST=$T" /proc/[0-9]*/environ); do
        file=${file#/proc/}
        printf '%s\n' "${file%/environ}"
    done
}

# The ids of the meshes that this test has made and that are still there.
meshes() {
    local id
    [[ -f $T/meshes ]] || return 0
    while read -r id _; do
        [[ ! -e /dev/shm/mpp_$id ]] || printf '%s\n' "$id"
    done < <(sort -u "$T/meshes")
}

# The socket directories that there are.
socket_dirs() {
    find "$T" -name 'mpp_*' -type d
}

left() {
    local id pid
    for id in $(meshes); do printf 'segment mpp_%s\n' "$id"; done
    socket_dirs
    for pid in $(started); do
        printf 'process %s: %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
    done
}

nothing_is_left() {
    [[ -z $(left) ]]
}

# What has just ended may need a moment to be gone.
nothing_left() {
    local deadline=$((SECONDS + 3 * busy))
    while ((SECONDS <= deadline)); do
        nothing_is_left && return
        pause 0.02
    done
    echo "left behind:"
    left
    explain
    return 1
}

# Say what helps to see why a test failed.
explain() {
    local id file
    for id in $(meshes); do
        echo "--- mpp-stat $id"
        timeout 5 "$MPP_B/mpp-stat" "$id" 2>&1 || true
    done
    for file in "$T"/*.err; do
        if [[ -s $file ]]; then
            echo "--- ${file##*/}"
            tail -n 20 "$file"
        fi
    done
}

kill_started() {
    local pids try
    for ((try = 0; try < 10; try++)); do
        mapfile -t pids < <(started)
        ((${#pids[@]})) || break
        kill -KILL "${pids[@]}" 2>/dev/null || true
        pause 0.02
    done
}

end_all() {
    local id
    kill_started
    for id in $(meshes); do
        rm -f "/dev/shm/mpp_$id"
    done
}

# ---- waiting and timing --------------------------------------------------------------------------------

# Sanitizers make everything slower: `patient 2` is more seconds then.
patient() {
    echo $(($1 * slower))
}

# And they make tests smaller: `scaled 100000` is less then.
scaled() {
    echo $(($1 / slower))
}

# Something random, or one of many, is tried that often, and in a soak more often.
rounds() {
    local n=$(($1 * ${MPP_ROUNDS:-1} / slower))
    echo $((n > 0 ? n : 1))
}

# Sleep.  sleep(1) would take more of the CPU than most of what is waited for; and a process substitution that nobody
# writes to is a process that bash's own `wait` has been seen to wait for for ever.
pause() { # SECONDS
    read -rt "$1" <>"$nobody_writes" || true
}

# Wait until a command succeeds.
wait_for() {
    local deadline=$((SECONDS + $(patient 15) * busy))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "waited in vain for: $*" || return
        pause 0.02
    done
}

# Run a command (not a function) that has to be done in time; its status is its own.  $ms is how long it took.
finishes_within() { # SECONDS COMMAND...
    local limit=$1 status=0 begin=${EPOCHREALTIME/./}
    shift
    timeout -k 1 "$limit" "$@" || status=$?
    # shellcheck disable=SC2034 # for the caller
    ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
    if ((status == 124 || status == 137)); then
        fail "not done within $limit s: $*"
    else
        return "$status"
    fi
}

# Wait for a background process; it has to exit with STATUS.
exits() { # STATUS PID
    local status=0
    wait "$2" || status=$?
    ((status == $1)) || fail "process $2 exited with $status, not $1"
}

# Wait for background processes; all have to exit 0.
all_well() { # PID...
    local pid status wrong=0
    for pid; do
        status=0
        wait "$pid" || status=$?
        if ((status)); then
            echo "process $pid exited with $status"
            wrong=1
        fi
    done
    return "$wrong"
}

# `COMMAND & track`, and later `all_done`: each has to exit 0, which a bare `wait` does not ask.
tracked=()
track() {
    tracked+=("$!")
}
all_done() {
    local pids=("${tracked[@]}")
    tracked=()
    all_well "${pids[@]}"
}

# Wait for a background process; it has to fail, without being killed by a signal.
fails() { # PID
    local status=0
    wait "$1" || status=$?
    ((0 < status && status < 126)) || fail "process $1 exited with $status"
}

# Microseconds in which three processes come, wake each other and go, one after the other.
chain() {
    local begin=${EPOCHREALTIME/./}
    sleep 0 | cat | cat
    echo $((${EPOCHREALTIME/./} - begin))
}

# Milliseconds that are promised, on this machine at this moment: where others keep it busy all that processes do takes
# longer, and this may as much longer as a chain of processes, which is done in 4 ms where nobody does.
late() { # MILLISECONDS
    local us
    us=$(for _ in {1..9}; do chain; done | median)
    echo $(($(patient "$1") * (us > 4000 ? us : 4000) / 4000))
}

# A bound holds where the median of what was measured keeps it; one that was unlucky may take longer, but not long.
bounded() { # MILLISECONDS FILE
    local limit ms
    limit=$(late "$1") ms=$(median <"$2")
    echo "$2, in ms: $(tr '\n' ' ' <"$2")"
    ((ms <= limit)) || fail "the median is $ms ms, more than $1 ($limit as busy as this machine is)"
    ((ms = $(sort -n "$2" | tail -n 1), ms <= 30 * limit)) || fail "a straggler: $ms ms"
}

# The median of numbers, one to a line.
median() {
    sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

switches() { # PID
    sed -n 's/.*ctxt_switches:\t//p' "/proc/$1/status"
}

# Has a process been asleep for a while?
is_idle() { # PID
    local before
    [[ $(cut -d ' ' -f 3 "/proc/$1/stat") == S ]] || return 1
    before=$(switches "$1")
    pause 0.05
    [[ $before == "$(switches "$1")" ]]
}

is_gone() { # PID
    ! kill -0 "$1" 2>/dev/null
}

# Is an endpoint of a mesh's first lane at something?  `at c0 "waiting for data" MESH`
at() { # WHO ACTIVITY MESH
    local role=consumer rest
    [[ $1 == c* ]] || role=producer
    rest=$("$MPP_B/mpp-stat" --json "$3") || return
    rest=${rest#*"\"role\":\"$role\",\"index\":${1:1},\"lane\":0,"}
    [[ ${rest#*"\"activity\":"} == "\"$2\","* ]]
}

# A field of a mesh's state: `state .mesh.ring_size MESH`.
state() { # JQ-FILTER MESH
    "$MPP_B/mpp-stat" --json "$2" | jq -r "$1"
}

# How often an extended regular expression is in the state of a mesh?  What is asked again and again needs no jq, which
# takes as long to start as ten other programs.
count_in_state() { # REGEX MESH
    "$MPP_B/mpp-stat" --json "$2" | grep -oE -- "$1" | wc -l
}

# Do that many endpoints of a mesh say so of themselves?  `doing 2 "waiting for data" MESH`
doing() { # N ACTIVITY MESH
    [[ $(count_in_state "\"activity\":\"$2\"" "$3") == "$1" ]]
}

# Are that many endpoints of a mesh live?
attached() { # N MESH
    [[ $(count_in_state '"lane":[0-9]+,"state":"live"' "$2") == "$1" ]]
}

# ---- comparing ---------------------------------------------------------------------------------------------

# Are two files the same?  Says where not, without printing them.
same() { # FILE FILE
    cmp "$1" "$2" && return
    wc -lc "$1" "$2"
    return 1
}

# Are two files the same but for the order of their lines?
same_lines() { # FILE FILE
    same <(sort "$1") <(sort "$2")
}

is_empty() { # FILE
    [[ ! -s $1 ]] && return
    echo "$1 is not empty:"
    head -n 20 "$1"
    return 1
}

# What went wrong is said in one line, which begins with the tool's name.
one_line_of() { # TOOL TEXT
    [[ $2 == "$1: "* && $2 != *$'\n'* ]] || fail "not one line of $1: $2"
}

# The index that its hash gives a key among N consumers: `KEY` lines become `KEY TAB INDEX` lines.
hash_indices() { # N
    local n=$1 i=0 key hash dir=$T/hash.$BASHPID
    mkdir "$dir"
    while IFS= read -r key; do
        i=$((i + 1))
        printf '%s' "$key" >"$dir/$i"
        printf '%s\n' "$key" >&3
        echo "$dir/$i"
    done 3>"$dir/keys" | xargs xxhsum -H3 | grep -oE '\b[0-9a-f]{16}\b' |
        while read -r hash; do
            # In halves, as the shell's integers are signed.
            echo $((((0x${hash:0:8} % n) * (0x100000000 % n) + 0x${hash:8} % n) % n))
        done >"$dir/indices"
    paste "$dir/keys" "$dir/indices"
    rm -r "$dir"
}

# ---- surroundings ------------------------------------------------------------------------------------------

needs_strace() {
    strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
    # The leak checker is a tracer, too, and there can be only one.
    export ASAN_OPTIONS=detect_leaks=0
}

# Hold a process as a debugger does, until `let_go`.  Fails where that cannot be done.
hold() { # PID
    local held
    # shellcheck disable=SC2016 # perl's variables
    coproc perl -e '
        my ($pid, $ptrace) = (shift, {x86_64 => 101, aarch64 => 117}->{`uname -m` =~ s/\n//r} || exit 9);
        syscall($ptrace, 0x4206, $pid + 0, 0, 0) == 0 or exit 9; # PTRACE_SEIZE
        syscall($ptrace, 0x4207, $pid + 0, 0, 0) == 0 or exit 9; # PTRACE_INTERRUPT
        waitpid $pid, 0x40000000;                                # __WALL
        $| = 1;
        print "held\n";
        <STDIN>;
        syscall($ptrace, 17, $pid + 0, 0, 0); # PTRACE_DETACH
    ' "$1"
    read -r held <&"${COPROC[0]}"
    [[ $held == held && $(cut -d ' ' -f 3 "/proc/$1/stat") == t ]]
}

let_go() {
    eval "exec ${COPROC[1]}>&-"
}

# Run a command with a /dev/shm of its own, of SIZE bytes.
private_shm() { # SIZE COMMAND...
    local size=$1 as_root=(--map-root-user)
    shift
    # Root may do without a user namespace, which is not to be had everywhere.
    ((EUID)) || ! unshare --mount true 2>/dev/null || as_root=()
    # shellcheck disable=SC2016 # expanded inside
    unshare "${as_root[@]}" --mount sh -c 'mount -t tmpfs -o size="$0" tmpfs /dev/shm && exec "$@"' "$size" "$@"
}

needs_private_shm() {
    private_shm 1M true 2>/dev/null || skip "no mount namespaces here"
}

# Random numbers that MPP_SEED replays, for use in the shell that calls this.
seed() {
    local seed=${MPP_SEED:-$SRANDOM}
    echo "replay with MPP_SEED=$seed"
    RANDOM=$seed
}

# "producer 0" for p0.
name_of() { # WHO
    case $1 in
    p*) echo "producer ${1#p}" ;;
    c*) echo "consumer ${1#c}" ;;
    esac
}
