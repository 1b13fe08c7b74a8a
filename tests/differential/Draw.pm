# A random topology: the mesh, what each producer has to say, and what each process is told.
#
# What could stand still by its own design is not drawn: a merge in which two consumers can wait for each other's
# producers, or two streams of a lane for each other's records; a stream of a shared lane that nobody reads for now.
package Draw;
use strict;
use warnings;

use Reference;

my $K = 1024;
my @words = ('apple', 'Apple', 'banana', 'b', 'B', '10', '9', '-3', '2.5', '1e2', '1K', '2M', '1m', '  7', '007', '', '-',
    'zz', "\xc3\xa4", "\xff", '0.10', '.5', '+3', "it's", '\\', 'x,y', '100000000000000000000', '-0', '$HOME');

# The reference sorts with sort(1), which knows the units R and Q of -h since version 9.2.
my $knows_quetta = `printf '1R\n1Y\n' | LC_ALL=C sort -h` =~ /^1Y/;

sub pick { return $_[rand @_] }
sub chance { return rand() < $_[0] }
sub between { my ($low, $high) = @_; return $low + int rand($high - $low + 1) }

# ---- streams ---------------------------------------------------------------------------------------------

sub format_of_records {
    my $kind = pick(qw(lines lines lines zero delimiter fixed u32le u32be));
    return {kind => $kind, end => "\n"} if $kind eq 'lines';
    return {kind => $kind, end => "\0"} if $kind eq 'zero';
    return {kind => $kind, end => pick(';', '|', "\xff", "\1", ' ')} if $kind eq 'delimiter';
    return {kind => $kind, size => pick(1, 7, 8, 13, 64, 64, 1000, 20_000)} if $kind eq 'fixed';
    return {kind => $kind};
}

sub letters {
    my $order = pick('', '', 'n', 'g', 'h');
    return join '', $order, (chance(0.3) ? 'r' : ''), ($order eq '' && chance(0.3) ? 'f' : ''), (chance(0.2) ? 'b' : '');
}

sub key {
    my @numbers = chance(0.6) ? pick(1, 1, 2, 3) : pick([1, 2], [2, 1], [3, 1], [2, 3, 1]);
    @numbers = @{$numbers[0]} if ref $numbers[0];
    return [map { {field => $_, letters => letters()} } @numbers];
}

# Bytes that may stand in a record of the stream; they never run out.
sub filler {
    my ($s) = @_;
    my $end = $s->{format}{end} // '';
    my @bytes = grep { $_ ne $end && ($knows_quetta || !/[QR]/) } map { chr } $s->{key} ? (33 .. 126) : (0 .. 255);
    return join '', map { pick(@bytes) } 1 .. 5000;
}

# Lengths in bytes: short ones, and those that go beyond a frame or the ring.
sub length_of_record {
    my ($t, $s) = @_;
    my $style = $s->{lengths};
    if ($style eq 'long' && chance(0.05)) {
        return int($t->{ring} * (1 + rand 0.5)) if chance(0.3) && $t->{ring} <= 256 * $K;
        return between(0, $t->{ring});
    }
    return between(0, chance(0.1) ? 3000 : 60) if $style ne 'short';
    return between(0, 30);
}

sub record {
    my ($t, $s, $name) = @_;
    my $length = $s->{format}{size} // length_of_record($t, $s);
    my $record = "$name/";
    if ($s->{key}) {
        my @fields = (pick(@{$s->{words}}), pick(@{$s->{words}}), $name);
        @fields = @fields[0 .. between(0, 1)] if chance(0.04);
        $record = join $s->{separator}, @fields, @fields < 3 ? () : '';
    }
    $record = '' if $length == 0 || chance(0.02);
    my $lacking = $length - length $record;
    if ($lacking > 0 && ($record ne '' || $s->{format}{size})) {
        my $from = int rand 1000;
        $record .= substr $s->{filler} x (1 + int(($from + $lacking) / 5000)), $from, $lacking;
    }
    return $s->{format}{size} ? substr($record, 0, $s->{format}{size}) : $record;
}

# What one producer has to say, or what stands in one file.
sub records {
    my ($t, $s, $name) = @_;
    my $budget = $t->{budget} * rand(2);
    my $most = pick(0, 1, 3, 30, 300, 3000);
    my @records;
    for (my $bytes = 0; @records < $most && $bytes < $budget; $bytes += 4 + length $records[-1]) {
        push @records, record($t, $s, $name . '.' . @records);
    }
    return $t->{merge} ? [Reference::sorted($s, $t->{stable}, @records)] : \@records;
}

