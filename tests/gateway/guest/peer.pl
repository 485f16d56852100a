#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0
# peer.pl USER GROUP: asks the helper what is in force, as this user; prints its answer.
use strict;
use warnings;
use IO::Socket::UNIX;
use POSIX qw(setuid setgid);
my ($user, $group) = @ARGV;
my $gid = getgrnam($group) // die "no group $group\n";
my $uid = getpwnam($user) // die "no user $user\n";
$) = "$gid $gid";
setgid($gid) or die "setgid: $!\n";
setuid($uid) or die "setuid: $!\n";
my $socket = IO::Socket::UNIX->new(Peer => '/run/atomix-config/helper.sock')
  or die "connect: $!\n";
my $ask = '{"version":1,"request":{"ask":"current"}}';
$SIG{PIPE} = 'IGNORE';
print {$socket} pack('N', length $ask), $ask;
$socket->flush;
local $/;
my $answer = <$socket>;
print defined $answer && length $answer > 4 ? substr($answer, 4) : 'no answer', "\n";
