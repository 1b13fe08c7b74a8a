# mpp-stat --watch: on a terminal, off it, as JSON; how it ends, and that it sleeps

load helpers

# A mesh that carries something all the time.
flowing() {
    local m
    m=$(mpp-create -c 2 --pid $$)
    yes 2>/dev/null | mpp-produce "$m" >/dev/null 2>&1 &
    mpp-consume "$m" --all -- sh -c 'cat >/dev/null' >/dev/null 2>&1 &
    wait_for attached 3 "$m"
    echo "$m"
}

# Has a file that many lines like PATTERN, or more?
has() { # N PATTERN FILE
    local n
    n=$(grep -cE -e "$2" "$3")
    ((n >= $1))
}

# Run mpp-stat on a terminal of ROWS x COLUMNS.  What it writes is in the file `screen`; its pid in $pid, and what exits
# with its status in $terminal.  (What a shell without job control starts in the background ignores SIGINT.)
on_terminal() { # ROWS COLUMNS ARGUMENT...
    local size="rows $1 cols $2"
    shift 2
    rm -f pid screen
    script -qefc "stty $size; tty >line; echo \$\$ >pid.new; mv pid.new pid; exec env --default-signal=INT mpp-stat $*" \
        screen </dev/null >/dev/null 2>&1 &
    terminal=$!
    wait_for test -e pid
    pid=$(<pid)
}

# How many frames were drawn.
frames() {
    grep -ao $'\e\\[H' screen | wc -l
}

drawn() { # N
    (($(frames) >= $1))
}

# The lines and the longest line of each frame.
frame_sizes() {
    awk -v RS='\033\\[H' 'NR > 1 {
        gsub(/\033\[[?0-9]*[a-zA-Z]|\r/, "")
        sub(/\nScript done.*/, "\n")
        n = split($0, line, "\n") - 1
        longest = 0
        for (i = 1; i <= n; i++)
            if (length(line[i]) > longest)
                longest = length(line[i])
        print n, longest
    }' screen
}

@test "off a terminal there is a block for each interval, an empty line between two, and no escape" {
    m=$(flowing)
    mpp-stat --watch 0.05 "$m" >out &
    pid=$!
    wait_for has 4 '^mesh ' out
    kill "$pid"
    exits 143 "$pid"
    run -0 awk '/^mesh / { n++; if (NR > 1 && before != "") bad = 1 } { before = $0 } END { print (n >= 4), bad + 0 }' out
    assert_output '1 0'
    run -0 head -n 1 out
    assert_output --regexp "^mesh $m: "
    run -1 grep -F $'\e' out
    run -0 grep -E '^CHANNEL .* RATE +RECORDS RATE ' out
    run -0 grep -E '^0->0 .* [1-9][0-9.]*[KMG]?/s ' out
    mpp-create --remove "$m"
    wait
}

@test "JSON is one object on one line for each interval, with rates from the first one on" {
    m=$(flowing)
    mpp-stat --json -w 0.05 "$m" >out &
    pid=$!
    wait_for has 4 . out
    kill "$pid"
    exits 143 "$pid"
    # The last line may be half written only where a line is more than a write.
    run -0 jq -s -c --arg m "$m" '[length >= 4, all(.[]; .schema == 1 and .mesh.id == $m)]' out
    assert_output '[true,true]'
    run -0 jq -s -c 'all(.[]; .mesh.rate >= 0 and all(.mesh.channels[]; .rate >= 0)), any(.[]; .mesh.rate > 0)' out
    assert_output $'true\ntrue'
    mpp-create --remove "$m"
    wait
}

@test "the moments are those asked for, whatever a look costs" {
    m=$(mpp-create)
    mpp-stat --json -w 0.1 "$m" >out &
    pid=$!
    wait_for has 15 . out
    kill "$pid"
    exits 143 "$pid"
    # Late is who has no processor; most are not, and the last one is no later than the first.
    run -0 jq -s -c '.[0].mesh.taken_ns as $t | .[1:] | map((.mesh.taken_ns - $t) / 1000000 | . - (. / 100 | round) * 100)
        | sort | .[length / 2 | floor] | . > -10 and . < '"$(patient 20)" out
    assert_output true
    mpp-create --remove "$m"
}

