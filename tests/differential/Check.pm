# Is what came out of a topology what the reference says?
package Check;
use strict;
use warnings;

use Reference;

my @wrong;

sub wrong {
    push @wrong, join '', @_;
    return;
}

sub shown {
    my ($record) = @_;
    my $text = substr $record, 0, 60;
    $text =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    return "'$text'" . (length $record > 60 ? ' (' . length($record) . ' bytes)' : '');
}

sub slurp {
    my ($name) = @_;
    open my $in, '<', $name or return undef;
    local $/;
    return scalar(<$in>) // '';
}

# ---- who said what ---------------------------------------------------------------------------------------

# Each record's source and number, or 0 when several records are the same.
sub index_of {
    my ($s) = @_;
    my %index;
    for my $p (0 .. $#{$s->{sources}}) {
        my $records = $s->{sources}[$p];
        $index{$records->[$_]} = exists $index{$records->[$_]} ? 0 : [$p, $_] for 0 .. $#$records;
    }
    return \%index;
}

# What consumer j has to get of each source, and whether that is known.
sub wanted {
    my ($s, $j) = @_;
    my (@wanted, $open);
    for my $p (0 .. $#{$s->{sources}}) {
        my $targets = $s->{targets}[$p];
        $open ||= grep { !defined } @$targets;
        push @wanted, [grep { !defined $targets->[$_] || $targets->[$_] eq 'all' || $targets->[$_] == $j } 0 .. $#$targets];
    }
    return (\@wanted, $open);
}

# ---- one output ------------------------------------------------------------------------------------------

# No record but what may be there, none too often, none missing.
sub check_counts {
    my ($name, $s, $got, $wanted, $open, $most) = @_;
    my ($all, %left) = 0;
    for my $p (0 .. $#$wanted) {
        $left{$s->{sources}[$p][$_]}++, $all++ for @{$wanted->[$p]};
    }
    for my $record (@$got) {
        next if $left{$record} && $left{$record}-- > 0;
        my $known = exists $s->{index}{$record};
        wrong("$name: a record ", $known ? 'too many, or of another consumer' : 'that nobody has produced', ': ', shown($record));
        return;
    }
    my $due = defined $most && $most < $all ? $most : $all;
    my ($missing) = grep { $left{$_} > 0 } sort keys %left;
    wrong("$name: ", scalar @$got, " records, not $due; not there: ", $missing // '') if $open ? @$got > $due : @$got != $due;
}

# Those of a source in the order in which it said them, and none left out before the last.
sub check_order {
    my ($name, $s, $got, $wanted, $open) = @_;
    my @left = map { my $p = $_; [grep { $s->{index}{$s->{sources}[$p][$_]} } @{$wanted->[$p]}] } 0 .. $#$wanted;
    for my $record (@$got) {
        my $who = $s->{index}{$record} or next;
        my $left = $left[$who->[0]];
        shift @$left while $open && @$left && $left->[0] < $who->[1];
        next if @$left && shift @$left == $who->[1];
        wrong("$name: out of order: ", shown($record));
        return;
    }
}

# With tags each source is known, also of records that are the same.
sub check_tags {
    my ($name, $s, $got, $tags, $wanted, $open) = @_;
    my @at = (0) x @$wanted;
    for my $i (0 .. $#$got) {
        my ($p, $record) = ($tags->[$i], $got->[$i]);
        my $records = $s->{sources}[$p] // [];
        my $order = $wanted->[$p] // [];
        $at[$p]++ while $open && $at[$p] < @$order && $records->[$order->[$at[$p]]] ne $record;
        next if $at[$p] < @$order && $records->[$order->[$at[$p]++]] eq $record;
        wrong("$name: producer $p did not say this then: ", shown($record));
        return;
    }
}

# Of files that are shared a producer has its share in the order of the files.
sub check_shares {
    my ($name, $s, $got, $tags) = @_;
    my @last = map { [-1, -1] } 0 .. 5;
    for my $i (0 .. $#$got) {
        my $who = $s->{index}{$got->[$i]} or next;
        my $last = $last[$tags->[$i]];
        if ($who->[0] < $last->[0] || ($who->[0] == $last->[0] && $who->[1] <= $last->[1])) {
            wrong("$name: producer $tags->[$i] has this too late: ", shown($got->[$i]));
            return;
        }
        $last[$tags->[$i]] = $who;
    }
}

# Merged: the beginning of all, in order.
sub check_merged {
    my ($name, $t, $s, $got, $wanted) = @_;
    my @all = map { my $p = $_; map { $s->{sources}[$p][$_] } @{$wanted->[$p]} } 0 .. $#$wanted;
    my @ordered = Reference::sorted($s, $t->{stable}, @all);
    for my $i (0 .. $#$got) {
        next if $i < @ordered && $got->[$i] eq $ordered[$i];
        wrong("$name: record $i is not what the merge gives: ", shown($got->[$i]));
        return;
    }
}

sub take_tags {
    my ($name, $t, $got) = @_;
    my @tags;
    for my $record (@$got) {
        $record =~ s/^([0-5])\t// && $1 < $t->{P} or return wrong("$name: no tag: ", shown($record));
        push @tags, $1;
    }
    return \@tags;
}

# The records of one output, or undef.
sub check_output {
    my ($t, $s, $j, $c, $sink) = @_;
    my $name = "out.$j.$s->{name}.$c->{run}";
    my $bytes = slurp($name) // return wrong("$name: there is none");
    my $got = eval { Reference::decode($s->{format}, $bytes) } or return wrong("$name: $@");
    my $tags = $c->{tag} ? take_tags($name, $t, $got) // return : undef;
    $tags = [(0) x @$got] if $t->{P} == 1;
    my ($wanted, $open) = wanted($s, $j);
    my ($most) = sort { $a <=> $b } grep { defined } $c->{most}, $sink->{head};
    check_counts($name, $s, $got, $wanted, $open, $most);
    check_order($name, $s, $got, $wanted, $open) unless $t->{slice};
    check_tags($name, $s, $got, $tags, $wanted, $open) if $tags && !$t->{slice};
    check_shares($name, $s, $got, $tags) if $tags && $t->{slice};
    check_merged($name, $t, $s, $got, $wanted) if $t->{merge} && !$open;
    return {records => $got, most => $most};
}

# What no partition decides: together the consumers have each record once.
sub check_union {
    my ($t, $s, $run, @outputs) = @_;
    my ($wanted, $open) = wanted($s, 0);
    return if !$open || grep { !$_ } @outputs;
    my @together = map { @{$_->{records}} } @outputs;
    my $cancelled = grep { defined $_->{most} } @outputs;
    check_counts("run $run of stream $s->{name}", $s, \@together, $wanted, $cancelled, undef);
}

# ---- everything ------------------------------------------------------------------------------------------

sub check_processes {
    my ($t) = @_;
    my $messages = join '|', 'lacks? a field of the key', 'was closed after \d+ records$';
    my $lacking = 0;
    for my $s (@{$t->{streams}}) {
        $lacking ||= grep { Reference::lacks_a_field($s, $_) } map { @$_ } @{$s->{sources}};
    }
    for my $process (@{$t->{producers}}, map { @$_ } @{$t->{consumers}}) {
        my $status = slurp("$process->{name}.status") // "none\n";
        chomp $status;
        wrong("$process->{name}: exit status $status") if $status ne '0';
        for my $line (split /\n/, slurp("$process->{name}.err") // '') {
            wrong("$process->{name} says: $line") if $line !~ /$messages/ || ($line =~ /lack/ && !$lacking);
        }
    }
}

# What is wrong, and how many records came out.
sub topology {
    my ($t) = @_;
    my $records = 0;
    @wrong = ();
    check_processes($t);
    for my $s (@{$t->{streams}}) {
        $s->{index} = index_of($s);
        $s->{targets} = Reference::targets($t, $s);
        my %outputs;
        for my $c (map { @$_ } @{$t->{consumers}}) {
            my ($at) = grep { $c->{streams}[$_] == $s->{number} } 0 .. $#{$c->{streams}};
            next unless defined $at;
            push @{$outputs{$c->{run}}}, check_output($t, $s, $_, $c, $c->{sinks}[$at]) // undef
                for $c->{all} ? 0 .. $t->{C} - 1 : $c->{index};
        }
        check_union($t, $s, $_, @{$outputs{$_}}) for sort keys %outputs;
        $records += @{$_->{records}} for grep { $_ } map { @$_ } values %outputs;
    }
    return ($records, @wrong);
}

1;
