load helpers

# Every line of standard input is a command that has to fail with STATUS, print nothing to standard output, and one
# line that helps to standard error.
refused() { # STATUS
    local want=$1 line status out wrong=0
    while IFS= read -r line; do
        status=0
        out=$(timeout 10 bash -c "$line" 2>err </dev/null) || status=$?
        if [[ $status != "$want" || $out || $(wc -l <err) != 1 ]] || ! grep -Eq '^mpp-[a-z]+: .{10}' err; then
            printf '%s\n  exit %d (not %d), stdout: %s, stderr:\n' "$line" "$status" "$want" "$out"
            sed 's/^/    /' err
            wrong=1
        fi
    done
    ((wrong == 0))
}

@test "a command without -- before it is seen" {
    m=$(mpp-create)
    run -2 mpp-produce "$m" gzip -c file
    assert_output "mpp-produce: no option '-c'; to run 'gzip', write -- before it; try 'mpp-produce --help'"
    run -2 mpp-consume "$m" sort -k 2
    assert_output --partial "no option '-k'; to run 'sort', write -- before it"
    run -2 mpp-run -j 2 file sed --expression=p
    assert_output --partial "no option '--expression=p'; to run 'sed', write -- before it"
    run -2 mpp-produce "$m" no-such-file -c
    assert_output --partial "no option '-c'; try"
    mpp-consume "$m" 2>/dev/null &
    c=$!
    run -1 mpp-produce "$m" date
    assert_output "mpp-produce: producer 0: cannot open 'date': there is no such file; a COMMAND stands behind --"
    exits 3 $c
}

@test "options and operands that mpp-create does not take" {
    refused 2 <<'EOF'
mpp-create --bogus
mpp-create -x
mpp-create something
mpp-create -p
mpp-create -p ''
mpp-create -p 0
mpp-create -p 257
mpp-create -p -1
mpp-create -p 4x
mpp-create -p 99999999999999999999
mpp-create -c 0
mpp-create -c four
mpp-create --ring-size 1000
mpp-create --ring-size 32K
mpp-create --ring-size 100000
mpp-create --ring-size 1X
mpp-create --ring-size -1
mpp-create --fixed 0
mpp-create --fixed x
mpp-create --length-prefixed u16
mpp-create --delimiter ab
mpp-create --delimiter ''
mpp-create -t ab -k 1
mpp-create -t '' -k 1
mpp-create -k ''
mpp-create -k 0
mpp-create -k x
mpp-create -k 1,
mpp-create -k 1q
mpp-create -P bogus
mpp-create -c 3 -k 1 -P range:5
mpp-create -c 2 -k 1 -P range:5,6
mpp-create -c 2 -k 1 -P range
mpp-create -c 3 -k 1n -P range:20,10
mpp-create -b bogus
mpp-create --lanes 0
mpp-create --lanes x
mpp-create -s ''
mpp-create -s a -s a
mpp-create -c 2 -s a -k 1 -s b
mpp-create --name ''
mpp-create --name a/b
mpp-create --name .
mpp-create --name "$(printf 'x%.0s' {1..300})"
mpp-create --max-record 0
mpp-create --max-record x
mpp-create --pid 0
mpp-create --pid x
mpp-create --pid -5
mpp-create --remove
mpp-create --gc extra
EOF
}

