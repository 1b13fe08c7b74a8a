load helpers

# Four files of lines that say where they come from: `pI N`.
setup_file() {
    local i n
    n=$(scaled 1000000)
    for i in 0 1 2 3; do
        seq "$n" | sed "s/^/p$i /" >"$BATS_FILE_TMPDIR/$i" &
    done
    wait
}

# Is what came out exactly what went in, each input whole and in its order?
gathered() { # OUT FILE...
    local out=$1 file tag total=0
    shift
    for file; do
        tag=p${file##*/}
        grep -a "^$tag " "$out" | same - "$file" || return
        total=$((total + $(wc -c <"$file")))
    done
    assert_equal "$(wc -c <"$out")" "$total"
}

@test "four files of a million lines: all there, none torn, each in its order" {
    cd "$BATS_FILE_TMPDIR"
    m=$(mpp-create -p 4)
    for i in 0 1 2 3; do
        mpp-produce "$m" "$i" 2>"$T/p$i.err" &
        track
    done
    mpp-consume "$m" >"$T/out" 2>"$T/c.err"
    all_done
    gathered "$T/out" 0 1 2 3
    is_empty "$T/c.err"
    for i in 0 1 2 3; do is_empty "$T/p$i.err"; done
}

@test "the same with pipes as input, and into a pipe" {
    cd "$BATS_FILE_TMPDIR"
    m=$(mpp-create -p 4)
    for i in 0 1 2 3; do
        # shellcheck disable=SC2002 # a pipe is the point
        cat "$i" | mpp-produce "$m" &
        track
    done
    mpp-consume "$m" | cat >"$T/out"
    all_done
    gathered "$T/out" 0 1 2 3
}

@test "the same with a command as the source, through a ring of 64K" {
    m=$(mpp-create -p 4 -r 64K)
    mpp-produce "$m" --all -- sh -c "cat $BATS_FILE_TMPDIR/\$MPP_INDEX" &
    mpp-consume "$m" -o out
    wait $!
    gathered out "$BATS_FILE_TMPDIR"/[0-3]
}

@test "lines of 4 MiB among short ones, through a ring of 64K" {
    for i in 0 1 2; do
        for k in 1 2 3; do
            seq 1000 | sed "s/^/p$i /"
            printf 'p%d ' $i
            head -c 4M /dev/zero | tr '\0' $k
            echo
        done >$i
    done
    m=$(mpp-create -p 3 -r 64K)
    for i in 0 1 2; do
        mpp-produce "$m" <$i &
        track
    done
    mpp-consume "$m" >out
    all_done
    gathered out 0 1 2
}

@test "one slow record does not hold up the other producers" {
    m=$(mpp-create -p 2)
    mkfifo slow
    mpp-produce "$m" <slow &
    p=$!
    exec {slow}>slow
    printf 'beginning of a line' >&$slow
    wait_for attached 1 "$m"
    seq 1000 | mpp-produce "$m" {slow}>&- &
    q=$!
    mpp-consume "$m" >out {slow}>&- &
    c=$!
    wait $q
    seq 1000 >expected
    wait_for same out expected
    echo ' and its end' >&$slow
    exec {slow}>&-
    all_well $p $c
    tail -n 1 out | same - <(echo "beginning of a line and its end")
}

@test "what a slow source has said arrives before it says more" {
    m=$(mpp-create)
    mkfifo in
    mpp-produce "$m" <in &
    p=$!
    exec {in}>in
    mpp-consume "$m" >out {in}>&- &
    c=$!
    for k in 1 2 3; do
        echo "line $k" >&$in
        wait_for grep -q "line $k" out
    done
    exec {in}>&-
    all_well $p $c
}

@test "empty lines are records, an empty file has none, a last line without newline gets one" {
    printf '\n\nx\n\n' >a
    : >b
    printf 'y' >c
    printf '\n' >d
    m=$(mpp-create)
    mpp-produce "$m" a b c d &
    mpp-consume "$m" >out
    wait $!
    same out <(printf '\n\nx\n\ny\n\n')
}

@test "nothing but empty inputs is an empty output" {
    m=$(mpp-create -p 3)
    mpp-produce "$m" --all -- true &
    run -0 mpp-consume "$m"
    assert_output ""
    wait $!
}

@test "bytes pass unchanged: NUL, CR, invalid UTF-8" {
    { head -c 3M /dev/urandom && echo; } >in
    printf 'a\r\nb\0c\n\377\376\n' >>in
    m=$(mpp-create)
    mpp-produce "$m" in &
    mpp-consume "$m" >out
    wait $!
    same out in
}

@test "records end with NUL" {
    for i in 0 1; do tr '\n' '\0' <"$BATS_FILE_TMPDIR/$i" | head -c 1000000; done >both
    m=$(mpp-create -p 2 -z)
    for i in 0 1; do
        tr '\n' '\0' <"$BATS_FILE_TMPDIR/$i" | head -c 1000000 | mpp-produce "$m" &
        track
    done
    mpp-consume "$m" >out
    all_done
    # Each input's last record was cut, and got its NUL.
    assert_equal "$(wc -c <out)" 2000002
    same <(sort -z out | tr -d '\0') <({ head -c 1000000 both && printf '\0' && tail -c 1000000 both && printf '\0'; } |
        sort -z | tr -d '\0')
}

@test "records end with any byte" {
    printf 'a;b\nb;c' >in
    m=$(mpp-create --delimiter ';')
    mpp-produce "$m" in &
    mpp-consume "$m" >out
    wait $!
    same out <(printf 'a;b\nb;c;')
}

@test "records of a fixed size" {
    for i in 0 1 2; do seq -f "$i%012.0f" 100000 | tr -d '\n' >$i; done
    m=$(mpp-create -p 3 --fixed 13 -r 64K)
    for i in 0 1 2; do
        mpp-produce "$m" $i &
        track
    done
    mpp-consume "$m" >out
    all_done
    fold -w 13 out >lines
    for i in 0 1 2; do grep "^$i" lines | tr -d '\n' | same - $i; done
    assert_equal "$(wc -c <out)" 3900000
}

@test "records that follow their length, both byte orders, empty ones among them" {
    for order in "u32le V" "u32be N"; do
        read -r name letter <<<"$order"
        perl -e 'for $i (1 .. 30000) { print pack("'"$letter"'/a*", "x" x ($i % 50) . $i) if $i % 7; print pack("'"$letter"'", 0) }' >in
        m=$(mpp-create --length-prefixed "$name" -r 64K)
        mpp-produce "$m" in &
        mpp-consume "$m" >out
        wait $!
        same out in
    done
}

@test "an input that ends inside a record is an error, after everything before it was delivered" {
    m=$(mpp-create --fixed 4)
    printf 'aaaabbbbcc' | mpp-produce "$m" 2>p.err &
    p=$!
    run -3 --separate-stderr mpp-consume "$m"
    assert_output aaaabbbb
    exits 1 $p
    one_line_of mpp-produce "$(<p.err)"

    m=$(mpp-create --length-prefixed u32be)
    printf '\0\0\0\2ab\0\0\0\3x' | mpp-produce "$m" 2>p.err &
    p=$!
    status=0
    mpp-consume "$m" >out 2>c.err || status=$?
    assert_equal "$status" 3
    same out <(printf '\0\0\0\2ab')
    exits 1 $p
    one_line_of mpp-produce "$(<p.err)"
}

@test "records as long as the ring, and a little shorter and longer" {
    for n in 0 1 7 8 {65500..65560} {131040..131080} 1000000; do
        head -c "$n" /dev/zero | tr '\0' x
        echo
    done >in
    m=$(mpp-create -r 64K)
    mpp-produce "$m" in &
    mpp-consume "$m" >out
    wait $!
    same out in
    # The same through the partitioner.
    m=$(mpp-create -r 64K -c 2 -P broadcast)
    mpp-produce "$m" in &
    mpp-consume "$m" --all -- sh -c "cmp - in"
    wait $!
}

@test "a record longer than --max-record is an error that names limit and place" {
    m=$(mpp-create --max-record 1000)
    { echo first && head -c 1000 /dev/zero | tr '\0' x && echo && head -c 1001 /dev/zero | tr '\0' x && echo; } >in
    mpp-produce "$m" in 2>p.err &
    p=$!
    status=0
    mpp-consume "$m" >out 2>c.err || status=$?
    assert_equal "$status" 3
    exits 1 $p
    same out <(head -n 2 in)
    one_line_of mpp-produce "$(<p.err)"
    grep -Eq '\b1000\b|\b1000 bytes' p.err
    grep -Eq '\b1007\b' p.err
}

@test "100 MB without a delimiter end at the limit, and take no more memory than that" {
    m=$(mpp-create --max-record 1M)
    head -c 100M /dev/zero | /usr/bin/time -f %M -o rss mpp-produce "$m" 2>p.err &
    p=$!
    run -3 mpp-consume "$m"
    exits 1 $p
    [[ $MPP_SAN ]] || (($(tail -n 1 rss) < 20000))
}

@test "--tag says which producer a record comes from" {
    m=$(mpp-create -p 3)
    for i in 0 1 2; do printf '%s\n' "a$i" "" "b$i" | mpp-produce "$m" -i $i & track; done
    mpp-consume "$m" --tag >out
    all_done
    same <(sort -s -k 1,1 out) <(for i in 0 1 2; do printf '%d\ta%d\n%d\t\n%d\tb%d\n' $i $i $i $i $i; done)
}
