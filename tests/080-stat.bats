# mpp-stat: the list of meshes, one mesh, the verdict, JSON, columns, --where

load helpers

# The list's line of one mesh, as columns $2.  Other meshes may be there as well.
listed() {
    mpp-stat -o "mesh,$2" | awk -v m="$1" '$1 == m { sub("^[^ ]+ +", ""); print }'
}

# A field of one mesh's JSON.
field() {
    mpp-stat --json "$1" | jq -c ".mesh | $2"
}

# A mesh that has finished and was kept: producer 0 passed on 100 lines, of which each of two consumers got 50.
finished() {
    local m
    m=$(mpp-create -c 2 --keep)
    seq 100 | mpp-produce "$m" &
    mpp-consume "$m" --all -- sh -c 'cat >/dev/null'
    wait
    echo "$m"
}

# A mesh whose producer waits for space, as the consumer's command reads nothing until somebody writes to `gate`.  It
# sleeps in one call until then: who does something from time to time is slow, and not stuck.
stuck() {
    local m
    mkfifo gate
    m=$(mpp-create -r 64K --pid $$)
    yes | head -n 1000000 | mpp-produce "$m" >/dev/null &
    mpp-consume "$m" -- sh -c 'read -r _ <gate; cat >/dev/null' >/dev/null &
    wait_for doing 1 "waiting for space" "$m"
    echo "$m"
}

# The verdict, if something is stalled.
is_stalled() {
    local status=0
    mpp-stat --why --for 50ms "$1" || status=$?
    ((status == 7))
}

# $2 bytes that mean nothing, from offset $3 on, into the segment of mesh $1.
spoil() {
    head -c "$2" /dev/zero | tr '\0' '\377' | dd of="/dev/shm/mpp_$1" bs=1 seek="$3" conv=notrunc status=none
}

@test "the list shows a fresh mesh with its participants missing" {
    m=$(mpp-create -p 2 -c 3)
    run -0 listed "$m" state,producers,consumers,live,missing
    assert_output --regexp '^new +2 +3 +0 +5$'
    mpp-create --remove "$m"
}

@test "the list shows a mesh by its name" {
    name="stat.$$"
    mpp-create --name "$name" >/dev/null
    run -0 listed "$name" state
    assert_output new
    mpp-create --remove "$name"
}

@test "the list says why a mesh is garbage" {
    m=$(finished)
    run -0 listed "$m" state,remark
    assert_output --regexp '^closed +garbage: '
    mpp-create --remove "$m"
}

@test "a corrupt mesh is a line of the list, and the others stand beside it" {
    good=$(mpp-create) bad=$(mpp-create) cut=$(mpp-create)
    spoil "$bad" 512 0
    truncate -s 0 "/dev/shm/mpp_$cut"
    run -0 listed "$bad" state
    assert_output corrupt
    run -0 listed "$cut" state
    assert_output corrupt
    run -0 listed "$good" state
    assert_output new
    rm "/dev/shm/mpp_$bad" "/dev/shm/mpp_$cut"
    rmdir "$TMPDIR/mpp_$bad" "$TMPDIR/mpp_$cut"
    mpp-create --remove "$good"
}

@test "a corrupt mesh is exit 8 with the reason, wherever it is spoilt, and never a crash" {
    local at
    for at in $(seq 8 4 256); do
        m=$(mpp-create -p 2 -c 2 -s a -k 1 -s b -k 2)
        spoil "$m" 4 "$at"
        run mpp-stat "$m"
        # Not every byte matters to somebody who only looks.
        [[ $status == 8 || $status == 0 ]] || fail "offset $at: exit $status: $output"
        [[ $status == 0 ]] || assert_output --partial "$m"
        rm -rf "/dev/shm/mpp_$m" "$T"/s/mpp_*
    done
}

@test "a mesh that does not exist is exit 6" {
    run -6 --separate-stderr mpp-stat no-such-mesh
    assert_equal "$output" ""
    [[ $stderr == *no-such-mesh* ]]
}

