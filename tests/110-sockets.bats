load helpers

# A directory below $T whose path is LENGTH bytes long.
directory_of() { # LENGTH
    local path=$T/
    while ((${#path} < $1)); do path+=x; done
    mkdir -p "$path"
    printf '%s\n' "$path"
}

# Do producer and consumer find each other?
works() { # MESH
    mpp-produce "$1" <<<hello &
    run -0 mpp-consume "$1"
    wait $!
    assert_output hello
}

# A mesh in which both wait; its sockets can be looked at.
idle_mesh() {
    m=$(mpp-create)
    rm -f in
    mkfifo in
    mpp-produce "$m" <in &
    p=$!
    exec {in}>in
    mpp-consume "$m" >out {in}>&- &
    c=$!
    wait_for doing 1 "waiting for data" "$m"
}

end_idle_mesh() {
    exec {in}>&-
    all_well $p $c
}

@test "a directory in which a socket's path would exceed 104 bytes is refused, with path and limit" {
    TMPDIR=$(directory_of 100)
    run ! --separate-stderr mpp-create
    assert_output ""
    one_line_of mpp-create "$stderr"
    assert_regex "$stderr" "$TMPDIR/mpp_.*104"
    run -0 find "$TMPDIR" -mindepth 1
    assert_output ""
}

@test "the longest directory that is accepted works, the next one does not" {
    longest=0
    for ((n = 60; n < 104; n++)); do
        TMPDIR=$(directory_of "$n")
        m=$(mpp-create -p 1 -c 1 2>err) || break
        longest=$n
        mpp-create --remove "$m"
    done
    ((60 < longest && longest < 103)) || fail "accepted up to $longest"
    TMPDIR=$(directory_of "$longest")
    idle_mesh
    # sun_path has 104 bytes, the NUL included; a socket's name is as long as it says in the manual.
    find "$TMPDIR" -type s >sockets
    assert_equal "$(wc -l <sockets)" 2
    while read -r path; do ((${#path} < 104)) || fail "$path is ${#path} bytes long"; done <sockets
    end_idle_mesh
}

@test "with many participants and lanes the limit is reached earlier, and is checked for them" {
    TMPDIR=$(directory_of 71)
    for options in "" "-p 256 -c 256 -s a -s b" "-p 200 --lanes 1"; do
        # shellcheck disable=SC2086 # words are wanted
        m=$(mpp-create $options 2>err) || continue
        state '[.mesh.endpoints[] | .role[0:1] + (.index | tostring) + "." + (.lane | tostring)] | max_by(length)' "$m" >longest
        path=$TMPDIR/mpp_$m/$(<longest).sock
        ((${#path} < 104)) || fail "accepted: $path, ${#path} bytes"
        mpp-create --remove "$m"
    done
}

@test "XDG_RUNTIME_DIR comes before TMPDIR, TMPDIR before /tmp" {
    mkdir run tmp
    XDG_RUNTIME_DIR=$T/run TMPDIR=$T/tmp idle_mesh
    run -0 socket_dirs
    assert_output "$T/run/mpp_$m"
    end_idle_mesh
    TMPDIR=$T/tmp idle_mesh
    run -0 socket_dirs
    assert_output "$T/tmp/mpp_$m"
    end_idle_mesh
    unset TMPDIR
    idle_mesh
    run -0 find /tmp -maxdepth 1 -name "mpp_$m"
    assert_output "/tmp/mpp_$m"
    end_idle_mesh
    run -0 find /tmp -maxdepth 1 -name "mpp_$m"
    assert_output ""
}

@test "the mesh's own directory is its owner's only" {
    idle_mesh
    run -0 stat -c %a "$TMPDIR/mpp_$m"
    assert_output 700
    end_idle_mesh
}

@test "participants with another TMPDIR still connect" {
    m=$(mpp-create -p 2 -c 2)
    mkdir a b c
    for i in 0 1; do
        TMPDIR=$T/a mpp-produce "$m" -- seq 50000 &
        ps[i]=$!
    done
    TMPDIR=$T/b XDG_RUNTIME_DIR=$T/c mpp-consume "$m" >out.0 &
    c=$!
    XDG_RUNTIME_DIR=/no/such mpp-consume "$m" >out.1
    all_well $c "${ps[@]}"
    same_lines <(cat out.?) <(seq 50000; seq 50000)
    run -0 find a b c -mindepth 1
    assert_output ""
}

@test "participants in another working directory still connect" {
    mkdir away sock
    m=$(TMPDIR=sock mpp-create)
    (cd away && mpp-produce "$m" <<<hello) &
    run -0 mpp-consume "$m"
    assert_output hello
    wait $!
}

@test "a socket directory that cannot be written to is an error that names it" {
    TMPDIR=/proc/1
    run -1 --separate-stderr mpp-create
    assert_output ""
    one_line_of mpp-create "$stderr"
    assert_regex "$stderr" /proc/1
}