@test "the list goes on when meshes come and go" {
    mpp-stat -o mesh,state,rate -w 0.05 >out &
    pid=$!
    wait_for has 1 '^MESH ' out
    m=$(mpp-create)
    wait_for has 1 "^$m +new +-" out
    mpp-create --remove "$m"
    n=$(grep -c '^MESH ' out)
    wait_for has $((n + 2)) '^MESH ' out
    kill "$pid"
    exits 143 "$pid"
    run -0 awk -v RS= 'END { print }' out
    refute_output --partial "$m"
}

@test "rates of the list are those of the interval" {
    m=$(flowing)
    mpp-stat --json -w 0.1 >out &
    pid=$!
    wait_for has 3 . out
    kill "$pid"
    exits 143 "$pid"
    run -0 jq -s -c --arg m "$m" 'any(.[].meshes[]; .id == $m and .rate > 0)' out
    assert_output true
    mpp-create --remove "$m"
    wait
}

@test "when the mesh is gone the last line says so, and that is no error" {
    m=$(mpp-create)
    mpp-stat -w 0.05 "$m" >text & text=$!
    mpp-stat -J -w 0.05 "$m" >json & json=$!
    mpp-stat -W -w 0.05 "$m" >why & why=$!
    mpp-stat -WJ -w 0.05 "$m" >whyjson & whyjson=$!
    for file in text json why whyjson; do
        wait_for has 1 . "$file"
    done
    mpp-create --remove "$m"
    exits 0 "$text"
    exits 0 "$json"
    exits 0 "$why"
    exits 0 "$whyjson"
    assert_equal "$(tail -n 1 text)" "mesh $m is gone"
    assert_equal "$(tail -n 1 why)" "mesh $m is gone"
    run -0 jq -c '[.mesh.id, .mesh.error.status]' <<<"$(tail -n 1 json)"
    assert_output "[\"$m\",6]"
    run -0 jq -c '.meshes[0] | [.id, .error.status]' <<<"$(tail -n 1 whyjson)"
    assert_output "[\"$m\",6]"
    run -6 mpp-stat -w 0.05 "$m"
}

@test "a mesh whose name another one takes is gone" {
    name=watch.$$
    m=$(mpp-create --name "$name")
    # Between two looks; the wrapper of the tests is slower than that.
    mpp-stat -w 0.5 "$name" >out &
    pid=$!
    wait_for has 1 '^mesh ' out
    "$MPP_B/mpp-create" --remove "$name"
    mpp-create --name "$name" >/dev/null
    exits 0 "$pid"
    assert_equal "$(tail -n 1 out)" "mesh $m is gone"
    mpp-create --remove "$name"
}

@test "a mesh that becomes unreadable is a message and exit 8" {
    m=$(mpp-create)
    mpp-stat -w 0.05 "$m" >out 2>err &
    pid=$!
    mpp-stat -W -w 0.05 "$m" >why 2>why.err &
    why=$!
    wait_for has 1 . out
    wait_for has 1 . why
    truncate -s 100 "/dev/shm/mpp_$m"
    exits 8 "$pid"
    exits 8 "$why"
    one_line_of mpp-stat "$(<err)"
    one_line_of mpp-stat "$(<why.err)"
    rm -rf "/dev/shm/mpp_$m" "$T"/s/mpp_*
}

@test "who is not read any more ends at once, with exit 0 and without a word" {
    m=$(mpp-create)
    for words in "" "$m" "-J $m" "-W $m"; do
        # shellcheck disable=SC2016
        finishes_within "$(patient 10)" bash -c 'mpp-stat -w 60 $0 2>err | head -n 1 >out; exit "${PIPESTATUS[0]}"' "$words"
        is_empty err
        run -0 test -s out
    done
    mpp-create --remove "$m"
}