@test "one mesh: its geometry, who takes part, and what each channel carried" {
    m=$(finished)
    run -0 mpp-stat "$m"
    assert_line --regexp "^mesh $m: closed, 1 x 2, "
    assert_line --regexp '^producers: 1 done$'
    assert_line --regexp '^consumers: 2 done$'
    assert_line --regexp '^producer 0 +[0-9]+ +done '
    assert_line --regexp '^0->0 '
    assert_line --regexp '^0->1 '
    run -0 mpp-stat -o channel,records,fill "$m"
    assert_line --regexp '^0->0 +50 +0$'
    assert_line --regexp '^0->1 +50 +0$'
    mpp-create --remove "$m"
}

@test "a producer that waits for space is seen waiting, before a full channel" {
    m=$(mpp-create -r 64K --pid $$)
    yes | head -n 1000000 | mpp-produce "$m" &
    mpp-consume "$m" -- sh -c 'until [ -e go ]; do sleep 0.02; done' &
    is_blocked() {
        mpp-stat -o participant,activity "$m" | grep -q '^producer 0 *waiting for space'
    }
    wait_for is_blocked
    run -0 field "$m" '.channels[0] | .fill > 32768 and .counters.high_water > 32768'
    assert_output true
    run -0 field "$m" '.endpoints[0] | .activity != null and .since_ns > 0 and .pid > 0'
    assert_output true
    touch go
    wait
}

@test "the list says how many bytes per second go through a live mesh, and nothing of others" {
    m=$(mpp-create --pid $$) new=$(mpp-create)
    yes | mpp-produce "$m" 2>/dev/null &
    mpp-consume "$m" >/dev/null 2>&1 &
    wait_for attached 2 "$m"
    flows() {
        listed "$m" rate | grep -E '^[1-9][0-9.]*[KMG]?/s$'
    }
    wait_for flows
    run -0 listed "$new" rate
    assert_equal "$output" -
    run -0 jq -c --arg m "$m" '.meshes[] | select(.id == $m) | .rate >= 0' <<<"$(mpp-stat --json)"
    assert_output true
    run -0 jq -c --arg m "$new" '.meshes[] | select(.id == $m) | .rate' <<<"$(mpp-stat --json)"
    assert_output null
    mpp-create --remove "$m" "$new"
    wait
}

@test "--why of a mesh where nothing is stalled is exit 0" {
    m=$(finished)
    run -0 mpp-stat --why "$m"
    refute_output ''
    refute_line --regexp '^stalled'
    run -0 mpp-stat --why --json "$m"
    run -0 jq -c '[.schema, .meshes[0].id, .meshes[0].error, any(.meshes[0].verdicts[]; .stalled)]' <<<"$output"
    assert_output "[1,\"$m\",null,false]"
    mpp-create --remove "$m"
    run -6 mpp-stat --why "$m"
}

@test "--why of a stalled mesh is exit 7, and --for says how long that takes" {
    m=$(stuck)
    wait_for is_stalled "$m"
    run -7 mpp-stat --why --for 50ms "$m"
    assert_line --index 0 --regexp '^stalled .*: '
    run -0 mpp-stat --why --for 1h "$m"
    refute_line --regexp '^stalled'
    run -7 mpp-stat --why --for 50ms --json "$m"
    run -0 jq -c '.meshes[0].verdicts[0] | [.stalled, .for_ns > 50000000, (.text | length > 0)]' <<<"$output"
    assert_output '[true,true,true]'
    echo >gate
    wait
}

