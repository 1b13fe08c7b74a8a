# Many participants, one after the other: on a slow machine that takes a while.
BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:-400}
load helpers

# Participants share files by themselves: together they have every record, and none twice.

formats='lines zero delimiter fixed u32le u32be'

# What mpp-create has to be told of a format.
framing() { # FORMAT
    case $1 in
    lines) ;;
    zero) echo "-z" ;;
    delimiter) echo "--delimiter ;" ;;
    fixed) echo "--fixed 13" ;;
    *) echo "--length-prefixed $1" ;;
    esac
}

# FORMAT.N/ holds 1, 3 or 100 files of a format, FORMAT.N.records all their records, sorted, one to a line, in hexadecimal.
# Records are of all lengths from none on, some longer than any slice; some files are empty, and the last record of some has
# no delimiter.
setup_file() {
    cd "$BATS_FILE_TMPDIR" || return
    cat >records <<'PERL' # FORMAT <FILE: its records, as above
use strict;
my $format = shift;
local $/;
my $data = <STDIN>;
my ($end) = {lines => "\n", zero => "\0", delimiter => ';'}->{$format};
my @records = defined $end ? split(/\Q$end\E/, $data, -1)
            : $format eq 'fixed' ? unpack('(a13)*', $data)
            : unpack($format eq 'u32le' ? '(V/a)*' : '(N/a)*', $data);
if (defined $end) { pop @records eq '' or die "the last record has no delimiter\n" }
print map { unpack('H*', $_) . "\n" } sort @records;
PERL
    cat >generate <<'PERL' # FORMAT N: the files, and their records to standard output
use strict;
my ($format, $n) = @ARGV;
srand 1;
my %end = (lines => "\n", zero => "\0", delimiter => ';', fixed => '', u32le => '', u32be => '');
my @all;
for my $file (1 .. $n) {
    open my $out, '>', "$format.$n/" . int(rand 1e6) . ".$file" or die;
    my $count = $file % 10 == 3 ? 0 : $n == 1 ? 300 : 60;
    for my $k (1 .. $count) {
        # Longer than all else together, now and then.
        my $length = $k == 40 ? 20000 : $k % 17 == 0 ? 0 : int rand 40;
        my $record = substr "$file.$k." x 4000, 0, $length;
        $record = sprintf '%05d.%05d..', $file, $k if $format eq 'fixed';
        print {$out} $format eq 'u32le' ? pack('V/a*', $record) : $format eq 'u32be' ? pack('N/a*', $record) : $record;
        my $unended = $k == $count && $file % 2 && $record ne '';
        print {$out} $end{$format} unless $unended;
        push @all, $record;
    }
}
print map { unpack('H*', $_) . "\n" } sort @all;
PERL
    local format n
    for format in $formats; do
        for n in 1 3 100; do
            mkdir "$format.$n"
            perl generate "$format" $n >"$format.$n.records"
        done
    done
}

# N producers, each with the files in another order, and how it is told to take its share.
produce_shares() { # N HOW FILE...
    local n=$1 how=$2 i k files
    shift 2
    for ((i = 0; i < n; i++)); do
        k=$((RANDOM % $#))
        files=("${@:k + 1}" "${@:1:k}")
        case $how in
        index) mpp-produce "$m" -i $i --slice "${files[@]}" & ;;
        # Somebody else's share: what counts is that each is taken once.
        other) mpp-produce "$m" -i $i --slice=$(((i + 1) % n))/"$n" "${files[@]}" & ;;
        names) mpp-produce "$m" -i $i --slice --files0-from=<(printf '%s\0' "${files[@]}") & ;;
        *) mpp-produce "$m" -i $i --slice-by "$how" "${files[@]}" & ;;
        esac
        track
    done
}

