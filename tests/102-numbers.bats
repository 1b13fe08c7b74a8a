load helpers

# Every line is a command and, behind |, what is said of it, in one line and with status 2.
refused() {
    local line says status wrong=0
    while IFS='|' read -r line says; do
        status=0
        timeout 10 bash -c "$line" >out 2>err </dev/null || status=$?
        if [[ $status != 2 || -s out || $(wc -l <err) != 1 ]] || ! grep -qF -e "$says" err; then
            printf '%s\n  exit %d (not 2), not "%s", but:\n' "$line" "$status" "$says"
            sed 's/^/    /' err
            wrong=1
        fi
    done
    ((wrong == 0))
}

@test "a number that is too small, too large or none: refused, with the least and the largest" {
    m=$(mpp-create -p 2 -c 2)
    export m
    refused <<'EOF'
mpp-create -p 0|--producers '0': expected a whole number from 1 to 256
mpp-create -p 257|from 1 to 256
mpp-create -p 4294967297|from 1 to 256
mpp-create -p 18446744073709551617|from 1 to 256
mpp-create -p 1e1|from 1 to 256
mpp-create -p 0x1|from 1 to 256
mpp-create -p 1.0|from 1 to 256
mpp-create -p ' 1'|from 1 to 256
mpp-create -p '1 '|from 1 to 256
mpp-create -p +1|from 1 to 256
mpp-create -p -0|from 1 to 256
mpp-create -p inf|from 1 to 256
mpp-create -c 18446744073709551616|from 1 to 256
mpp-create --lanes 0|from 1 to 65535
mpp-create --lanes 65536|from 1 to 65535
mpp-create --pid 0|from 1 to 2147483647
mpp-create --pid 2147483648|from 1 to 2147483647
mpp-create --pid 4294967297|from 1 to 2147483647
mpp-produce $m -i 2|0 to 1
mpp-produce $m -i 256|from 0 to 255
mpp-produce $m -i 4294967296|from 0 to 255
mpp-produce $m --runs 2147483648 /dev/null|from 0 to 2147483647
mpp-produce $m --runs 4294967297 /dev/null|from 0 to 2147483647
mpp-produce $m --runs -1 /dev/null|from 0 to 2147483647
mpp-produce $m --ok-status 256 -- true|0 to 255
mpp-produce $m --ok-status 18446744073709551616 -- true|0 to 255
mpp-produce $m --slice=2/2 /dev/null|--slice
mpp-produce $m --slice=4294967296/4294967297 /dev/null|--slice
mpp-produce $m --slice=-1/2 /dev/null|--slice
mpp-consume $m -n 18446744073709551615|from 0 to 18446744073709551614
mpp-consume $m -n 18446744073709551616|from 0 to 18446744073709551614
mpp-consume $m -n 99999999999999999999999|from 0 to 18446744073709551614
mpp-consume $m -n -1|from 0 to 18446744073709551614
mpp-consume $m -n 1K|from 0 to 18446744073709551614
EOF
    mpp-create --remove "$m"
}

@test "a size that is too small, too large or none: refused, with the least and the largest" {
    refused <<'EOF'
mpp-create --ring-size 0|from 64K to 1G
mpp-create --ring-size 65535|from 64K to 1G
mpp-create --ring-size 65537|not a power of two
mpp-create --ring-size 2G|from 64K to 1G
mpp-create --ring-size 1025M|from 64K to 1G
mpp-create --ring-size 16E|from 64K to 1G
mpp-create --ring-size 17179869184G|from 64K to 1G
mpp-create --ring-size 17179869185G|from 64K to 1G
mpp-create --ring-size 99999999999G|from 64K to 1G
mpp-create --ring-size 18446744073709551616|from 64K to 1G
mpp-create --ring-size 18446744073709617152|from 64K to 1G
mpp-create --ring-size 1.5M|from 64K to 1G
mpp-create --ring-size -64K|from 64K to 1G
mpp-create --ring-size '64 K'|from 64K to 1G
mpp-create --ring-size 64KB|from 64K to 1G
mpp-create --ring-size K|from 64K to 1G
mpp-create --fixed 0|from 1 to 4294967295
mpp-create --fixed 4G|from 1 to 4294967295
mpp-create --fixed 4294967297|from 1 to 4294967295
mpp-create --fixed 100M|longer than --max-record
mpp-create --max-record 0|from 1 to 1024G
mpp-create --max-record 0G|from 1 to 1024G
mpp-create --max-record 1025G|from 1 to 1024G
mpp-create --max-record 1099511627777|from 1 to 1024G
mpp-create --max-record 99999999999999999999K|from 1 to 1024G
EOF
    for option in '--ring-size 65536' '--ring-size 1G' '--max-record 1' '--max-record 1024G' '--max-record 1073741824K' \
        '--fixed 1' '--fixed 4294967295 --max-record 4G' '-p 0256' '--lanes 1'; do
        # shellcheck disable=SC2086 # words are wanted
        m=$(mpp-create $option) || fail "$option"
        mpp-create --remove "$m"
    done
}

@test "a duration that is none: refused" {
    m=$(mpp-create)
    export m
    for duration in '' -1 -0.5s . ms 1.2.3 1e3 0x10 inf nan 1d 1h30m '1 s' ' 1' 1ss 1S +1 '1,' 1,5; do
        refused <<EOF
mpp-produce $m --attach-timeout '$duration'|--attach-timeout '$duration': expected a duration
mpp-consume $m --timeout '$duration'|--timeout '$duration': expected a duration
mpp-stat $m --for '$duration'|--for '$duration': expected a duration
mpp-stat $m --watch '$duration'|--watch '$duration': expected a duration
EOF
    done
    refused <<'EOF'
mpp-stat $m --watch 0|at least 0.01
mpp-stat $m --watch 9ms|at least 0.01
mpp-stat $m --watch 0.000001h|at least 0.01
EOF
    mpp-create --remove "$m"
}

@test "a duration of more than anybody waits for is for ever" {
    for duration in 9999999999999ms 2562048h 9223372036854775807 9223372036854775808ms 18446744073709551616s \
        99999999999999999999999999999999999h; do
        m=$(mpp-create)
        mpp-consume "$m" --attach-timeout "$duration" --timeout "$duration" >out &
        c=$!
        wait_for doing 1 "waiting for data" "$m"
        mpp-stat --why --for "$duration" "$m" >/dev/null
        mpp-produce "$m" --attach-timeout "$duration" --timeout "$duration" -- sh -c 'sleep 0.1; echo hello'
        all_well $c
        same out <(echo hello)
    done
}

@test "a duration of less than there is, is not 0, which is for ever" {
    for duration in 0.0001 0.1ms 0.00000001h .0001; do
        m=$(mpp-create)
        run -5 mpp-consume "$m" --attach-timeout "$duration"
        mpp-create --remove "$m"
    done
}

@test "no records at all are enough" {
    m=$(mpp-create)
    mpp-produce "$m" -- yes &
    track
    run -0 mpp-consume "$m" -n 0
    assert_output ''
    all_done
}
