load helpers

# Four files of lines `pI <TAB> key <TAB> N`, with keys of very different frequency.
setup_file() {
    local i n
    n=$(scaled 100000)
    for i in 0 1 2 3; do
        awk -v i="$i" -v n="$n" 'BEGIN {
            srand(i + 1)
            for (k = 0; k < n; k++)
                printf "p%d\tkey %d\t%d\n", i, int(1000 * rand() ^ 3), k
        }' >"$BATS_FILE_TMPDIR/$i"
    done
    cat "$BATS_FILE_TMPDIR"/? | sort >"$BATS_FILE_TMPDIR/sorted"
}

# Produce the four files into a mesh, consume into out.0, out.1, ...
shuffle() { # MESH
    mpp-produce "$1" --all -- sh -c "cat $BATS_FILE_TMPDIR/\$MPP_INDEX" 2>produce.err &
    local p=$!
    mpp-consume "$1" --all -- sh -c 'cat >out.$MPP_INDEX' 2>consume.err
    wait "$p"
    is_empty produce.err
    is_empty consume.err
}

# `KEY TAB INDEX` lines: in which outputs a key, the field F, is.
placed() { # F
    awk -F '\t' -v f="$1" '{ print $f "\t" substr(FILENAME, 5) }' out.* | sort -u
}

@test "hash, 4 x 4: every record once, every key in the one output that its hash names" {
    m=$(mpp-create -p 4 -c 4 -k 2)
    shuffle "$m"
    same <(sort out.*) "$BATS_FILE_TMPDIR/sorted"
    cut -f 2 "$BATS_FILE_TMPDIR/sorted" | sort -u | hash_indices 4 | sort >wanted
    placed 2 | same - wanted
    # Each producer's order is kept.
    for i in 0 1 2 3; do
        for j in 0 1 2 3; do grep "^p$i" out.$j | sort -c -t $'\t' -n -k 3; done
    done
}

@test "hash, to a number of consumers that is no power of two" {
    m=$(mpp-create -p 4 -c 7 -k 2)
    shuffle "$m"
    same <(sort out.*) "$BATS_FILE_TMPDIR/sorted"
    cut -f 2 "$BATS_FILE_TMPDIR/sorted" | sort -u | hash_indices 7 | sort >wanted
    placed 2 | same - wanted
}

@test "hash of several fields: in the order of -k, joined by the separator" {
    printf '%s,%s,%s\n' a b c a c b x y z '' '' '' a b d 'a b' c d >in
    m=$(mpp-create -c 5 -k 3,1 -t ,)
    mpp-produce "$m" in &
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX'
    wait $!
    same_lines <(cat out.*) in
    awk -F , '{ print $3 "," $1 }' in | sort -u | hash_indices 5 | sort >wanted
    awk -F , '{ print $3 "," $1 "\t" substr(FILENAME, 5) }' out.* | sort -u | same - wanted
}

@test "mpp-stat --where says where a key goes" {
    m=$(mpp-create -c 5 -k 2)
    seq 20 | sed 's/^/key /' >keys
    while read -r key; do
        printf '%s\t%d\n' "$key" "$(mpp-stat --where "$key" "$m")"
    done <keys >said
    hash_indices 5 <keys | same said -
    mpp-create --remove "$m"
}

@test "a record without the key field goes where an empty field goes, is counted, and warned of once" {
    printf '%s\n' 'a' $'b\t' 'c' $'d\tkey' >in
    m=$(mpp-create -c 3 -k 2)
    mpp-produce "$m" in 2>p.err &
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX'
    wait $!
    same_lines <(cat out.*) in
    home=$(grep -lx a out.*)
    grep -qx c "$home"
    grep -qx $'b\t' "$home"
    one_line_of mpp-produce "$(<p.err)"
    grep -q '\b2\b' p.err
}

@test "round robin is exact: producer p's record k goes to consumer (p + k) mod C" {
    m=$(mpp-create -p 2 -c 3)
    for p in 0 1; do
        seq 0 9999 | sed "s/^/$p /" | mpp-produce "$m" -i $p &
        track
    done
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX'
    all_done
    awk '{ place = substr(FILENAME, 5); if (($1 + $2) % 3 != place) { print FILENAME ": " $0; bad = 1 }; n++ }
        END { print n; exit bad }' out.* >said || fail "$(<said)"
    assert_equal "$(<said)" 20000
}

@test "range, numeric: a key at a boundary goes to the consumer that it begins" {
    m=$(mpp-create -c 3 -k 1n -P range:-5,20)
    printf '%s\n' -100 -6 -5.5 -5 -4 0 3 19 19.99 20 20.0 020 100 >in
    mpp-produce "$m" in &
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX'
    wait $!
    same out.0 <(printf '%s\n' -100 -6 -5.5)
    same out.1 <(printf '%s\n' -5 -4 0 3 19 19.99)
    same out.2 <(printf '%s\n' 20 20.0 020 100)
    m=$(mpp-create -c 3 -k 1n -P range:-5,20)
    run -0 mpp-stat --where 20 "$m"
    assert_output 2
    run -0 mpp-stat --where 19 "$m"
    assert_output 1
    mpp-create --remove "$m"
}

