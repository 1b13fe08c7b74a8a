load helpers

# scripts/check has a house of its own here, whose programs are made up: what is on standard input is one of them.
program() { # NAME
    mkdir -p house/scripts house/tests/unit "house/build/tests/${1%/*}" "house/tests/${1%/*}"
    cp "$BATS_TEST_DIRNAME"/../scripts/{check,world} house/scripts/
    : >"house/tests/$1.c"
    { echo '#!/bin/sh' && cat; } >"house/build/tests/$1"
    chmod +x "house/build/tests/$1"
}

check() { # WORD...
    env -u MPP_SAN -u MPP_JOBS -u MPP_REPLAY MPP_B="$PWD/house/build" MPP_LIMIT="${limit:-60}" \
        MPP_SLOWEST="${slowest:-5}" house/scripts/check "${@:-unit/}"
}

# Only this test fails, and the program gave this many others.
assert_fails() { # TEXT PASSED
    assert_line --partial "  FAIL  $1"
    assert_line --partial "  unit/made-up: $1"
    assert_equal "${lines[-1]}" "$2 passed, 1 failed"
}

@test "of a program that passes one line is shown, and what is skipped" {
    program unit/made-up <<'EOF'
echo 'ok 1 - one is one'
echo 'ok 2 - two is two # SKIP there is no two here'
echo '# by the way'
echo 'ok 3 three is three'
echo 1..3
EOF
    run -0 check
    assert_equal "${lines[0]}" "unit/made-up"
    assert_line --partial "  skip  two is two: there is no two here"
    assert_line --partial "  ok    3 tests ("
    refute_output --partial "  ok    one is one"
    refute_output --partial "by the way"
    assert_equal "${lines[-2]}" "1 skipped"
    assert_equal "${lines[-1]}" "2 passed, 0 failed"
    run -0 cat house/build/check/unit-made-up.log
    assert_line "# by the way"
}

@test "of a test that fails the lines around it are shown, on whichever output" {
    program unit/made-up <<'EOF'
echo 1..4
echo '# before one'
echo 'ok 1 - is one'
echo 'before two' >&2
echo 'not ok 2 - two is two'
echo '# behind two'
echo 'ok 3 - three is three'
echo '# behind three'
echo 'ok 4 - four is four'
exit 1
EOF
    run -1 check
    assert_fails "two is two" 3
    assert_line "        before two"
    assert_line "        # behind two"
    refute_output --partial "# before one"
    refute_output --partial "# behind three"
}

@test "what explains a failure is cut" {
    program unit/made-up <<'EOF'
echo 'not ok 1 - it is short'
seq 100 199
echo 1..1
EOF
    run -1 check
    assert_fails "it is short" 0
    assert_line "        159"
    refute_line "        160"
    assert_line "        ... the rest is in $PWD/house/build/check/unit-made-up.log"
}

@test "a program without any test is skipped" {
    program unit/made-up <<'EOF'
echo '1..0 # SKIP not here'
EOF
    program unit/ring <<'EOF'
echo ok 1
echo 1..1
EOF
    run -0 check
    assert_line --partial "  skip  not here"
    assert_equal "${lines[-1]}" "1 passed, 0 failed"
    run -1 check made-up # nothing was shown
    assert_equal "${lines[-1]}" "0 passed, 0 failed"
}

@test "a program that dies, or exits without a reason, has failed" {
    program unit/made-up <<'EOF'
echo 1..1
echo ok 1
echo 'so it ends' >&2
kill -SEGV $$
EOF
    program unit/ring <<'EOF'
echo ok 1
echo 1..1
exit 3
EOF
    run -1 check
    assert_line --partial "  unit/made-up: exits 0, not 139"
    assert_line "        so it ends"
    assert_line "  unit/ring: exits 0, not 3"
    assert_equal "${lines[-1]}" "2 passed, 2 failed"
}

@test "a program that has no plan, or runs fewer or more tests, or is not there, has failed" {
    program unit/bails-out <<'EOF'
echo ok 1
echo 'Bail out! no more'
EOF
    program unit/fewer <<'EOF'
echo 1..3
echo ok 1
echo ok 2
EOF
    program unit/more <<'EOF'
echo 1..1
echo ok 1
echo ok 2
EOF
    program unit/nowhere </dev/null
    rm house/build/tests/unit/nowhere
    run -1 check
    local failed="prints TAP and exits 0, not"
    assert_line "  unit/bails-out: $failed 0: No plan found in TAP output"
    assert_line "        Bail out! no more"
    assert_line "  unit/fewer: $failed 0: Bad plan.  You planned 3 tests but ran 2."
    assert_line "  unit/more: $failed 0: Bad plan.  You planned 1 tests but ran 2."
    assert_line "  unit/nowhere: $failed 127: No plan found in TAP output"
    assert_output --partial "No such file"
}

