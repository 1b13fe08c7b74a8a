load helpers

# To recipe.1, recipe.2, ...
recipes() {
    awk '/^```sh$/ { n++; on = 1; next } /^```$/ { on = 0 } on { print >("recipe." n) }' "$BATS_TEST_DIRNAME/../README.md"
}

@test "the README's recipes work when pasted, and leave nothing behind" {
    recipes
    count=0
    for recipe in "$T"/recipe.*; do
        mkdir "$recipe.dir"
        (cd "$recipe.dir" && bash "$recipe" >"$recipe.out" 2>"$recipe.err") || fail "$(<"$recipe")"
        run -0 test -s "$recipe.out"
        run sed -i '/: the ring dropped [0-9]* records/d' "$recipe.err" # that recipe is about it
        is_empty "$recipe.err"
        nothing_left
        count=$((count + 1))
    done
    ((count >= 5))
}

# Each place of a recipe where it can be broken so, broken: as many files as there are places.
break_it() { # RECIPE PATTERN REPLACEMENT
    perl -e 'my ($file, $pattern, $by) = @ARGV;
        local $/ = undef;
        open my $in, "<", $file or die;
        my $text = <$in>;
        my $n = 0;
        while ($text =~ /$pattern/g) {
            my ($from, $to) = ($-[0], $+[0]);
            open my $out, ">", "$file.broken." . $n++ or die;
            print $out substr($text, 0, $from), $by, substr($text, $to);
        }' "$@"
}

@test "a recipe that is broken, in whatever place, fails and says why" {
    recipes
    count=0
    while IFS='|' read -r name pattern replacement; do
        for recipe in recipe.?; do
            rm -f "$recipe".broken.*
            break_it "$recipe" "${pattern//BAR/|}" "$replacement"
            for broken in "$recipe".broken.*; do
                [[ -f $broken ]] || continue
                rm -rf dir
                mkdir dir
                status=0
                (cd dir && finishes_within "$(patient 20)" bash -e ../"$broken" >../out 2>../err) || status=$?
                ((status)) || fail "$name: exit 0 of"$'\n'"$(<"$broken")"
                [[ -s err ]] || fail "$name: nothing is said of"$'\n'"$(<"$broken")"
                nothing_left
                count=$((count + 1))
            done
        done
    done <<'LIST'
a command that fails at once|(?<=-- )(sh -c .sort BAR uniq -c.BARfactorBARgrep -i \w+BARtr -sc A-Za-z '.n')|sh -c 'exit 9'
one that fails in the end|(?<=-- )(sh -c .sort BAR uniq -c.BARfactorBARgrep -i \w+BARtr -sc A-Za-z '.n')|sh -c 'cat; exit 9'
a command that is not there|(?<=-- )(sh -c .sort BAR uniq -c.BARfactorBARgrep -i \w+BARtr -sc A-Za-z '.n')|no-such-command
a source that fails|(?<=sh -c ')(?=seq)BAR(?<='\BAR)(?=seq)|exit 9; 
a file that is not there|/usr/share/common-licenses/\*BAR(?<=MESH )big.txtBAR(?<==)/etc/(groupBARpasswd)|no-such-file
a full disk|(?<=> )(all.txtBARseen.txtBARfound.txtBARfactors.txtBARcount.txt)|/dev/full
a directory that is not there|(?<=-o ')|no/
LIST
    echo "# $count broken recipes" >&3
    ((count >= 25))
}