@test "options and operands that mpp-produce, mpp-consume and mpp-stat do not take" {
    m=$(mpp-create -p 2 -c 2)
    export m
    refused 2 <<'EOF'
mpp-produce
mpp-produce $m --bogus
mpp-produce $m -i
mpp-produce $m -i x
mpp-produce $m -i 2
mpp-produce $m -i -1
mpp-produce $m -i 0 --all
mpp-produce $m --
mpp-produce $m file -- true
mpp-produce $m -s nosuch
mpp-produce $m --slice
mpp-produce $m --slice=2/2 /etc/passwd
mpp-produce $m --slice=x /etc/passwd
mpp-produce $m --slice=0/0 /etc/passwd
mpp-produce $m --slice -- true
mpp-produce $m --slice-by lines /etc/passwd
mpp-produce $m --runs 2
mpp-produce $m --runs x /etc/passwd
mpp-produce $m --ok-status x -- true
mpp-produce $m --ok-status 300 -- true
mpp-produce $m --attach-timeout x
mpp-produce $m --attach-timeout 1d
mpp-produce $m --timeout -1
mpp-consume
mpp-consume $m extra
mpp-consume $m --bogus
mpp-consume $m -i 2
mpp-consume $m -i x
mpp-consume $m -i 0 -a
mpp-consume $m --
mpp-consume $m -n x
mpp-consume $m -n -1
mpp-consume $m -s nosuch
mpp-consume $m --ok-status 0- -- true
mpp-consume $m --timeout 5y
mpp-stat --bogus
mpp-stat $m extra
mpp-stat $m -o bogus
mpp-stat --where x
mpp-stat $m --where x
EOF
    # None of this was an attempt at the mesh.
    run -0 state '[.mesh.endpoints[].state] | unique | .[]' "$m"
    assert_output free
    mpp-create --remove "$m"
}

@test "several streams: which one has to be said" {
    m=$(mpp-create -s a -s b)
    export m
    refused 2 <<'EOF'
mpp-produce $m
mpp-produce $m -s a
mpp-consume $m
mpp-consume $m -s a
mpp-produce $m -i 0 -s c
mpp-consume $m -i 0 -s a -s a
EOF
    mpp-create --remove "$m"
}

@test "a merge of streams that share a lane, which would wait for each other" {
    m=$(mpp-create -p 2 --lanes 2 -s a -s b -s c)
    export m
    refused 2 <<'EOF'
mpp-consume $m --merge -s a=/dev/null -s b=/dev/null -s c=/dev/null
mpp-consume $m --merge -i 0 -s c=/dev/null -s a=/dev/null
EOF
    # One after the other, and those of other lanes, they can be merged.
    mpp-produce "$m" --all -s 'a=|echo a$MPP_INDEX' -s 'b=|echo b$MPP_INDEX' -s 'c=|echo c$MPP_INDEX' &
    track
    run -0 mpp-consume "$m" --merge --sequential -s a -s b=out.b -s c=out.c
    assert_output $'a0\na1'
    all_done
    same out.b <(printf 'b0\nb1\n')
    same out.c <(printf 'c0\nc1\n')
}

@test "no such mesh" {
    refused 6 <<'EOF'
mpp-produce 0123456789ab
mpp-consume 0123456789ab
mpp-stat 0123456789ab
mpp-produce no-such-name -- true
mpp-consume no-such-name -- true
mpp-produce no-such-name --all
mpp-consume no-such-name --all
EOF
}

@test "a mesh that is over" {
    m=$(mpp-create --keep)
    mpp-produce "$m" <<<x &
    mpp-consume "$m" >/dev/null
    wait $!
    export m
    refused 6 <<<'mpp-consume $m'
    # A producer that comes late is not needed any more; nothing is wrong with that.
    run -0 mpp-produce "$m" -- touch started
    run -1 test -e started
    mpp-create --remove "$m"
    refused 6 <<'EOF'
mpp-produce $m
mpp-consume $m
EOF
}

@test "what is not a mesh is not used as one" {
    name=bad-$$-$BATS_TEST_NUMBER
    export name
    umask 077
    echo "$name" >>meshes
    damage() { # the segment's bytes are standard input
        rm -f "/dev/shm/mpp_$name"
        cat >"/dev/shm/mpp_$name"
        printf '%s\n' 'mpp-produce $name' 'mpp-consume $name' 'mpp-stat $name' | refused 8
    }
    head -c 1M /dev/urandom | damage
    head -c 1M /dev/zero | damage
    printf x | damage
    : | damage
    m=$(mpp-create)
    head -c 64 "/dev/shm/mpp_$m" | damage
    head -c 4096 "/dev/shm/mpp_$m" | damage
    mpp-create --remove "$m"
    rm "/dev/shm/mpp_$name"
}

@test "a mesh that others may write to, or that is a link, is not used" {
    m=$(mpp-create)
    name=link-$$-$BATS_TEST_NUMBER
    export m name
    chmod 666 "/dev/shm/mpp_$m"
    refused 8 <<<'mpp-produce $m'
    chmod 600 "/dev/shm/mpp_$m"
    ln -s "mpp_$m" "/dev/shm/mpp_$name"
    echo "$name" >>meshes
    refused 8 <<<'mpp-produce $name'
    rm "/dev/shm/mpp_$name"
    mpp-create --remove "$m"
}

