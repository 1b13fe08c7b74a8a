load helpers

top() {
    make -C "$BATS_TEST_DIRNAME/.." --no-print-directory B="$MPP_B" SAN="${MPP_SAN:-}" DESTDIR="$T/root" "$@"
}

@test "make install puts everything where it belongs, and uninstall takes it away again" {
    top PREFIX=/usr install
    for tool in mpp-create mpp-produce mpp-consume mpp-run mpp-stat; do
        run -0 "root/usr/bin/$tool" --version
        run -0 test -s "root/usr/share/man/man1/$tool.1"
    done
    run -0 test -s root/usr/share/man/man7/mpp.7
    run -0 test -s root/usr/share/man/man3/libmpp.3
    top PREFIX=/usr uninstall
    run -0 find root ! -type d
    assert_output ""
}

@test "a program can be built against what is installed, with what mpp.pc says" {
    top PREFIX=/opt/mpp install
    cat >program.c <<'EOF'
#include <mpp-look.h>
#include <stdio.h>

int main(void)
{
    mpp_mesh_options o = {.producers = 1, .consumers = 1};
    mpp_error e;
    mpp_mesh *m;
    if (mpp_mesh_create(&o, &m, &e) < 0)
        return puts(e.text), 1;
    mpp_counters none = {0};
    printf("%s %u %d\n", mpp_mesh_id(m), mpp_mesh_producers(m), (int)none.records);
    int failed = mpp_mesh_remove(mpp_mesh_id(m), &e);
    mpp_mesh_close(&m);
    return failed != 0;
}
EOF
    # As pkg-config would read it, had it been installed for real.
    pc=root/opt/mpp/lib/pkgconfig/mpp.pc
    sed -i "s,^prefix=,prefix=$T/root," $pc
    field() {
        bash -c 'sed -n -e "/^[a-z]*=/p" -e "s/^$1: \(.*\)/echo \1/p" "$0" | bash' "$pc" "$1"
    }
    san=()
    case ${MPP_SAN:-} in
    "") ;;
    coverage) san=(--coverage) ;;
    *) san=("-fsanitize=$MPP_SAN") ;;
    esac
    # shellcheck disable=SC2046 # words are wanted
    cc -std=c11 "${san[@]}" -Wall -Wextra -Werror $(field Cflags) -o program program.c $(field Libs)
    run -0 ./program
    assert_output --regexp '^[0-9a-f]{12} 1 0$'
    if type -P c++; then
        echo '#include <mpp-look.h>' >program.cc
        # shellcheck disable=SC2046 # words are wanted
        c++ -Wall -Wextra -Werror $(field Cflags) -fsyntax-only program.cc
    fi
}

@test "the tools say the version that mpp.pc says" {
    top PREFIX=/usr install
    version=$(sed -n 's/^Version: //p' root/usr/lib/pkgconfig/mpp.pc)
    run -0 root/usr/bin/mpp-create --version
    assert_output --partial "$version"
}
