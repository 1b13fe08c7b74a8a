load helpers

# Ended by a signal while all wait for everybody (--barrier); 240-death has this for every other state.

setup_file() {
    export BATS_NO_PARALLELIZE_WITHIN_FILE=true
}

declare -gA pid # of `p0`: producer 0, and so on

# Of producers 0 and 1 and consumer 0 of a mesh producer 1 does not come; VICTIM gets SIGNAL, and OTHER is told.
ended_at_the_barrier() { # SIGNAL VICTIM OTHER STATUS-OF-VICTIM STATUS-OF-OTHER WHAT-IT-SAYS
    local begin victim=$2 other=$3
    m=$(mpp-create -p 2)
    env --default-signal=INT mpp-produce "$m" -i 0 --barrier -- touch started 2>p0.err &
    pid[p0]=$!
    env --default-signal=INT mpp-consume "$m" --barrier >out 2>c0.err &
    pid[c0]=$!
    wait_for doing 2 "waiting for everybody to attach" "$m"
    begin=${EPOCHREALTIME/./}
    kill "-$1" "${pid[$victim]}"
    exits "$4" "${pid[$victim]}" 2>/dev/null
    echo $(((${EPOCHREALTIME/./} - begin) / 1000)) >>its_own
    exits "$5" "${pid[$other]}"
    echo $(((${EPOCHREALTIME/./} - begin) / 1000)) >>all
    one_line_of "mpp-$([[ $other == p0 ]] && echo produce || echo consume)" "$(<"$other.err")"
    grep -Eq "$(name_of "$victim") \(pid ${pid[$victim]}[^)]*\):? $6" "$other.err"
    is_empty out
    [[ ! -e started ]]
    [[ -z $(meshes) ]] || mpp-create --gc >/dev/null
}

@test "SIGTERM, SIGINT and SIGKILL while all wait for everybody: gone within 50 ms, the others within 100 ms" {
    # shellcheck disable=SC2086 # words
    for _ in {1..5}; do
        for who in "p0 c0" "c0 p0"; do
            ended_at_the_barrier TERM ${who} 143 3 'ended by signal 15'
            ended_at_the_barrier INT ${who} 130 3 'ended by signal 2'
            ended_at_the_barrier KILL ${who} 137 4 'died before its stream ended'
        done
    done
    bounded 50 its_own
    bounded 100 all
}