@test "an index that is taken: the second one is told so, the first one is not disturbed" {
    m=$(mpp-create)
    export m
    mkfifo in
    mpp-produce "$m" <in &
    p=$!
    exec {in}>in
    mpp-consume "$m" >out {in}>&- &
    c=$!
    wait_for attached 2 "$m"
    refused 2 <<'EOF'
mpp-produce $m -i 0
mpp-consume $m -i 0
mpp-produce $m
mpp-consume $m
EOF
    echo hello >&"$in"
    exec {in}>&-
    all_well $p $c
    same out <(echo hello)
}

@test "an input that cannot be read is said by name, and is everybody's failure" {
    m=$(mpp-create -p 2)
    mpp-produce "$m" -i 0 /no/such/file 2>p.err &
    p=$!
    mpp-produce "$m" -i 1 </dev/null 2>q.err &
    q=$!
    run -3 --separate-stderr mpp-consume "$m"
    exits 1 $p
    one_line_of mpp-produce "$(<p.err)"
    grep -q /no/such/file p.err
    one_line_of mpp-consume "$stderr"
    assert_regex "$stderr" 'producer 0.*/no/such/file'
    # It may have been done before.
    wait $q || true
}

@test "a command that cannot be found or run: 127 and 126, as in the shell" {
    touch not-executable
    for case in "127 no-such-command" "126 ./not-executable"; do
        read -r want command <<<"$case"
        m=$(mpp-create)
        mpp-produce "$m" -- "$command" 2>p.err &
        p=$!
        status=0
        mpp-consume "$m" 2>c.err || status=$?
        assert_equal "$status" 3
        exits "$want" $p
        one_line_of mpp-produce "$(<p.err)"
        grep -qF -e "$command" p.err
        grep -qF -e "$command" c.err
        m=$(mpp-create)
        echo x | mpp-produce "$m" 2>p.err &
        p=$!
        status=0
        mpp-consume "$m" -- "$command" 2>c.err || status=$?
        assert_equal "$status" "$want"
        exits 3 $p
        grep -qF -e "$command" c.err
    done
}

@test "a command's own status is its tool's, and the data before it is delivered" {
    m=$(mpp-create)
    mpp-produce "$m" -- sh -c 'seq 10000; exit 42' 2>p.err &
    p=$!
    status=0
    mpp-consume "$m" >out 2>c.err || status=$?
    assert_equal "$status" 3
    exits 42 $p
    same out <(seq 10000)
    grep -q 42 p.err
    grep -q 'producer 0.*42' c.err
}

@test "an output that cannot be written is a failure for the producers, too" {
    m=$(mpp-create)
    mpp-produce "$m" -- yes 2>p.err &
    p=$!
    status=0
    mpp-consume "$m" >/dev/full 2>c.err || status=$?
    assert_equal "$status" 1
    exits 3 $p
    one_line_of mpp-consume "$(<c.err)"
    grep -q 'No space left' c.err
    grep -q 'No space left' p.err
}

@test "an id that could not be printed leaves no mesh behind" {
    name=full-$$-$BATS_TEST_NUMBER
    echo "$name" >>meshes
    run -1 bash -c '"$MPP_B/mpp-create" --name "$0" >/dev/full' "$name"
    one_line_of mpp-create "$output"
    nothing_is_left
}

@test "--help and --version go to standard output and exit 0" {
    for tool in mpp-create mpp-produce mpp-consume mpp-run mpp-stat; do
        for option in --help -h; do
            run -0 --separate-stderr "$MPP_B/$tool" $option
            assert_equal "$stderr" ""
            assert_line --partial --help
        done
        for option in --version -V; do
            run -0 --separate-stderr "$MPP_B/$tool" $option
            assert_equal "$stderr" ""
            assert_output --regexp "^$tool .*[0-9]+\.[0-9]+\.[0-9]+$"
        done
    done
}

@test "a usage error says where help is" {
    run -2 mpp-produce
    assert_output --partial "mpp-produce --help"
}