@test "a program that hangs is ended, and has failed" {
    limit=2
    program unit/made-up <<'EOF'
echo ok 1
echo '# and now'
sleep 60
EOF
    run -1 check
    assert_fails "is done within 2 s" 1
    assert_line "        # and now"
}

@test "a process or file that is left behind is a failure, and removed" {
    program unit/made-up <<'EOF'
sleep 61 &
: >"$MPP_WORLD/left"
echo ok 1
echo 1..1
EOF
    run -1 check
    assert_fails "leaves nothing behind" 1
    assert_line --regexp '^        process [0-9]+: sleep 61'
    assert_line --regexp '^        /tmp/mppw\.[^ ]*/left$'
}

@test "a process that holds the program's output, and is not of its world, is a failure, and nobody waits for it" {
    program unit/made-up <<'EOF'
env -i sleep 60 &
echo $! >"$HOLDER"
echo ok 1
echo 1..1
EOF
    export HOLDER=$PWD/holder
    run -1 check
    assert_fails "leaves nothing behind" 1
    assert_line "        a process that holds its output"
    kill "$(<holder)" # it is still there
}

@test "several programs run at a time, and others alone after them" {
    local name
    for name in one two three; do
        program "unit/$name" <<EOF
: >"\$OUTSIDE/begun.$name"
for try in \$(seq 1000); do
    [ "\$(ls "\$OUTSIDE" | grep -c begun)" -lt 2 ] || break
    sleep 0.01
done
[ "\$try" -lt 1000 ] && echo ok 1
: >"\$OUTSIDE/ended.$name"
echo 1..1
EOF
    done
    program unit/death <<'EOF'
echo 1..1
[ "$(ls "$OUTSIDE" | grep -c ended)" -eq 3 ] && echo ok 1
EOF
    mkdir outside
    export OUTSIDE=$PWD/outside
    run -0 check
    assert_equal "${lines[-1]}" "4 passed, 0 failed"
    run -0 check --list
    assert_equal "$(grep unit/ <<<"$output" | tail -n 1)" unit/death
}

@test "the slowest tests are named, by what they say and by when they were heard" {
    program unit/made-up <<'EOF'
echo 1..4
echo 'ok 1 - at once in 0 ms'
sleep 0.1
echo 'ok 2 - after a while'
echo 'ok 3 - by itself in 61234 ms'
echo 'ok 4 - as bats has it in 5ms # skip because'
EOF
    slowest=2
    run -0 check
    assert_line --regexp "^ *61\.23 s  unit/made-up: by itself$"
    assert_line --regexp "^ *[0-9]+\.[0-9]+ s  unit/made-up: after a while$"
    refute_output --partial "at once"
    assert_line --partial "  skip  as bats has it: because"
}

@test "of a bats file each test is shown, and of a command that is one test what it said" {
    program unit/made-up </dev/null
    printf '@test "%s" { %s; }\n' 'it works' true 'it does not' 'echo so it is; false' >house/tests/010-made.bats
    printf '#!/bin/sh\necho wrong; exit 1\n' >house/scripts/check-layers
    chmod +x house/scripts/check-layers
    run -1 check 010 layers
    assert_line --regexp '^  ok    it works \([0-9]+\.[0-9]+ s\)$'
    assert_line --partial "  FAIL  it does not ("
    assert_line "        # so it is"
    assert_line --partial "  FAIL  every file includes only what lies below it ("
    assert_line "        wrong"
    assert_equal "${lines[-1]}" "1 passed, 2 failed"
}

@test "no word that anything has is a failure" {
    program unit/made-up </dev/null
    run -1 check no-such-test
    assert_equal "${lines[-1]}" "0 passed, 0 failed"
}

@test "the programs that take most of the CPU are named, with all of it" {
    program unit/idle <<'EOF'
echo 1..1
sleep 0.1
echo 'ok 1 - idle'
EOF
    program unit/busy <<'EOF'
echo 1..1
timeout 1 sh -c 'while :; do :; done'
echo 'ok 1 - busy'
EOF
    slowest=1
    run -0 check
    assert_regex "$output" $'most seconds of CPU:\n +[0-9.]+ s  unit/busy\n[0-9]+ s, and [0-9]+ s of CPU\n2 passed, 0 failed$'
}