@test "one mesh: the verdict stands between the head and the tables, and is no reason to fail" {
    m=$(stuck)
    wait_for is_stalled "$m"
    run -0 mpp-stat --for 50ms "$m"
    assert_output --regexp 'stream 0: [^
]*
stalled .*
PARTICIPANT '
    run -0 mpp-stat --for 50ms --json "$m"
    run -0 jq -c '.mesh.verdicts[0] | [.stalled, (.evidence | type), (keys | length)]' <<<"$output"
    assert_output '[true,"array",11]'
    run -0 mpp-stat -o participant "$m"
    refute_line --regexp '^stalled'
    echo >gate
    wait
}

@test "--why of all meshes: each line begins with its mesh, and 7 outweighs what cannot be read" {
    needs_private_shm
    # The meshes of others are not there.
    private_shm 16M bash -c '
        status=0
        mpp-stat --why >none || status=$?
        echo "none $status"
        new=$(mpp-create) bad=$(mpp-create)
        status=0
        mpp-stat --why >new || status=$?
        echo "new $status"
        truncate -s 0 "/dev/shm/mpp_$bad"
        mpp-stat --why >bad || status=$?
        echo "bad $status"
        m=$(mpp-create -r 64K)
        yes | mpp-produce "$m" 2>/dev/null &
        mpp-consume "$m" -- sleep 60 2>/dev/null &
        for ((i = 0; i < 500; i++)); do
            status=0
            mpp-stat --why --for 50ms >stuck || status=$?
            ((status == 7)) && break
            sleep 0.02
        done
        echo "stuck $status $new $bad $m"
        mpp-stat --why --json >json
        mpp-create --remove "$m" "$new"
        wait
    ' >out
    is_empty none
    run -0 cat out
    assert_line --index 0 'none 0'
    assert_line --index 1 'new 0'
    assert_line --index 2 'bad 8'
    assert_line --index 3 --regexp '^stuck 7 '
    read -r _ _ new bad m < <(tail -n 1 out)
    run -1 grep -v -E "^($new|$bad): " bad
    run -1 grep -v -E "^($new|$bad|$m): " stuck
    run -0 cat stuck
    assert_line --regexp "^$bad: corrupt: "
    assert_line --regexp "^$m: stalled "
    assert_line --regexp "^$new: "
    run -0 jq -c --arg m "$bad" '.meshes[] | select(.id == $m) | [.error.status, .verdicts]' json
    assert_output '[8,[]]'
    rm -rf "$T"/s/mpp_*
}

@test "what a mesh is limited by: a slow input, a slow output, a slow command" {
    local m
    slow='sleep 0.5'
    m=$(mpp-create --keep)
    (seq 10; $slow; seq 10) | mpp-produce "$m" &
    mpp-consume "$m" >/dev/null
    wait
    run -0 mpp-stat "$m"
    assert_line --regexp "^carried: (20 records, )?42 bytes in [0-9]+"
    assert_line --regexp "^waited: producers .* for space, consumers [0-9]+ms for data"
    assert_line --regexp "^limited by: producer 0's input [0-9]+ %"
    run -0 field "$m" '[.limits[] | .input_ns + .output_ns + .command_ns + .work_ns + .channel_ns == .life_ns]'
    assert_output '[true,true]'
    run -0 field "$m" '.limits[0] | [.role, .index, .input_ns > .life_ns / 2]'
    assert_output '["producer",0,true]'
    run -0 field "$m" '.totals | [.bytes, .duration_ns > 400000000, .data_ns > 400000000]'
    assert_output '[42,true,true]'
    mpp-create --remove "$m"

    m=$(mpp-create -r 64K --keep)
    yes | head -n 2000000 | mpp-produce "$m" &
    mpp-consume "$m" -- sh -c "$slow; cat >/dev/null"
    wait
    run -0 mpp-stat "$m"
    assert_line --regexp "^limited by: consumer 0's output [0-9]+ %"
    mpp-create --remove "$m"

    m=$(mpp-create --keep)
    seq 10 | mpp-produce "$m" &
    mpp-consume "$m" -- sh -c "cat >/dev/null; $slow"
    wait
    run -0 mpp-stat "$m"
    assert_line --regexp "^limited by: consumer 0's command [0-9]+ %"
    mpp-create --remove "$m"
}

