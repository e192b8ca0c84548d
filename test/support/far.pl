#!/usr/bin/perl
# A network whose packets take their time: far.pl <device> <ms>. Makes the device with 10.99.0.1 and fd99::1 on it. What is sent to an
# address that ends in 2 (10.99.0.2, fd99::2) comes back from there after so many milliseconds, source and destination exchanged, so that
# whatever listens here answers there; checksums stay right. All else is lost. Says "ready", and ends with its standard input.
use strict;
use warnings;
use Fcntl;
use Time::HiRes qw(time);

my ($name, $delay) = @ARGV;
my ($TUNSETIFF, $TUN, $NO_INFO) = (0x400454ca, 0x0001, 0x1000);

sysopen(my $tun, "/dev/net/tun", O_RDWR) or die "tun: $!";
ioctl($tun, $TUNSETIFF, pack("a16 S x22", $name, $TUN | $NO_INFO)) or die "device: $!";
for my $command (
  "ip address add 10.99.0.1/24 dev $name",
  "ip -6 address add fd99::1/64 dev $name nodad",
  "ip link set lo up",
  "ip link set $name up"
) {
  system($command) == 0 or die $command;
}
$| = 1;
print "ready\n";

my @queue;
while (1) {
  my $ready = "";
  vec($ready, fileno($_), 1) = 1 for $tun, *STDIN;
  my $wait = @queue ? $queue[0][0] - time : undef;
  select($ready, undef, undef, defined $wait && $wait < 0 ? 0 : $wait);
  exit 0 if vec($ready, fileno(STDIN), 1) && !sysread(STDIN, my $ignored, 1);
  if (vec($ready, fileno($tun), 1) && sysread($tun, my $packet, 65_535)) {
    my ($at, $length) = ord($packet) >> 4 == 4 ? (12, 4) : (8, 16);
    my $source = substr($packet, $at, $length);
    my $target = substr($packet, $at + $length, $length);
    if (ord(substr($target, -1)) == 2) {
      substr($packet, $at, 2 * $length) = $target . $source;
      push @queue, [time + $delay / 1000, $packet];
    }
  }
  syswrite($tun, (shift @queue)->[1]) while @queue && $queue[0][0] <= time;
}