# Participants share the files of each format: 1, 16, and for each format one number in between.
shared() { # N-OF-FILES
    local of=$1 n format how round ways=(index other names files bytes)
    seed
    for format in $formats; do
        set -- 1 16
        for ((round = 0; round < $(rounds 1); round++)); do set -- "$@" $((2 + RANDOM % 14)); done
        mapfile -t files < <(printf '%s\n' "$BATS_FILE_TMPDIR/$format.$of"/* | shuf --random-source=<(yes "$RANDOM"))
        for n; do
            how=${ways[RANDOM % 5]}
            echo "$n participants, $format, $how"
            # shellcheck disable=SC2046 # words
            m=$(mpp-create -p "$n" -r 64K $(framing "$format"))
            produce_shares "$n" "$how" "${files[@]}"
            mpp-consume "$m" >out
            all_done
            perl "$BATS_FILE_TMPDIR/records" "$format" <out | same - "$BATS_FILE_TMPDIR/$format.$of.records"
        done
    done
}

@test "1 to 16 participants share one file, of every format: every record, and none twice" {
    shared 1
}

@test "1 to 16 participants share three files" {
    shared 3
}

@test "1 to 16 participants share a hundred files" {
    shared 100
}

@test "a share is the same in every order, and no two shares meet" {
    seed
    cd "$BATS_FILE_TMPDIR"
    for how in files bytes; do
        for k in 0 1 2; do
            for try in 1 2; do
                m=$(mpp-create)
                mapfile -t files < <(printf '%s\n' lines.100/* | shuf --random-source=<(yes "$RANDOM"))
                mpp-produce "$m" --slice=$k/3 --slice-by $how "${files[@]}" &
                mpp-consume "$m" >"$T/$k.$try"
                wait $!
            done
            same "$T/$k.1" "$T/$k.2"
            # The middle of a file may lie within one record, but whole files are never all empty.
            [[ $how == bytes || -s $T/$k.1 ]]
        done
        cat "$T"/[012].1 | perl records lines | same - lines.100.records
    done
}

@test "a hundred files are dealt out whole, and in balance; one is cut" {
    cd "$BATS_FILE_TMPDIR"
    m=$(mpp-create -p 4)
    mpp-produce "$m" --all --slice --filter 'echo "$MPP_FILE $MPP_INDEX"; cat >/dev/null' lines.100/* &
    mpp-consume "$m" >"$T/dealt"
    wait $!
    assert_equal "$(wc -l <"$T/dealt")" 100
    # No producer has less than half of its fair share of the bytes.
    total=$(cat lines.100/* | wc -c)
    for i in 0 1 2 3; do
        mapfile -t files < <(sed -n "s/ $i\$//p" "$T/dealt")
        (($(cat "${files[@]}" | wc -c) > total / 8))
    done
    seq 100000 >"$T/big"
    m=$(mpp-create -p 4)
    mpp-produce "$m" --all --slice "$T/big" &
    mpp-consume "$m" --tag >"$T/out"
    wait $!
    # Each has a stretch of it.
    for i in 0 1 2 3; do
        sed -n "s/^$i\t//p" "$T/out" >"$T/part"
        (($(wc -l <"$T/part") > 20000))
        same "$T/part" <(seq "$(head -n 1 "$T/part")" "$(tail -n 1 "$T/part")")
    done
    cut -f 2 "$T/out" | same_lines - "$T/big"
}

@test "compressed files are never cut, and pass through --filter: zcat" {
    cd "$BATS_FILE_TMPDIR"
    for n in 1 3 100; do
        mkdir "$T/gz.$n"
        for file in "lines.$n"/*; do gzip -c "$file" >"$T/gz.$n/${file##*/}.gz"; done
        for p in 1 2 7 16; do
            m=$(mpp-create -p $p)
            mpp-produce "$m" --all --slice --filter zcat "$T/gz.$n"/* &
            track
            mpp-consume "$m" >"$T/out"
            all_done
            perl records lines <"$T/out" | same - lines.$n.records
        done
        # Without the filter, they arrive as they are.
        m=$(mpp-create -p 4 --fixed 1)
        mpp-produce "$m" --all --slice "$T/gz.$n"/* &
        track
        mpp-consume "$m" >"$T/out"
        all_done
        assert_equal "$(wc -c <"$T/out")" "$(cat "$T/gz.$n"/* | wc -c)"
    done
}

@test "--filter gets each byte range as its input, and the file's name" {
    cd "$BATS_FILE_TMPDIR"
    for p in 1 4 16; do
        m=$(mpp-create -p $p)
        # The number of a line's bytes depends on where the range was cut, unless it was cut where lines begin.
        mpp-produce "$m" --all --slice-by bytes --filter 'sed "s,^,${MPP_FILE##*/} ,"' lines.3/* &
        track
        mpp-consume "$m" >"$T/out"
        all_done
        for file in lines.3/*; do awk -v name="${file##*/}" '{ print name, $0 }' "$file"; done | same_lines "$T/out" -
    done
}

