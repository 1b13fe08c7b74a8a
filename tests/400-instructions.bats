load helpers

@test "gather, round-robin and hash take no more instructions for a record than they did" {
    [[ -z ${MPP_SAN:-} ]] || skip "a sanitizer's instructions would be counted"
    valgrind --tool=callgrind --callgrind-out-file=/dev/null true 2>/dev/null || skip "valgrind cannot count here"
    run "$BATS_TEST_DIRNAME/../scripts/instructions"
    ((status != 3)) || skip "$output"
    assert_success
}