@test "a live mesh says in one line what it is limited by" {
    m=$(stuck)
    is_limited() {
        mpp-stat "$m" | grep -q "^limited by: consumer 0's output"
    }
    wait_for is_limited
    run -0 mpp-stat "$m"
    refute_line --regexp '^(carried|waited): '
    echo >gate
    wait
}

@test "a failed mesh names its root cause" {
    m=$(mpp-create --keep)
    mpp-consume "$m" >/dev/null 2>&1 &
    run mpp-produce "$m" -- sh -c 'exit 9'
    wait || true
    run -0 mpp-stat "$m"
    assert_line --regexp '^mesh .*: failed, '
    assert_line --regexp '^failed: .*9'
    run -0 field "$m" .cause.status
    assert_output 3
    mpp-create --remove "$m"
}

@test "JSON has a schema, and all counters of counters.def as they are" {
    m=$(finished)
    run -0 --separate-stderr mpp-stat --json "$m"
    jq -e '.schema == 1 and .mesh.id == "'"$m"'"' <<<"$output"
    run -0 field "$m" '[.channels[].counters.records]'
    assert_output '[50,50]'
    run -0 field "$m" '[.channels[].counters.bytes] | add'
    assert_output "$(seq 100 | wc -c)"
    run -0 field "$m" '.channels[0].counters | keys | length'
    assert_output "$(grep -c '^COUNTER(' "$BATS_TEST_DIRNAME/../lib/counters.def")"
    run -0 field "$m" '.endpoints[0].counters | keys | length'
    assert_output "$(grep -c '^ENDPOINT_COUNTER(' "$BATS_TEST_DIRNAME/../lib/counters.def")"
    run -0 field "$m" '.endpoints[0] | [.command, .counters.left > .counters.attached, .counters.attached > 0]'
    assert_output '[null,true,true]'
    run -0 field "$m" '.participants | [.live, .done, .dead, .missing]'
    assert_output '[0,3,0,0]'
    mpp-create --remove "$m"
}

@test "what a mesh's names hold never reaches a terminal as it is" {
    name=$'\xc2\x9b31m\xff'
    m=$(mpp-create -s "a$name")
    for options in "" --json --why "--why --json" --all; do
        # shellcheck disable=SC2086 # several words
        run -0 --separate-stderr mpp-stat $options "$m"
        refute_regex "$(LC_ALL=C tr -d '\n -~' <<<"$output" | od -An -c)" '[^ ]'
    done
    mpp-create --remove "$m"
}

@test "JSON of the list is valid with a corrupt mesh in it, and says what is wrong" {
    m=$(mpp-create)
    spoil "$m" 512 0
    run -0 --separate-stderr mpp-stat --json
    run -0 jq -c --arg m "$m" '.meshes[] | select(.id == $m) | [.error.status, (.error.text | length > 0)]' <<<"$output"
    assert_output '[8,true]'
    rm "/dev/shm/mpp_$m"
    rmdir "$TMPDIR/mpp_$m"
}

@test "columns stand in the order asked for, and only the tables that they are of" {
    m=$(finished)
    run -0 mpp-stat -o bytes,channel "$m"
    assert_line --index 0 --regexp '^ *BYTES  CHANNEL$'
    assert_equal "${#lines[@]}" 3
    run -0 mpp-stat -o state,participant "$m"
    assert_line --index 0 --regexp '^STATE +PARTICIPANT$'
    assert_equal "${#lines[@]}" 4
    mpp-create --remove "$m"
}