@test "range, human: by the unit, of which Q is the last" {
    m=$(mpp-create -c 3 -k 1h -P range:1M,1R)
    printf '%s\n' -1Q 0Q 2000K 1M 9Y 1R 2Q >in
    mpp-produce "$m" in &
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX'
    wait $!
    same out.0 <(printf '%s\n' -1Q 0Q 2000K)
    same out.1 <(printf '%s\n' 1M 9Y)
    same out.2 <(printf '%s\n' 1R 2Q)
}

@test "a key as for sort: it is refused with what to write" {
    while IFS='|' read -r key says; do
        run -2 mpp-create -t , -k "$key"
        assert_equal "${#lines[@]}" 1
        assert_output --partial "$says"
    done <<'EOF'
2,2n|for sort's -k 2,2n write -k 2n
2n,2n|for sort's -k 2n,2n write -k 2n
2,2|for sort's -k 2,2 write -k 2
1,3,2,2nr|for sort's -k 2,2nr write -k 2nr
1,1b|for sort's -k 1,1b write -k 1
1,2,1|names field 1 twice
2.3|make them a field of their own
1.2,1.5n|make them a field of their own
+1|write N + 1
1M|sort's letters d, i, M, R and V
1ng|exclude one another
1N|n, g or h (one of them), f, b, r
1,|from 1 to 65535
0|from 1 to 65535
18446744073709551617|from 1 to 65535
EOF
    run -2 mpp-create -k 2,1 -k 1n
    assert_output --partial "for sort's -k 2,2n -k 1,1 write -k 2n,1"
    run -2 mpp-create -s a -k 2 -s b -k 1 -k 2
    assert_output --partial "a second -k"
    # One for all streams and one for this stream are two.
    m=$(mpp-create -k 2 -s a -k 1nn -s b)
    mpp-create --remove "$m"
}

@test "range, by bytes and in reverse" {
    printf '%s\n' a apple b banana bb c zebra Z >in
    m=$(mpp-create -c 3 -k 1 -P range:b,c)
    mpp-produce "$m" in &
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX'
    wait $!
    same out.0 <(printf '%s\n' a apple Z)
    same out.1 <(printf '%s\n' b banana bb)
    same out.2 <(printf '%s\n' c zebra)
    m=$(mpp-create -c 3 -k 1nr -P range:20,10)
    seq 5 25 | mpp-produce "$m" &
    mpp-consume "$m" --all -- sh -c 'cat >out.$MPP_INDEX'
    wait $!
    same out.0 <(seq 21 25)
    same out.1 <(seq 11 20)
    same out.2 <(seq 5 10)
}

@test "range: sorted outputs one after the other are the whole, sorted" {
    m=$(mpp-create -p 4 -c 4 -k 3n -P "range:$(scaled 25000),$(scaled 50000),$(scaled 75000)")
    mpp-produce "$m" --all -- sh -c "cat $BATS_FILE_TMPDIR/\$MPP_INDEX" &
    mpp-consume "$m" --all -- sh -c 'sort -t "	" -k 3,3n >out.$MPP_INDEX'
    wait $!
    same <(cat out.*) <(sort -t $'\t' -k 3,3n "$BATS_FILE_TMPDIR"/[0-3])
}

@test "broadcast is complete at each consumer" {
    m=$(mpp-create -p 4 -c 3 -P broadcast)
    shuffle "$m"
    for j in 0 1 2; do same_lines out.$j "$BATS_FILE_TMPDIR/sorted"; done
}

@test "any is complete, and gives a slow consumer less" {
    m=$(mpp-create -c 2 -P any -r 64K)
    awk 'BEGIN { long = sprintf("%5000s", ""); for (i = 1; i <= 2000; i++) print i long long }' >in
    mpp-produce "$m" in &
    track
    mpp-consume "$m" -i 0 -- sh -c 'while read -r x; do echo "$x"; sleep 0.01; done >out.0' &
    track
    mpp-consume "$m" -i 1 -- awk '{ print $1 }' >out.1
    all_done
    same_lines <(cat out.0 out.1) <(seq 2000)
    slow=$(wc -l <out.0)
    ((0 < slow && slow < 600)) || fail "the slow one got $slow of 2000"
}

@test "any: all idle consumers get work" {
    m=$(mpp-create -c 4 -P any)
    mkfifo in
    mpp-produce "$m" <in &
    p=$!
    exec {in}>in
    for j in 0 1 2 3; do
        # One record, which takes for ever.
        mpp-consume "$m" -i $j -- sh -c "read -r x; echo \$x >got.$j; cat >/dev/null" {in}>&- &
        cs[j]=$!
    done
    wait_for doing 4 "waiting for data" "$m"
    for k in 0 1 2 3; do
        echo "task $k" >&$in
        sleep 0.05
    done
    wait_for eval '[[ -s got.0 && -s got.1 && -s got.2 && -s got.3 ]]'
    exec {in}>&-
    all_well $p "${cs[@]}"
}