@test "--files0-from: names of all kinds, from a file and from standard input" {
    mkdir files
    names=('plain' 'with space' $'with\nnewline' "quo'te\"" '-n' '*' $'\377' '$(touch hit)' 'a;b')
    for name in "${names[@]}"; do printf 'in %q\n' "$name" >"files/$name"; done
    printf 'files/%s\0' "${names[@]}" >list
    for from in list -; do
        m=$(mpp-create -p 3)
        for i in 0 1 2; do
            mpp-produce "$m" -i $i --slice --files0-from=$from <list &
            track
        done
        mpp-consume "$m" >out
        all_done
        same_lines out <(cat files/*)
    done
    run ! test -e hit
    # And the filter is told them as they are.
    m=$(mpp-create -p 2 -z)
    mpp-produce "$m" --all --slice --files0-from=list --filter 'printf "%s\0" "$MPP_FILE"' &
    track
    mpp-consume "$m" | sort -z >out
    all_done
    same out <(sort -z list)
}

@test "what cannot be shared is refused, with what to do instead" {
    mkfifo fifo
    echo x >file
    while IFS='|' read -r arguments reason; do
        m=$(mpp-create)
        run -2 bash -c "mpp-produce '$m' $arguments"
        one_line_of mpp-produce "$output"
        assert_output --regexp "$reason"
        mpp-create --remove "$m"
    done <<'EOF'
--slice|FILEs
--slice -- true|--slice
--slice file -|standard input
--slice=3/3 file|K
--slice=0/2 --slice-by bytes file fifo|fifo.*--slice-by files
EOF
}

@test "files that are made up when they are read have no size: one producer has them whole" {
    for file in /proc/self/mounts /proc/cpuinfo /sys/kernel/mm/transparent_hugepage/enabled; do
        [[ -r $file ]] || continue
        for how in --all '--all --slice-by files'; do
            m=$(mpp-create -p 3)
            # shellcheck disable=SC2086 # words
            mpp-produce "$m" $how "$file" &
            track
            mpp-consume "$m" >out
            all_done
            assert_equal "$(wc -l <out)" "$(wc -l <"$file")"
        done
        m=$(mpp-create -p 3)
        run -2 mpp-produce "$m" -i 0 --slice-by bytes "$file"
        assert_output --regexp "cannot cut '$file'.*its size is not known.*--slice-by files"
        mpp-create --remove "$m"
    done
    # A file that is only empty is no error, and its share of a hundred is nothing.
    : >empty
    m=$(mpp-create -p 2)
    mpp-produce "$m" --all --slice-by bytes empty "$BATS_FILE_TMPDIR"/lines.3/* &
    track
    mpp-consume "$m" >out
    all_done
    perl "$BATS_FILE_TMPDIR/records" lines <out | same - "$BATS_FILE_TMPDIR/lines.3.records"
}

# Two producers share `log`, which is changed between their starts.
changed_between() { # HOW COMMAND...
    local how=$1
    shift
    seq 20000 >log
    m=$(mpp-create -p 2)
    # shellcheck disable=SC2086 # words
    mpp-produce "$m" -i 0 $how log 2>0.err &
    first=$!
    wait_for attached 1 "$m"
    "$@"
    # shellcheck disable=SC2086 # words
    mpp-produce "$m" -i 1 $how log 2>1.err &
    second=$!
    run mpp-consume "$m"
    local failed=0
    wait $first || failed=1
    wait $second || failed=1
    assert_equal "$failed" $((status > 0))
}

@test "producers that measure a file for themselves find out when it has changed in between" {
    changes=('seq 20001 30000 >>log' 'truncate -s 50000 log' 'seq 7 >log')
    for how in --slice '--slice-by bytes'; do
        changed_between "$how" eval "${changes[RANDOM % 3]}"
        assert_equal "$status" 3
        # Who shortens it may be found out by its first reader as well.
        assert_regex "$(cat 0.err 1.err)" "log.*(share does not fit.*--all|became shorter)"
    done
    # It has not changed.
    changed_between --slice true
    assert_equal "$status" 0
    assert_equal "$(sort -n <<<"$output" | md5sum)" "$(seq 20000 | md5sum)"
}

@test "producers that share files out in two ways find out; those that have other files do not care" {
    seq 20000 >log
    m=$(mpp-create -p 2)
    mpp-produce "$m" -i 0 --slice-by files log 2>0.err &
    first=$!
    wait_for attached 1 "$m"
    run mpp-produce "$m" -i 1 --slice-by bytes log
    assert_failure
    fails $first
    mpp-create --remove "$m" # a consumer could still come for what it says
    # Whoever has a whole file has it whole, whatever it has become.
    changed_between '--slice-by files' eval 'seq 20001 30000 >>log'
    assert_equal "$status" 0
    seq 10 >a
    seq 11 20 >b
    m=$(mpp-create -p 2)
    mpp-produce "$m" -i 0 --slice=0/1 a &
    track
    mpp-produce "$m" -i 1 --slice=0/1 b &
    track
    run -0 mpp-consume "$m"
    all_done
    assert_equal "$(sort -n <<<"$output")" "$(seq 20)"
}

# The first record of a producer is taken; then COMMAND is done; then the rest is taken.
changed_while_read() { # ARGUMENTS COMMAND...
    local arguments=$1
    shift
    seq 2000000 >log
    rm -f go out
    mkfifo go
    m=$(mpp-create -r 64K)
    # shellcheck disable=SC2086 # words
    mpp-produce "$m" $arguments 2>p.err &
    producer=$!
    mpp-consume "$m" -- sh -c 'head -c 1000; read x <go; exec cat' >out 2>c.err &
    consumer=$!
    wait_for test -s out
    "$@"
    echo >go
    exits "${expected:-0}" $producer
}

@test "a file that becomes shorter than what was shared out is an error, after what there was" {
    for arguments in '--all log' '--all --slice-by bytes log' '--all --slice-by bytes --filter cat log'; do
        expected=1 changed_while_read "$arguments" truncate -s 10000003 log
        exits 3 $consumer
        assert_regex "$(<p.err)" "'log' became shorter while it was read: 4888893 bytes are missing"
        # Whole lines from the first on.
        same out <(seq "$(wc -l <out)")
        (($(wc -l <out) > 100))
    done
    # Without shares it is read to its end, as cat does.
    changed_while_read log truncate -s 10000000 log
    exits 0 $consumer
    changed_while_read log eval 'seq 2000001 2000010 >>log'
    exits 0 $consumer
    same out <(seq 2000010)
    # What was added after the shares were made is in none.
    changed_while_read '--all log' eval 'seq 2000001 2000010 >>log'
    exits 0 $consumer
    same out <(seq 2000000)
}

@test "what is no longer the file that was shared out is an error" {
    seq 1000 >log
    seq 1000 >other
    for change in 'mv other log' 'rm log'; do
        m=$(mpp-create -p 2)
        mpp-produce "$m" --all log 2>p.err &
        producer=$!
        wait_for attached 2 "$m"
        eval "$change"
        run mpp-consume "$m"
        assert_failure
        fails $producer
        assert_regex "$(<p.err)" "'log'( is another file than when the shares were made|: No such file)"
    done
    mkdir directory
    m=$(mpp-create -p 2)
    run -1 mpp-produce "$m" -i 0 --slice directory
    assert_output --partial "'directory': Is a directory"
    mpp-create --remove "$m"
}

@test "a file without a delimiter: the share that it begins in reports it, soon; and everybody is heard meanwhile" {
    truncate -s 1T sparse
    for how in --all '-i 0 --slice=0/2 --slice-by bytes'; do
        m=$(mpp-create -p "$([[ $how == --all ]] && echo 2 || echo 1)" --max-record 1M)
        # shellcheck disable=SC2086 # words
        mpp-produce "$m" $how sparse 2>p.err &
        producer=$!
        run mpp-consume "$m"
        assert_failure
        fails $producer
        assert_regex "$(<p.err)" "sparse: the record at offset 0 .*--max-record of 1048576"
    done
    # A terabyte of empty records: the middle is searched for from the start.
    for event in TERM enough remove; do
        m=$(mpp-create -p 1 --length-prefixed u32le)
        mpp-produce "$m" --slice=1/2 --slice-by bytes sparse 2>p.err &
        producer=$!
        rm -f go
        mkfifo go
        mpp-consume "$m" -- sh -c 'read x <go' 2>c.err &
        consumer=$!
        wait_for doing 1 "reading its input" "$m"
        begin=${EPOCHREALTIME/./}
        case $event in
        TERM) kill "$producer" ;;
        enough) echo >go ;;
        remove) mpp-create --remove "$m" & ;;
        esac
        status=0
        wait "$producer" || status=$?
        echo "$event: $(((${EPOCHREALTIME/./} - begin) / 1000)) ms, status $status"
        ((${EPOCHREALTIME/./} - begin < 2000000 * slower))
        case $event in
        TERM) assert_equal "$status" 143 ;;
        enough) assert_equal "$status" 0 ;;
        remove) assert_equal "$status" 6 ;;
        esac
        wait "$consumer" || true
    done
}
