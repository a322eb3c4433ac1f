#!/bin/busybox sh
# The first program of an emulated board: mounts its disks, brings up its network, and obeys the
# console. A line "ID COMMAND" runs a shell command; every answer begins with the token of this
# boot, so that nothing a program prints can be taken for one.
#
#   TOKEN ready               after the boot
#   TOKEN done ID CODE TEXT   a command has ended; its output in base64
#   TOKEN exit CODE           the program has ended, and what it wrote is on the disk
#   TOKEN failed WORDS        the boot cannot go on
#
# Programs see the base system, read-only, with folders in memory where a system writes.
/bin/busybox mkdir -p /bin /proc /sys /dev /base /etc
/bin/busybox --install -s /bin
export PATH=/bin HOME=/

say() { echo "$token $*"; }
fail() { say failed "$*"; sleep 1; poweroff -f; }

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
stty -echo -onlcr < /dev/console

for word in $(cat /proc/cmdline); do
  case $word in
    fedge.token=*) token=${word#*=} ;;
    fedge.clock=*) clock=${word#*=} ;;
    fedge.net=*) net=${word#*=} ;;
    fedge.start=*) start=${word#*=} ;;
  esac
done

while read -r module; do
  insmod "/modules/$module" || fail "the module $module cannot be loaded"
done < /modules/order

mount_disk() { # LABEL FOLDER OPTIONS: a disk may show itself seconds after its driver
  tries=0
  until disk=$(findfs LABEL="$1"); do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || fail "there is no disk called $1"
    usleep 100000
  done 2> /dev/null
  mount -t ext4 -o "$3" "$disk" "$2" || fail "the disk called $1 cannot be mounted"
}

mount_disk fedge-base /base ro,noatime
mount_disk fedge-job /base/job rw,noatime
for folder in proc sys dev; do mount --bind /$folder /base/$folder; done
for folder in tmp run root; do mount -t tmpfs tmpfs /base/$folder; done
cp -a /base/etc/. /etc && echo "hosts: files dns" > /etc/nsswitch.conf && mount --bind /etc /base/etc # to be changed, such as /etc/hosts
ln -snf /proc/self/fd /dev/fd
date -s "@$clock" > /dev/null

ip link set lo up
if [ "$net" = yes ]; then
  tries=0
  until interface=$(ls /sys/class/net | grep -v '^lo$' | head -n 1) && [ -n "$interface" ]; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || fail "there is no network interface"
    usleep 100000
  done
  ip link set "$interface" up
  ip addr add 10.0.2.15/24 dev "$interface"
  ip route add default via 10.0.2.2
fi

# For the commands below.
run() { # start the program of the job
  (
    chroot /base /bin/busybox sh /job/run.sh &
    echo $! > /program
    wait $!
    code=$?
    sync
    say exit $code
  ) > /dev/console 2>&1 &
}
end() { kill -"$1" "$(cat /program)"; }
down() { umount /base/job || mount -o remount,ro /base/job; }

say ready
[ "$start" != yes ] || run
while read -r id command; do
  text=$(eval "$command" 2>&1 < /dev/null)
  say done "$id" $? "$(echo "$text" | base64 -w 0)"
done
fail "the console was closed"