# Boundaries that are there as keys, and some that are not.
sub boundaries {
    my ($t, $s) = @_;
    my @keys = map { Reference::key_text($s, $_) } map { @$_ } @{$s->{sources}};
    push @keys, @words;
    @keys = grep { length && length() < 60 && !/[^ -~]/ } @keys;
    # No more fields than the key has.
    @keys = grep { (() = /\Q$s->{separator}\E/g) < @{$s->{key}} } @keys if $s->{key};
    @keys = @keys[map { int rand @keys } 1 .. 30] if @keys;
    my @ascending = Reference::distinct_keys($s, @keys);
    splice @ascending, int rand @ascending, 1 while @ascending > $t->{C} - 1;
    return @ascending == $t->{C} - 1 ? \@ascending : undef;
}

sub partition {
    my ($t, $s) = @_;
    my $kind = $s->{key} ? pick(qw(hash hash range range round-robin any broadcast))
                         : pick(qw(round-robin round-robin any broadcast hash range));
    $s->{bounds} = boundaries($t, $s) if $kind eq 'range' && $t->{C} > 1;
    return $kind eq 'range' && !$s->{bounds} ? 'hash' : $kind;
}

sub stream {
    my ($t, $number) = @_;
    my $s = {number => $number, name => $t->{S} == 1 ? '0' : ('a' .. 'd')[$number], format => format_of_records(),
        lengths => $t->{small} ? 'short' : pick(qw(short short mixed long))};
    $s->{key} = key() if chance(0.5);
    $s->{separator} = pick(grep { $_ ne ($s->{format}{end} // '') } "\t", "\t", ':', ',', ' ');
    my @allowed = grep { index($_, $s->{separator}) < 0 && index($_, $s->{format}{end} // "\n") < 0 } @words;
    $s->{words} = [map { pick(@allowed) } 1 .. between(1, 12)];
    $s->{filler} = filler($s);
    my $sources = $t->{slice} ? $t->{slice}{files} : $t->{P};
    $s->{sources} = [map { records($t, $s, "$number.$_") } 0 .. $sources - 1];
    $s->{partition} = partition($t, $s);
    return $s;
}

# ---- processes -----------------------------------------------------------------------------------------------

# A pause before a process starts, in seconds.
sub pause {
    return chance(0.3) ? sprintf '%.3f', rand 0.06 : 0;
}

# Pauses behind so many bytes of what passes: "BYTES SECONDS ...".
sub slowness {
    return '' if chance(0.7);
    return join ' ', map { between(1, 5000) . ' ' . sprintf '%.3f', rand 0.03 } 1 .. between(1, 3);
}

# The streams of one participant, shared out to processes: those of a lane stay together.
sub groups {
    my ($t) = @_;
    return [map { $_->{number} } @{$t->{streams}}] unless $t->{split};
    my %group;
    my @group_of_lane = map { int rand 2 } 1 .. $t->{L};
    push @{$group{$group_of_lane[$_->{number} % $t->{L}]}}, $_->{number} for @{$t->{streams}};
    return values %group;
}

# How one process gets the input of one of its streams.
sub source {
    my ($t, $free) = @_;
    my @ways = ('file', 'command');
    push @ways, 'FILE', 'FILES', 'COMMAND' if $free;
    push @ways, 'stdin', 'pipe' if $free && $t->{runs} == 1;
    my $way = pick(@ways);
    return {way => $way, slowness => $way =~ /^(command|COMMAND|pipe)$/ ? slowness() : ''};
}

sub producers {
    my ($t) = @_;
    my @processes;
    my @common = (pause => pause(), eager => $t->{may_be_eager} && chance(0.15));
    if ($t->{slice}) {
        my $by = pick('', '', 'files', 'bytes');
        my $filter = chance(0.25) ? pick('cat', './slowly 100 0.010') : '';
        return map { {index => $_, @common, pause => pause(), by => $by, filter => $filter} } 0 .. $t->{P} - 1;
    }
    return {all => 1, @common, slowness => slowness(), streams => [0 .. $t->{S} - 1]} if chance(0.1);
    for my $index (0 .. $t->{P} - 1) {
        for my $group (sort { $a->[0] <=> $b->[0] } groups($t)) {
            my $free = int rand @$group + 1; # which of them takes what stands behind the mesh
            my @sources = map { source($t, $_ == $free) } 0 .. $#$group;
            push @processes, {@common, index => $index, streams => $group, sources => \@sources, pause => pause()};
        }
    }
    return @processes;
}

sub sink {
    my ($t, $s, $free) = @_;
    my @ways = ('file', 'command');
    push @ways, 'stdout', 'output', 'COMMAND' if $free;
    my $way = pick(@ways);
    push my @heads, $way eq 'stdout' || $way =~ /^command$/i ? 'head' : ();
    my $head = @heads && chance($t->{cancels}) && $s->{format}{kind} eq 'lines' ? pick(0, 1, 2, 10, 100) : undef;
    return {way => $way, head => $head, slowness => $way eq 'file' || $way eq 'output' || defined $head ? '' : slowness()};
}

# One process of a consumer, for one run.
sub consumer {
    my ($t, $index, $group, $run) = @_;
    my @streams = map { $t->{streams}[$_] } @$group;
    my $free = int rand @$group + 1;
    return {
        index => $index,
        streams => $group,
        sinks => [map { sink($t, $streams[$_], $_ == $free) } 0 .. $#streams],
        tag => chance(0.25) && !grep({ $_->{format}{kind} eq 'fixed' } @streams),
        barrier => $t->{barrier} && !$run,
        most => chance($t->{cancels}) ? pick(0, 1, 2, 10, 100) : undef,
        pause => pause(),
    };
}

# Lists of processes, one after the other.
sub consumers {
    my ($t) = @_;
    if ($t->{runs} == 1 && chance(0.1)) {
        my $all = consumer($t, 0, [0 .. $t->{S} - 1], 0);
        $_->{way} = 'command' for @{$all->{sinks}};
        $all->{all} = 1;
        return [$all];
    }
    my @lists;
    for my $index (0 .. $t->{C} - 1) {
        for my $group (sort { $a->[0] <=> $b->[0] } groups($t)) {
            push @lists, [map { consumer($t, $index, $group, $_) } 0 .. $t->{runs} - 1];
        }
    }
    return @lists;
}

sub topology {
    my ($seed) = @_;
    srand $seed;
    my $t = {seed => $seed, P => pick(1, 1, 2, 2, 3, 4, 5, 6), C => pick(1, 1, 2, 2, 3, 4, 5, 6), S => pick(1, 1, 1, 1, 2, 2, 3, 4)};
    $t->{L} = chance(0.5) ? $t->{S} : between(1, $t->{S});
    $t->{ring} = $K * pick(64, 64, 64, 64, 128, 256, 1024);
    $t->{runs} = $t->{P} * $t->{C} * $t->{S} <= 16 && chance(0.3) ? between(2, 3) : 1;
    my $shared = $t->{L} < $t->{S};
    $t->{sequential} = $t->{S} > 1 && chance(0.2);
    # What all producers have to say then fits into the rings.
    $t->{merge} = (!$shared || $t->{sequential}) && chance(0.25);
    $t->{stable} = $t->{merge} && chance(0.5);
    $t->{small} = chance(0.4) || $t->{merge} && ($t->{C} > 1 || $shared);
    $t->{budget} = $t->{small} ? 6 * $K / $t->{S} : $K * pick(100, 500, 2000) / $t->{P} / $t->{S} / $t->{runs};
    $t->{slice} = {files => between(1, 8)} if $t->{S} == 1 && !$t->{merge} && chance(0.15);
    $t->{split} = $t->{L} > 1 && chance(0.3);
    $t->{cancels} = !($shared && $t->{sequential}) && chance(0.4) ? 0.3 : 0;
    $t->{may_be_eager} = !($shared && $t->{sequential});
    # Who is ahead by a run would fill a shared lane with what the others do not read yet.
    $t->{in_step} = $t->{runs} > 1 && ($shared || chance(0.3));
    # Who has enough before a producer is there could not know that there will be a further run.
    $t->{barrier} = $t->{runs} == 1 ? chance(0.15) : $t->{cancels} > 0;
    $t->{looked_at} = chance(0.1);
    push @{$t->{streams}}, stream($t, $_) for 0 .. $t->{S} - 1;
    $t->{producers} = [producers($t)];
    $t->{consumers} = [consumers($t)];
    return $t;
}

1;