@test "--merge of 16 sorted producers is sort -m: by the bytes, by a text key, by a number" {
    for i in {0..15}; do
        awk -v i="$i" -v n="$(scaled 5000)" 'BEGIN {
            srand(i + 100)
            for (k = 0; k < n; k++)
                printf "%d.%d\tk%d\t%d\n", 50000 * rand() - 25000, 100 * rand(), 3000 * rand(), i
        }' >"raw.$i"
    done
    tab=$'\t'
    for case in "::" "-k 2:-k 2,2:" "-k 1n:-k 1,1n:" "-k 1nr:-k 1,1nr:" "-k 2r,1n:-k 2,2r -k 1,1n:"; do
        IFS=: read -r ours theirs _ <<<"$case"
        for i in {0..15}; do
            # shellcheck disable=SC2086 # words are wanted
            sort -t "$tab" $theirs raw.$i >in.$i
        done
        # shellcheck disable=SC2086 # words are wanted
        m=$(mpp-create -p 16 $ours)
        mpp-produce "$m" --all -- sh -c 'cat in.$MPP_INDEX' &
        mpp-consume "$m" --merge >out
        wait $!
        # shellcheck disable=SC2086 # words are wanted
        sort -m -t "$tab" $theirs in.* | same out -
    done
}

@test "--merge: disorder is an error that names the record" {
    m=$(mpp-create -p 2 -k 1n)
    printf '%s\n' 1 2 10 >a
    printf '%s\n' 1 30 4 50 >b
    mpp-produce "$m" -i 0 a 2>a.err &
    p=$!
    mpp-produce "$m" -i 1 b 2>b.err &
    q=$!
    run -1 --separate-stderr mpp-consume "$m" --merge
    one_line_of mpp-consume "$stderr"
    assert_regex "$stderr" "stream '0': producer 1 .* record 3 \\('4'\\) .* record 2 \\('30'\\).* sort -t .* -k 1,1n\$"
    # They may have been done before that was found.
    wait $p || true
    wait $q || true
}

# Three files of lines `N LETTER`, in which every N is there many times; sorted in each way that OPTIONS say.
ties() { # OPTION...
    local i
    for i in 0 1 2; do
        awk -v i=$i 'BEGIN { srand(i + 7); for (k = 0; k < 2000; k++) printf "%d %c\n", 50 * rand(), 97 + 26 * rand() }' |
            sort "$@" >in.$i
    done
}

@test "--merge: what sort -rn leaves is out of order where the key says nothing, and --stable takes it" {
    ties -rn
    m=$(mpp-create -p 3 -t ' ' -k 1nr)
    mpp-produce "$m" --all -- sh -c 'cat in.$MPP_INDEX' 2>p.err &
    p=$!
    run -1 --separate-stderr mpp-consume "$m" --merge
    one_line_of mpp-consume "$stderr"
    assert_regex "$stderr" "producer [012] is not sorted: its record [0-9]+ \\('49 .'\\) comes after its record"
    assert_regex "$stderr" "ties are out of order; sort .* -k 1,1nr, and not with -r for all as in sort -rn, or .*--stable"
    wait $p || true
    m=$(mpp-create -p 3 -t ' ' -k 1nr)
    mpp-produce "$m" --all -- sh -c 'cat in.$MPP_INDEX' &
    mpp-consume "$m" --merge --stable >out
    wait $!
    sort -m -s -k 1,1nr in.? | same out -
}

@test "--merge is sort -m and --merge --stable sort -s -m, also where most keys are equal" {
    for case in "1nr:-k 1,1nr" "1n:-k 1,1n" "2:-k 2,2" "2r:-k 2,2r" "2f,1g:-k 2,2f -k 1,1g" "3:-k 3,3"; do
        IFS=: read -r ours theirs <<<"$case"
        for stable in '' -s; do
            # shellcheck disable=SC2086 # words are wanted
            ties -t ' ' $stable $theirs
            m=$(mpp-create -p 3 -t ' ' -k "$ours")
            mpp-produce "$m" --all -- sh -c 'cat in.$MPP_INDEX' 2>/dev/null &
            mpp-consume "$m" --merge ${stable:+--stable} >out
            wait $!
            # shellcheck disable=SC2086 # words are wanted
            sort -m -t ' ' $stable $theirs in.? | same out -
        done
    done
}

@test "--stable is of --merge" {
    m=$(mpp-create)
    run -2 mpp-consume "$m" --stable
    assert_output --partial -- --merge
    mpp-create --remove "$m"
}

@test "--merge of one long and fifteen empty producers" {
    m=$(mpp-create -p 16 -k 1n)
    mpp-produce "$m" --all -- sh -c '[ $MPP_INDEX -ne 7 ] || seq 100000' &
    mpp-consume "$m" --merge >out
    wait $!
    same out <(seq 100000)
}