@test "output that cannot be written is exit 1" {
    run -1 bash -c 'mpp-stat -w 0.05 >/dev/full'
    assert_output --partial 'standard output'
}

@test "between two looks it sleeps, and a look costs little" {
    m=$(flowing)
    mpp-stat -w 60 "$m" >idle &
    pid=$!
    wait_for has 1 '^mesh ' idle
    wait_for is_idle "$pid"
    before=$(switches "$pid")
    mpp-stat -w 0.05 "$m" >out &
    busy=$!
    wait_for has 20 '^mesh ' out
    read -r -a stat <"/proc/$busy/stat"
    ticks=$((stat[13] + stat[14]))
    ((ticks <= $(patient 20))) || fail "$ticks ticks for 20 looks"
    assert_equal "$(switches "$pid")" "$before"
    kill "$pid" "$busy"
    mpp-create --remove "$m"
    wait
}

@test "on a terminal frames are drawn in place, none larger than the window, and the cursor comes back" {
    m=$(flowing)
    on_terminal 12 40 -w 0.1 "$m"
    wait_for drawn 4
    kill -INT "$pid"
    exits 130 "$terminal"
    run -0 grep -ac $'\e\\[?25l' screen
    assert_output 1
    run -0 tail -n 3 screen
    assert_output --partial $'\e[?25h'
    run -0 frame_sizes
    refute_output ''
    while read -r n longest; do
        ((n <= 12 && longest <= 40)) || fail "a frame of $n lines, $longest columns"
    done < <(frame_sizes | sed '$d')
    run -0 grep -a 'more lines)' screen
    mpp-create --remove "$m"
    wait
}

@test "TERM restores the terminal, too, and so does the end of the mesh" {
    m=$(mpp-create)
    on_terminal 24 80 -w 60 "$m"
    wait_for drawn 1
    kill -TERM "$pid"
    exits 143 "$terminal"
    run -0 tail -n 3 screen
    assert_output --partial $'\e[?25h'

    on_terminal 24 80 -w 0.05 "$m"
    wait_for drawn 1
    mpp-create --remove "$m"
    exits 0 "$terminal"
    run -0 tail -n 4 screen
    assert_output --partial $'\e[?25h'
    assert_output --partial "mesh $m is gone"
}

@test "a window that changes its size is drawn anew at once" {
    m=$(mpp-create -p 3 -c 3)
    on_terminal 30 100 -w 60 "$m"
    wait_for drawn 1
    wait_for is_idle "$pid"
    first=$(frames)
    stty -F "$(<line)" rows 5 cols 20
    wait_for drawn $((first + 1))
    wait_for is_idle "$pid"
    run -0 bash -c 'tail -n 1' < <(frame_sizes)
    read -r n longest <<<"$output"
    ((n <= 5 && longest <= 20)) || fail "a frame of $n lines, $longest columns"
    kill "$pid"
    exits 143 "$terminal"
    mpp-create --remove "$m"
}

@test "JSON on a terminal is not redrawn" {
    m=$(mpp-create)
    on_terminal 24 80 -J -w 0.05 "$m"
    wait_for has 3 '"schema":1' screen
    mpp-create --remove "$m"
    exits 0 "$terminal"
    run -1 grep -aF $'\e' screen
}

@test "--why is asked again, too, and what is stalled does not end it" {
    m=$(mpp-create -r 64K --pid $$)
    yes | mpp-produce "$m" >/dev/null 2>&1 &
    mpp-consume "$m" -- sleep 60 >/dev/null 2>&1 &
    mpp-stat --why --for 0.1s --watch 0.05 "$m" >out &
    pid=$!
    wait_for has 3 '^stalled ' out
    mpp-stat --why --json --for 0.1s --watch 0.05 "$m" >json &
    json=$!
    wait_for has 2 '"stalled":true' json
    kill "$pid" "$json"
    exits 143 "$pid"
    exits 143 "$json"
    run -0 grep -c '^$' out
    run -0 jq -s -c 'all(.[]; .meshes | length == 1)' json
    assert_output true
    mpp-create --remove "$m"
    wait
}
