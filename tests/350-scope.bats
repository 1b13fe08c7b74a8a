# mpp-create -- COMMAND: the mesh lives as long as the command, and the exit status is the first failure's.

load helpers

# Each COMMAND says which mesh it has, so that teardown sees what is left of it.
scope() { # OPTION... -- SHELL-COMMAND
    local options=()
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    # Not by the mpp-create of the tests, which prints into a pipe.
    exec "$MPP_B/mpp-create" "${options[@]}" -- bash -c 'echo "$MPP_MESH" >>"$MPP_TEST/meshes"; m=$MPP_MESH; '"$2"
}

@test "COMMAND has the mesh, its own input and output, and its status is ours" {
    echo from stdin >in
    run -0 --separate-stderr scope -- 'cat; seq 3 | mpp-produce $m & mpp-consume $m; wait' <in
    assert_output $'from stdin\n1\n2\n3'
    is_empty_text "$stderr"
    run -0 --separate-stderr scope -p 2 -c 3 --name job -- 'mpp-produce $m --all -- seq 9 & mpp-consume $m --all -- cat; echo $m'
    [[ $(tail -n 1 <<<"$output") == job && $(wc -l <<<"$output") == 19 ]]
    run -7 --separate-stderr scope -- 'seq 3 | mpp-produce $m & mpp-consume $m; exit 7'
    assert_regex "$stderr" "^mpp-create: 'bash -c .* exited with status 7$"
    run -127 --separate-stderr "$MPP_B/mpp-create" -- no-such-command
    assert_equal "$stderr" "mpp-create: cannot run 'no-such-command': No such file or directory"
}

is_empty_text() {
    [[ -z $1 ]] || fail "it says: $1"
}

@test "a scope in a scope has both meshes" {
    run -0 --separate-stderr scope -c 2 -- 'export m
        mpp-create -p 2 -- bash -c "echo \$MPP_MESH >>\$MPP_TEST/meshes; [[ \$MPP_OUTER == \$m ]] || exit 9
            for i in 0 1; do mpp-consume \$MPP_OUTER -i \$i -- sort -r | mpp-produce \$MPP_MESH -i \$i & done
            mpp-consume \$MPP_MESH & seq 1000 | mpp-produce \$MPP_OUTER; wait"'
    is_empty_text "$stderr"
    same <(sort -n <<<"$output") <(seq 1000)
}

@test "a failure is told by who failed, and by the scope, and by nobody else" {
    run -3 --separate-stderr scope -p 2 -c 2 -- 'mpp-produce $m --all -- yes & mpp-consume $m -i 0 >out & mpp-consume $m -i 1 -- false; wait'
    assert_regex "$stderr" "^mpp-consume: consumer 1: 'false' exited with status 1"$'
'"mpp-create: consumer 1 \(pid [0-9]+\): 'false' exited with status 1$"
}

@test "those who are attached when COMMAND ends finish, and then the mesh goes" {
    mkfifo gate
    scope -- '(cat gate >nothing; seq 3) | mpp-produce $m & mpp-consume $m -o out & until mpp-stat $m | grep -q "its input"; do :; done' &
    scope=$!
    wait_for test -s meshes
    wait_for has_no_command
    echo go >gate
    exits 0 $scope
    same out <(seq 3)
}

@test "a producer that serves any number of runs ends when nobody can ask any more" {
    run -0 scope -- 'mpp-produce $m --runs 0 -- seq 3 & mpp-consume $m; mpp-consume $m -i 0'
    assert_output $'1\n2\n3\n1\n2\n3'
    run -0 scope -- 'mpp-produce $m --runs 5 --attach-timeout 0 -- seq 3 & mpp-consume $m'
    assert_output $'1\n2\n3'
}

# STATUS, and what mpp-create says.
fails_with() { # STATUS REGEX OPTION... -- SHELL-COMMAND
    local status=$1 regex=$2
    shift 2
    run "-$status" --separate-stderr scope "$@"
    grep -Eq "^mpp-create: $regex" <<<"$stderr" || fail "no line of it is mpp-create's: $regex"$'\n'"$stderr"
}

@test "whatever of a job fails: its status is that, and it says who" {
    fails_with 3 "consumer 0 \(pid [0-9]+[^)]*\): 'false' exited with status 1" -- 'seq 3 | mpp-produce $m & mpp-consume $m -- false; wait'
    fails_with 3 "producer 0 \(pid [0-9]+[^)]*\): .*no-such-file" -- 'mpp-produce $m no-such-file & mpp-consume $m >out; wait'
    fails_with 3 "producer 0 \(pid [0-9]+[^)]*\): 'sh -c exit 9' exited with status 9" -- 'mpp-produce $m -- sh -c "exit 9" & mpp-consume $m >out; wait'
    fails_with 3 "consumer 0 \(pid [0-9]+[^)]*\): .*No space left" -- 'seq 3 | mpp-produce $m & mpp-consume $m >/dev/full; wait'
    fails_with 4 "producer 0 \(pid [0-9]+[^)]*\) died before its stream ended" -- 'mpp-produce $m -- sh -c "echo x; kill -KILL \$PPID; sleep 9" & mpp-consume $m >out; wait'
    # The last one to be there dies: nobody but us sees it.
    fails_with 4 "consumer 0 \(pid [0-9]+[^)]*\) died before its stream ended" -- \
        'mpp-consume $m --attach-timeout 0 & c=$!; until mpp-stat $m | grep -q "for data"; do :; done; kill -KILL $c; wait'
    fails_with 3 "producer 0 \(pid [0-9]+[^)]*\): ended by signal 15" -- \
        'mpp-produce $m -- sleep 60 & p=$!; mpp-consume $m & until mpp-stat $m | grep -q "its input"; do :; done; kill $p; wait'
}