@test "each counter of a participant is a column, and so is the process behind it" {
    local counter
    m=$(stuck)
    counter=$(sed -n 's/^ENDPOINT_COUNTER(\([a-z_]*\),.*/\1/p' "$BATS_TEST_DIRNAME/../lib/counters.def" | paste -sd,)
    run -0 mpp-stat -o "participant,$counter" "$m"
    assert_line --index 0 --regexp '^PARTICIPANT .* ATTACHED .* INPUT WAIT '
    assert_equal "${#lines[@]}" 3
    pid=$(state '.mesh.endpoints[] | select(.role == "consumer") | .command' "$m")
    kill -0 "$pid"
    run -0 mpp-stat -o participant,command "$m"
    assert_line --regexp "^consumer 0 +$pid$"
    echo >gate
    wait
}

@test "a column that there is not is a usage error that lists those that there are" {
    run -2 mpp-stat -o mesh,colour
    assert_output --regexp "no column 'colour'.* age .* mesh .* uuid"
    run -2 mpp-stat -o pid,colour no-such-mesh
    assert_output --regexp "no column 'colour'.* pid .* high_water "
}

@test "a 64 x 64 mesh is cut to the rows that matter, and --all shows every one" {
    n=64
    [[ -z ${MPP_SAN:-} ]] || n=24
    m=$(mpp-create -p "$n" -c "$n" --keep)
    mpp-produce "$m" --all -- seq "$n" 2>produce.err &
    mpp-consume "$m" --all -- sh -c 'cat >/dev/null' 2>consume.err
    wait
    run -0 mpp-stat "$m"
    assert_line "$((2 * n - 10)) more participants; --all shows all $((2 * n))"
    assert_line "$((n * n - 10)) more channels; --all shows all $((n * n))"
    [[ ${#lines[@]} -lt $((n + 45)) ]]
    # A row of the matrix for each producer, with a place for each consumer.
    run -0 grep -cE "^ *[0-9]+ \\.{$n}$" <<<"$output"
    assert_output "$n"
    begin=${EPOCHREALTIME/./}
    run -0 mpp-stat "$m"
    ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
    ((ms < $(late 1000))) || fail "$ms ms"
    run -0 mpp-stat --all "$m"
    refute_line --partial tenths
    run -0 mpp-stat --all -o channel "$m"
    assert_equal "${#lines[@]}" $((n * n + 1))
    mpp-create --remove "$m"
}

@test "--where names the consumer that gets the key" {
    local key
    m=$(mpp-create -c 3 -k 1)
    for key in a b c dd 'e f' ''; do
        printf '%s\n' "$key" >>keys
        mpp-stat --where "$key" "$m" >>where
    done
    mpp-produce "$m" keys &
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX'
    wait
    while IFS= read -r key && read -r index <&3; do
        grep -qxF -e "$key" "out.$index" || fail "'$key' is not at consumer $index"
    done <keys 3<where
}

@test "--where of one stream of several, and of one whose key decides nothing" {
    m=$(mpp-create -c 4 -k 1 -s a -s b -P broadcast)
    run -0 mpp-stat --where x -s a "$m"
    assert_output --regexp '^[0-3]$'
    run -2 mpp-stat --where x "$m"
    assert_output --partial -- '--stream'
    run -2 mpp-stat --where x -s b "$m"
    assert_output --partial broadcast
    run -2 mpp-stat --where x -s c "$m"
    assert_output --partial "no stream 'c'"
    mpp-create --remove "$m"
}

@test "misuse is one line and exit 2" {
    local words
    for words in 'a b' '--where=x' '-s x m' '-J -o pid m' '-J --where=x m' '--no-such' '-o' '--for 1s' '--for 1s -o pid m' \
        '--for x m' '-W -o pid m' '-W --where=x m' '-w 0 m' '-w 0.001 m' '-w x m' '-w 1 --where=x m'; do
        # shellcheck disable=SC2086
        run -2 --separate-stderr mpp-stat $words
        assert_equal "$output" ""
        assert_equal "${#stderr_lines[@]}" 1
    done
}

@test "output that cannot be written is exit 1" {
    run -1 bash -c 'mpp-stat >/dev/full'
    assert_output --partial 'standard output'
}
