load helpers

# Producers that come, say one thing, and are gone: nothing of it is lost, however many there are.
# MPP_ROUNDS is how many times a thousand of them come; nothing here is random.

@test "a thousand producers of one record each: every record arrives, and once" {
    seq 250 >list
    for ((round = 0; round < $(rounds 4); round++)); do
        m=$(mpp-create -p 250 -r 64K)
        # Each takes its share of the list, which is one line.
        mpp-produce "$m" --all list &
        track
        mpp-consume "$m" >out
        all_done
        same list <(sort -n out)
    done
}

@test "the same, of 250 of which one is killed at once: whole records, exit 4, and its name" {
    for ((round = 0; round < $(rounds 3); round++)); do
        m=$(mpp-create -p 250 -r 64K)
        mpp-produce "$m" --all -- sh -c '
            [ "$MPP_INDEX" != "$0" ] || kill -KILL $PPID
            echo $((MPP_INDEX + 1))' $((round * 7 % 250)) 2>p.err &
        p=$!
        run -4 --separate-stderr mpp-consume "$m" -o out
        one_line_of mpp-consume "$stderr"
        assert_regex "$stderr" "producer $((round * 7 % 250)) \(pid [0-9]+[^)]*\) died before its stream ended"
        exits 137 $p
        # What did arrive is some of it, once.
        run ! grep -Evx '[1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|250' out
        sort -n out | uniq -d >twice
        is_empty twice
        [[ -z $(meshes) ]] || mpp-create --gc >/dev/null
    done
}

@test "a hundred processes come one after the other, each gone before the next: all is there when it is asked for" {
    m=$(mpp-create -p 100 -r 64K)
    for i in {1..100}; do mpp-produce "$m" --eager <<<"$i"; done
    run -0 mpp-consume "$m"
    sort -n <<<"$output" | same - <(seq 100)
}