@test "who is missing is never silent" {
    fails_with 5 "consumer 0 never attached, and producer 0 waits to be asked; nobody can come any more" -- 'seq 3 | mpp-produce $m & until mpp-stat $m | grep -q "for START"; do :; done'
    fails_with 5 "producer 1 never attached, and consumer 0 waits for its records; nobody can come any more" -p 2 -- 'seq 3 | mpp-produce $m & p=$!; mpp-consume $m --attach-timeout 0 & wait $p'
    fails_with 5 "consumer 1 never came: records for it lie unread \(2 bytes\)" -c 2 -- 'seq 3 | mpp-produce $m & mpp-consume $m'
    fails_with 5 "consumer 0 never attached, and producer 0 waits for everybody" -- 'mpp-produce $m --barrier --attach-timeout 0 -- true & until mpp-stat $m | grep -q everybody; do :; done'
    fails_with 5 "nobody attached to the mesh" -- true
    fails_with 5 "producer 1 never came" -b latest -p 2 -- 'seq 3 | mpp-produce $m; mpp-consume $m -n 1'
    # Where buffers overwrite, no reader need come.
    run -0 scope -b latest -c 2 -- 'seq 3 | mpp-produce $m; mpp-consume $m -n 1'
    assert_output 3
    # Who has enough of its share leaves some unread.
    run -0 scope -c 2 -- 'seq 1000 | mpp-produce $m & mpp-consume $m -n 1 >out & mpp-consume $m -n 1 >out; wait'
}

# COMMAND ends while one is attached, who ends only when we let it; another comes meanwhile.
@test "who comes when COMMAND has ended is refused, and that is the failure" {
    mkfifo gate
    scope -c 2 -- 'mpp-consume $m -i 0 -o out & mpp-produce $m -- sh -c "echo x; cat gate" & until mpp-stat $m | grep -q "its input"; do :; done' 2>err &
    scope=$!
    wait_for test -s meshes
    m=$(<meshes)
    wait_for has_no_command
    run -6 mpp-consume "$m" -i 1
    assert_output "mpp-consume: mesh '$m' takes nobody any more: the command of mpp-create has ended"
    echo y >gate
    exits 5 $scope
    grep -q "^mpp-create: 1 process came when the command had ended, and was refused" err
    same out <(echo x)
}

# It is a zombie until those who are attached have finished.
has_no_command() {
    pgrep -P "$scope" -r Z -x bash # and not a guard that has done its work
}

@test "a signal ends all that belongs to it, also what does not obey, and it dies of it" {
    for sig in INT TERM HUP; do
        : >meshes
        env --default-signal=INT "$MPP_B/mpp-create" -- bash -c 'echo "$MPP_MESH" >>meshes
            trap "" TERM
            sleep 1000 | mpp-produce $MPP_MESH & setsid mpp-consume $MPP_MESH --attach-timeout 0 & sleep 1000; sleep 1000' 2>err &
        scope=$!
        wait_for test -s meshes
        wait_for attached 2 "$(<meshes)"
        kill -$sig $scope
        exits $((128 + $(kill -l $sig))) $scope 2>/dev/null
        nothing_left
        refute_regex "$(<err)" 'mpp-create: '
    done
}

@test "a signal when COMMAND has ended: those who are attached end, and what it has left behind, and nobody else" {
    mkfifo gate
    # In a group of its own, with a bystander.
    setsid bash -c 'sleep 1000 & echo $! >bystander
        env --default-signal=INT "$MPP_B/mpp-create" -- bash -c "echo \$MPP_MESH >meshes; sleep 1001 & mpp-consume \$MPP_MESH -o out & mpp-produce \$MPP_MESH -- cat gate &
            until mpp-stat \$MPP_MESH | grep -q \"its input\"; do :; done" & echo $! >scope; wait $!; echo $? >status; kill $(<bystander)' 2>err &
    wait_for test -s scope
    scope=$(<scope)
    wait_for has_no_command
    kill -INT "$scope"
    exits 0 $!
    same status <(echo 130)
}

@test "SIGKILL, at any time: nothing is left" {
    seed
    for ((round = 0; round < $(rounds 40); round++)); do
        : >meshes
        env --default-signal=INT "$MPP_B/mpp-create" -p 2 -c 2 -- bash -c 'echo "$MPP_MESH" >>meshes
            mpp-produce $MPP_MESH --all -- sh -c "sleep 0.0\$((RANDOM % 5)); yes" & setsid mpp-consume $MPP_MESH -i 0 -- cat >/dev/null &
            mpp-consume $MPP_MESH >/dev/null & wait' 2>err &
        scope=$!
        printf -v moment '0.%03d' $((RANDOM % 150))
        pause "$moment"
        kill -KILL $scope
        exits 137 $scope 2>/dev/null
        nothing_left || fail "round $round, after $moment s"
    done
}

@test "--keep keeps the mesh for a post-mortem" {
    run -3 scope --keep --name kept -- 'seq 3 | mpp-produce $m & mpp-consume $m -- false; wait'
    run -0 mpp-stat kept
    assert_output --partial "'false' exited with status 1"
    mpp-create --remove kept
}

@test "what does not go together" {
    run -2 "$MPP_B/mpp-create" --pid 1 -- true
    assert_output --partial -- "--pid means nothing with a COMMAND"
    run -2 "$MPP_B/mpp-create" --gc -- true
    assert_output --partial -- "--gc takes no COMMAND"
    run -2 "$MPP_B/mpp-create" --remove x -- true
    assert_output --partial -- "--remove takes no COMMAND"
    run -2 "$MPP_B/mpp-create" --
    run -2 "$MPP_B/mpp-create" true
    assert_output --partial "operand 'true' not expected; a COMMAND stands behind --"
}
