#!/bin/bash
# Makes the mount namespace that it runs in look like a host with GPUs, then becomes the command:
#   gpu_host.sh COUNT LIBRARIES DIRECTORY COMMAND...
# LIBRARIES has the stand-in of NVIDIA's library. Below DIRECTORY comes a copy of /dev with device nodes that no
# driver answers: opening one fails with ENXIO where it is allowed, and with EPERM where it is not.
set -euo pipefail
count=$1 libraries=$2 directory=$3
shift 3

directory=$(mktemp -d "$directory/XXXXXX")
mkdir "$directory/dev"
mount -t tmpfs -o mode=755 tmpfs "$directory/dev"
cp -a --one-file-system /dev/. "$directory/dev"
for mounted in pts shm; do
    mount --rbind "/dev/$mounted" "$directory/dev/$mounted"
done
mknod -m 666 "$directory/dev/nvidiactl" c 195 255
mknod -m 666 "$directory/dev/nvidia-uvm" c 510 0
for ((number = 0; number < count; number++)); do
    mknod -m 666 "$directory/dev/nvidia$number" c 195 "$number"
done
mount --rbind "$directory/dev" /dev

# Mesos 1.11 looks for NVIDIA's libraries in the loader's cache, and does not understand that of glibc 2.36: an
# empty one in the older format.
printf 'ld.so-1.7.0\0\0\0\0\0glibc-ld.so.cache1.1\0\0\0\0\1\0\0\0' >"$directory/cache"
head -c 21 /dev/zero >>"$directory/cache"
mount --bind "$directory/cache" /etc/ld.so.cache

# It keeps a volume with those libraries, and with NVIDIA's programs, below /var/run.
mount -t tmpfs tmpfs /run
mkdir "$directory/bin"
printf '#!/bin/bash\necho a program of NVIDIA\n' >"$directory/bin/nvidia-smi"
chmod 755 "$directory/bin/nvidia-smi"

export LD_LIBRARY_PATH=$libraries STANDIN_GPUS=$count PATH="$directory/bin:$PATH"
exec "$@"
