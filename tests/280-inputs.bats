load helpers

# Inputs that are no plain file: what is read of them, and that nobody waits in vain meanwhile.

# Run a command whose stdin is a socket, into which WORDS go first, and which stays open.
cat_socket='
    use Socket;
    my $words = shift;
    socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die;
    syswrite $ours, $words;
    shutdown $ours, 1 if $words =~ /end/;
    my $pid = fork;
    if (!$pid) { close $ours; open STDIN, "<&", $theirs or die; exec @ARGV or die }
    close $theirs;
    $SIG{TERM} = sub { kill TERM => $pid };
    1 while waitpid($pid, 0) < 0;
    $SIG{TERM} = "DEFAULT";
    $? & 127 ? kill $? & 127, $$ : exit $? >> 8;
'

@test "what a socket holds is read to its end; a silent one keeps nobody waiting" {
    m=$(mpp-create)
    perl -e "$cat_socket" $'one\ntwo\nend\n' mpp-produce "$m" &
    track
    run -0 mpp-consume "$m"
    all_done
    assert_output $'one\ntwo\nend'
    for event in enough TERM kill; do
        rm -f go
        mkfifo go
        m=$(mpp-create)
        perl -e "$cat_socket" $'one\n' mpp-produce "$m" 2>p.err &
        producer=$!
        mpp-consume "$m" -- sh -c 'read x; read y <go' 2>c.err &
        consumer=$!
        wait_for doing 1 "reading its input" "$m"
        case $event in
        enough) echo >go ;;
        TERM) kill "$producer" ;;
        kill) kill -KILL "$consumer" ;;
        esac
        begin=${EPOCHREALTIME/./}
        case $event in
        enough) exits 0 "$producer" ;;
        TERM) exits 143 "$producer" ;;
        kill) exits 4 "$producer" ;;
        esac
        ((${EPOCHREALTIME/./} - begin < 2000000 * slower))
        wait "$consumer" || true
        kill_started # the command of a consumer that was killed waits for its line
    done
}

@test "a pipe that cannot be opened anew, which others read, too, keeps nobody waiting" {
    as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups env "TMPDIR=$T/n")
    mkdir -m 777 n
    chmod 755 .
    private_shm 64M "${as_nobody[@]}" mpp-create --version 2>/dev/null || skip "nobody else may be had here"
    mkfifo -m 600 pipe
    exec 5<>pipe
    cat >script <<'SCRIPT'
m=$("$MPP_B/mpp-create")
timeout 30 mpp-produce "$m" <&4 &
producer=$!
timeout 30 cat <&4 >n/stolen 4<&- 5>&- &
thief=$!
timeout 30 mpp-consume "$m" >n/out 4<&- 5>&- &
for i in {1..200}; do echo "line $i" >&5; done
until [[ $(cat n/out n/stolen | wc -l) -gt 0 ]]; do sleep 0.02; done
kill $producer
wait $producer
status=$?
kill $thief
wait
exit $status
SCRIPT
    exec 4<pipe
    run -143 private_shm 64M "${as_nobody[@]}" bash script
    exec 4<&- 5>&-
    # Each line went to one of them, or was under way.
    run sort n/out n/stolen
    [[ $(uniq -d <<<"$output") == "" ]]
}

@test "devices: /dev/null, /dev/zero, /dev/urandom, as file, standard input, and to a filter" {
    m=$(mpp-create -p 2)
    mpp-produce "$m" --all /dev/null /dev/null &
    track
    run -0 mpp-consume "$m"
    all_done
    assert_output ''
    for device in zero urandom; do
        for how in "/dev/$device" "- </dev/$device" "--filter cat /dev/$device"; do
            m=$(mpp-create --fixed 1)
            eval "mpp-produce \"\$m\" $how &"
            track
            assert_equal "$(mpp-consume "$m" | head -c 3000000 | wc -c)" 3000000
            all_done
        done
    done
    m=$(mpp-create)
    run -2 mpp-produce "$m" --slice=0/2 --slice-by bytes /dev/zero
    assert_output --partial "not a regular file"
    mpp-create --remove "$m"
}

@test "a device that is read as slowly as it likes keeps nobody waiting" {
    [[ -r /dev/kmsg ]] || skip "/dev/kmsg cannot be read"
    m=$(mpp-create)
    mpp-produce "$m" /dev/kmsg 2>p.err &
    producer=$!
    mpp-consume "$m" >out 2>c.err &
    consumer=$!
    wait_for doing 1 "reading its input" "$m"
    kill "$producer"
    exits 143 "$producer"
    fails "$consumer"
}

@test "the reader of an input goes when mpp-produce is killed" {
    mkfifo slow
    exec 5<>slow
    truncate -s 1T sparse
    m=$(mpp-create --length-prefixed u32le)
    mpp-produce "$m" --slice=1/2 --slice-by bytes sparse 2>p.err &
    producer=$!
    mpp-consume "$m" >out 2>c.err &
    consumer=$!
    wait_for doing 1 "reading its input" "$m"
    wait_for pgrep -P "$producer"
    reader=$(pgrep -P "$producer")
    kill -KILL "$producer"
    exits 4 "$consumer"
    wait_for eval "! kill -0 $reader || grep -q '^State:.Z' /proc/$reader/status"
    # And when it is the reader that is killed, that is said.
    m=$(mpp-create --length-prefixed u32le)
    mpp-produce "$m" --slice=1/2 --slice-by bytes sparse 2>p.err &
    producer=$!
    mpp-consume "$m" >out 2>c.err &
    consumer=$!
    wait_for pgrep -P "$producer"
    kill -KILL "$(pgrep -P "$producer")"
    exits 1 "$producer"
    assert_regex "$(<p.err)" "'sparse': the process that reads it .* has died"
    fails "$consumer"
}

# A socket, of which the reader makes a copy, for a standard input that never ends.
cat_socket() { # COMMAND...
    python3 -c '
import os, socket, subprocess, sys, time
ours, theirs = socket.socketpair()
p = subprocess.Popen(sys.argv[1:], stdin=theirs)
theirs.close()
ours.sendall(b"line\n" * 1000)
readers = []
while not readers:
    time.sleep(0.01)
    for task in os.listdir("/proc"):
        try:
            stat = open("/proc/%s/stat" % task).read() if task.isdigit() else ""
        except OSError:
            continue
        if "(mpp-reader)" in stat and stat.rsplit(") ", 1)[1].split()[1] == str(p.pid):
            readers.append(int(task))
time.sleep(0.02)
os.kill(readers[0], 9)
sys.exit(p.wait())' "$@"
}

@test "a reader that is killed is no end of the input" {
    command -v python3 >/dev/null || skip "no python3"
    for ((i = 0; i < 3; i++)); do
        m=$(mpp-create)
        mpp-consume "$m" >out 2>c.err &
        c=$!
        run -1 --separate-stderr cat_socket mpp-produce "$m"
        assert_regex "$stderr" "standard input.*mpp-reader.*has died"
        exits 3 $c
    done
}

@test "a file that is a descriptor by its name: <(COMMAND), /dev/fd/N" {
    m=$(mpp-create)
    mpp-produce "$m" <(seq 5) /dev/fd/9 9< <(seq 6 8) &
    track
    run -0 mpp-consume "$m"
    assert_output "$(seq 8)"
    all_done
}
