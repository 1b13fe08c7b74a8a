# What has to come out: records, keys and partitions by the simplest means there are.  Comparing keys is left to sort(1),
# hashing to xxhsum(1).
package Reference;
use strict;
use warnings;

# ---- records -------------------------------------------------------------------------------------------

# The bytes of an input.  `unended`: the last record lacks its delimiter.
sub encode {
    my ($format, $records, $unended) = @_;
    return join '', @$records if $format->{kind} eq 'fixed';
    return pack '(V/a)*', @$records if $format->{kind} eq 'u32le';
    return pack '(N/a)*', @$records if $format->{kind} eq 'u32be';
    my $bytes = join '', map { $_ . $format->{end} } @$records;
    chop $bytes if $unended && @$records && $records->[-1] ne '';
    return $bytes;
}

# The records in an output; dies when it does not consist of whole ones.
sub decode {
    my ($format, $bytes) = @_;
    my @records;
    if ($format->{kind} eq 'fixed') {
        @records = unpack "(a$format->{size})*", $bytes;
        die "the output ends inside a record\n" if length($bytes) % $format->{size};
    } elsif ($format->{kind} =~ /^u32/) {
        my $at = 0;
        while ($at < length $bytes) {
            die "the output ends inside a length\n" if $at + 4 > length $bytes;
            my $n = unpack $format->{kind} eq 'u32le' ? 'V' : 'N', substr $bytes, $at, 4;
            die "the output ends inside a record\n" if $at + 4 + $n > length $bytes;
            push @records, substr $bytes, $at + 4, $n;
            $at += 4 + $n;
        }
    } else {
        @records = split /\Q$format->{end}\E/, $bytes, -1;
        die "the output ends inside a record\n" if @records && pop @records ne '';
    }
    return \@records;
}

# ---- keys ------------------------------------------------------------------------------------------------

# The key's bytes: its fields as they are joined, or the whole record.
sub key_text {
    my ($s, $record) = @_;
    return $record unless $s->{key};
    my @fields = split /\Q$s->{separator}\E/, $record, -1;
    return join $s->{separator}, map { $fields[$_->{field} - 1] // '' } @{$s->{key}};
}

sub lacks_a_field {
    my ($s, $record) = @_;
    return 0 unless $s->{key};
    my @fields = split /\Q$s->{separator}\E/, $record, -1;
    @fields = ('') unless @fields;
    return grep { $_->{field} > @fields } @{$s->{key}};
}

# What sort(1) makes of keys, as it is told: the numbers of those that it gives, in its order.
sub sort_keys {
    my ($s, $options, $keys) = @_;
    my ($k, @options) = 0;
    push @options, '-k' . ++$k . $_->{letters} . ",$k" for @{$s->{key}};
    # Behind the key, where nothing compares it, its number.  A key may lack fields, or be a boundary that does.
    my $n = @{$s->{key}};
    my @lines = map {
        my @fields = split /\Q$s->{separator}\E/, $keys->[$_], -1;
        join $s->{separator}, (map { $fields[$_] // '' } 0 .. $n - 1), $_
    } 0 .. $#$keys;
    open my $in, '>', 'keys' or die "keys: $!\n";
    print {$in} map { "$_\0" } @lines;
    close $in or die "keys: $!\n";
    open my $out, '-|', 'sort', '-s', '-z', '-t', $s->{separator}, @options, @$options, 'keys' or die "sort: $!\n";
    local $/ = "\0";
    my @numbers = map { /([0-9]+)\0$/ } <$out>;
    close $out;
    die "sort: status $?\n" if $?;
    return @numbers;
}

# The numbers of keys in their order; of equal keys the first one comes first.
sub order {
    my ($s, @keys) = @_;
    return sort { $keys[$a] cmp $keys[$b] || $a <=> $b } 0 .. $#keys unless $s->{key};
    return sort_keys($s, [], \@keys);
}

# By the key, and where that says nothing, stable: as they are; else: by their bytes.
sub sorted {
    my ($s, $stable, @records) = @_;
    @records = sort { $a cmp $b } @records unless $stable;
    return @records[order($s, map { key_text($s, $_) } @records)];
}

# One of each key that compares equal, ascending.
sub distinct_keys {
    my ($s, @keys) = @_;
    return @keys[sort_keys($s, ['-u'], \@keys)] if $s->{key};
    my %seen;
    return sort { $a cmp $b } grep { !$seen{$_}++ } @keys;
}

# ---- partitions ------------------------------------------------------------------------------------------

# XXH3-64 of each key, modulo n.
sub by_hash {
    my ($n, @keys) = @_;
    no warnings 'portable'; # integers of 64 bits
    my (%index, @files);
    mkdir 'hash' or die "hash: $!\n";
    for my $key (keys %{{map { $_ => 1 } @keys}}) {
        my $file = 'hash/' . @files;
        open my $out, '>', $file or die "$file: $!\n";
        print {$out} $key;
        close $out or die "$file: $!\n";
        push @files, [$file, $key];
    }
    while (my @some = splice @files, 0, 1000) {
        # It tells its progress, too.
        open my $hashes, '-|', 'sh', '-c', 'exec xxhsum -H3 "$@" 2>hash/err', 'sh', map { $_->[0] } @some or die "xxhsum: $!\n";
        while (my $line = <$hashes>) {
            my ($hash) = $line =~ /\b([0-9a-f]{16})\b/ or die "xxhsum: $line\n";
            $index{(shift @some)->[1]} = hex($hash) % $n;
        }
        close $hashes;
        die "xxhsum: not all keys\n" if @some;
    }
    system 'rm', '-r', 'hash';
    return map { $index{$_} } @keys;
}

# How many boundaries stand before each key; one that is equal does.
sub by_range {
    my ($s, @keys) = @_;
    my @bounds = @{$s->{bounds}};
    my ($before, @index) = 0;
    for my $number (order($s, @bounds, @keys)) {
        $number < @bounds ? $before++ : ($index[$number - @bounds] = $before);
    }
    return @index;
}

# For each source, for each of its records, which consumer gets it: its number, 'all', or undef where that is open.
sub targets {
    my ($t, $s) = @_;
    my @sources = @{$s->{sources}};
    my @keys = map { key_text($s, $_) } map { @$_ } @sources;
    my $kind = $s->{partition};
    my @all = $kind eq 'hash' ? by_hash($t->{C}, @keys)
            : $kind eq 'range' ? by_range($s, @keys)
            : $kind eq 'broadcast' ? ('all') x @keys
            : (undef) x @keys;
    my @targets = map { [splice @all, 0, scalar @$_] } @sources;
    if ($kind eq 'round-robin' && !$t->{slice}) {
        for my $p (0 .. $#sources) {
            $targets[$p] = [map { ($p + $_) % $t->{C} } 0 .. $#{$sources[$p]}];
        }
    }
    return \@targets;
}

1;
