# A topology as a shell script, which a human can run again, and the files that it reads.
package Shell;
use strict;
use warnings;

use Reference;

# What the script leaves of each process: its messages in NAME.err, its status in NAME.status.
my $head = <<'SH';
as() { # NAME COMMAND...
    local name=$1 status=0
    shift
    "$@" 2>"$name.err" || status=$?
    echo "$status" >"$name.status"
}
SH

my $slowly = <<'SH';
#!/bin/sh
# Pass on standard input, with a pause behind so many bytes: slowly [BYTES SECONDS]...
while [ $# -gt 0 ]; do
    head -c "$1"
    sleep "$2"
    shift 2
done
exec cat
SH

sub quoted {
    my ($word) = @_;
    return $word if $word =~ m{^[\w./=:+-]+$};
    $word =~ s/'/'\\''/g;
    return "'$word'";
}

# What passes on its input, at that speed.
sub passing { return $_[0] ? "./slowly $_[0]" : 'cat' }

sub command_line { return join ' ', map { quoted($_) } @_ }

sub write_file {
    my ($name, $bytes) = @_;
    open my $out, '>', $name or die "$name: $!\n";
    print {$out} $bytes;
    close $out or die "$name: $!\n";
}

# ---- the mesh --------------------------------------------------------------------------------------------

sub byte { return $_[0] =~ /[!-~]/ ? $_[0] : sprintf '\x%02X', ord $_[0] }

sub framing {
    my ($format) = @_;
    return $format->{kind} eq 'lines' ? ()
         : $format->{kind} eq 'zero' ? '-z'
         : $format->{kind} eq 'delimiter' ? ('--delimiter', byte($format->{end}))
         : $format->{kind} eq 'fixed' ? ('--fixed', $format->{size})
         : ('--length-prefixed', $format->{kind});
}

sub stream_options {
    my ($t, $s) = @_;
    my @options = $t->{S} > 1 ? ('-s', $s->{name}) : ();
    push @options, framing($s->{format});
    if ($s->{key}) {
        push @options, '-t', $s->{separator} if $s->{separator} ne "\t";
        push @options, '-k', join ',', map { "$_->{field}$_->{letters}" } @{$s->{key}};
    }
    my $partition = $s->{partition};
    if ($s->{bounds} && $partition eq 'range') {
        my @bounds = @{$s->{bounds}};
        s/([\\,])/\\$1/g for @bounds;
        $partition .= ':' . join ',', @bounds;
    }
    my $default = $s->{key} ? 'hash' : 'round-robin';
    push @options, '-P', $partition if $partition ne $default || ($t->{S} > 1 && !$s->{key});
    return @options;
}

sub create {
    my ($t) = @_;
    return command_line('mpp-create', '-p', $t->{P}, '-c', $t->{C}, '-r', $t->{ring}, $t->{L} < $t->{S} ? ('--lanes', $t->{L}) : (),
        map { stream_options($t, $_) } @{$t->{streams}});
}

# ---- producers -------------------------------------------------------------------------------------------

# One file for each source of each stream, and the two halves of it.
sub inputs {
    my ($t) = @_;
    for my $s (@{$t->{streams}}) {
        for my $i (0 .. $#{$s->{sources}}) {
            my @records = @{$s->{sources}[$i]};
            my @half = splice @{[@records]}, 0, @records / 2;
            my @rest = @records[@half .. $#records];
            my $unended = ($i + $s->{number}) % 3 == 1;
            write_file("in.$i.$s->{name}", Reference::encode($s->{format}, \@records, $unended));
            next if $t->{slice};
            write_file("in.$i.$s->{name}.1", Reference::encode($s->{format}, \@half, $unended));
            write_file("in.$i.$s->{name}.2", Reference::encode($s->{format}, \@rest, 0));
        }
    }
}

# The words that name one stream's source, those behind the mesh, and what stands before and behind all.
sub source_words {
    my ($t, $p, $number, $source) = @_;
    my $name = $t->{streams}[$number]{name};
    my $file = 'in.' . ($p->{all} ? '$MPP_INDEX' : $p->{index}) . ".$name";
    my $slow = passing($source->{slowness}) . " <$file";
    my $way = $source->{way};
    return (["-s", "$name=$file"], [], '', '') if $way eq 'file';
    return (["-s", "$name=|$slow"], [], '', '') if $way eq 'command';
    my $plain = $t->{S} > 1 ? ["-s", $name] : [];
    return ($plain, [$file], '', '') if $way eq 'FILE';
    return ($plain, ["$file.1", "$file.2"], '', '') if $way eq 'FILES';
    return ($plain, ['--', 'sh', '-c', $slow], '', '') if $way eq 'COMMAND';
    return ($plain, [], '', " <$file") if $way eq 'stdin';
    return ($plain, [], "$slow | ", '');
}

sub slice_words {
    my ($t, $p) = @_;
    my @files = map { "in.$_.0" } 0 .. $t->{slice}{files} - 1;
    push @files, splice @files, 0, $p->{index} % @files; # in another order
    return ($p->{by} ? "--slice-by=$p->{by}" : '--slice', ($p->{filter} ? ('--filter', $p->{filter}) : ())), '"$m"', @files;
}

sub producer {
    my ($t, $p) = @_;
    my @options = $p->{all} ? '--all' : ('-i', $p->{index});
    push @options, '--eager' if $p->{eager};
    push @options, '--runs', $t->{runs} if $t->{runs} > 1;
    push @options, '--barrier' if $t->{barrier};
    my ($before, $behind) = ('', '');
    my @rest = '"$m"';
    if ($t->{slice}) {
        @rest = slice_words($t, $p);
    } else {
        my @sources = $p->{all} ? map { {way => 'command', slowness => $p->{slowness}} } @{$p->{streams}} : @{$p->{sources}};
        for my $i (0 .. $#{$p->{streams}}) {
            my ($options, $operands, $first, $last) = source_words($t, $p, $p->{streams}[$i], $sources[$i]);
            push @options, @$options;
            push @rest, @$operands;
            ($before, $behind) = ($before . $first, $behind . $last);
        }
    }
    my $words = join ' ', map { $_ eq '"$m"' ? $_ : quoted($_) } @options, @rest;
    return "${before}as $p->{name} mpp-produce $words$behind";
}

# ---- consumers -------------------------------------------------------------------------------------------

sub outputs {
    my ($t, $c) = @_;
    my $index = $c->{all} ? '$MPP_INDEX' : $c->{index};
    return map { "out.$index.$t->{streams}[$_]{name}.$c->{run}" } @{$c->{streams}};
}

sub consumer {
    my ($t, $c) = @_;
    my @options = $c->{all} ? '--all' : ('-i', $c->{index});
    push @options, '--tag' if $c->{tag};
    push @options, '--merge' if $t->{merge};
    push @options, '--stable' if $t->{stable};
    push @options, '--sequential' if $t->{sequential};
    push @options, '-n', $c->{most} if defined $c->{most};
    push @options, '--barrier' if $c->{barrier};
    my @outputs = outputs($t, $c);
    my ($behind, @rest) = '';
    for my $i (0 .. $#outputs) {
        my ($sink, $output, $name) = ($c->{sinks}[$i], $outputs[$i], $t->{streams}[$c->{streams}[$i]]{name});
        my $plain = $t->{S} > 1 ? 1 : 0;
        my $command = (defined $sink->{head} ? "head -n $sink->{head}" : passing($sink->{slowness})) . " >$output";
        my $way = $sink->{way};
        push @options, '-s', $way eq 'file' ? "$name=$output" : $way eq 'command' ? "$name=|$command" : $name
            if $plain || $way eq 'file' || $way eq 'command';
        push @options, '-o', $output if $way eq 'output';
        push @rest, '--', 'sh', '-c', $command if $way eq 'COMMAND';
        $behind = defined $sink->{head} || $sink->{slowness} ? " | $command" : " >$output" if $way eq 'stdout';
    }
    return "as $c->{name} mpp-consume " . join(' ', (map { quoted($_) } @options), '"$m"', map { quoted($_) } @rest) . $behind;
}

# ---- the script ------------------------------------------------------------------------------------------

# Name the processes: their messages and statuses are known by that.
sub name_all {
    my ($t) = @_;
    my $n = 0;
    $_->{name} = 'p' . $n++ for @{$t->{producers}};
    $n = 0;
    for my $list (@{$t->{consumers}}) {
        $list->[$_]{run} = $_ + 1, $list->[$_]{name} = "c$n." . ($_ + 1) for 0 .. $#$list;
        $n++;
    }
}

sub started {
    my ($pause, @lines) = @_;
    unshift @lines, "sleep $pause" if $pause;
    return @lines == 1 ? "$lines[0] &" : '{ ' . join('; ', @lines) . '; } &';
}

sub script {
    my ($t) = @_;
    my @lines = ('#!/usr/bin/env bash', "# The topology of MPP_SEED=$t->{seed}.", $head, 'm=$(' . create($t) . ') || exit', 'echo "$m" >mesh');
    push @lines, 'mpp-stat "$m" >stat.out &' if $t->{looked_at};
    push @lines, started($_->{pause}, producer($t, $_)) for @{$t->{producers}};
    if ($t->{in_step}) {
        for my $run (0 .. $t->{runs} - 1) {
            push @lines, 'consumers=()';
            push @lines, started($_->[$run]{pause}, consumer($t, $_->[$run])), 'consumers+=("$!")' for @{$t->{consumers}};
            push @lines, 'wait "${consumers[@]}"';
        }
    } else {
        push @lines, started($_->[0]{pause}, map { consumer($t, $_) } @$_) for @{$t->{consumers}};
    }
    return join "\n", @lines, 'wait', '';
}

# Write everything into the working directory.
sub write_all {
    my ($t) = @_;
    name_all($t);
    inputs($t);
    write_file('slowly', $slowly);
    write_file('run', script($t));
    chmod 0755, 'slowly', 'run';
}

1;
