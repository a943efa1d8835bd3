"""What a task leaves in its sandbox, with everything that a files API could get wrong."""

from __future__ import annotations

ODD = "a b'\"\né%&+#?"
NOT_UTF8 = b"\xff"
ESCAPE = "esc\x1b[31m"
RAW = b'\xfe\xffabc\xc3\xa9\x01\x1b\n\t"\\/\x7f'
BIG_BYTES = 200_000
SPARSE_BYTES = 5 * 1024**3

SCRIPT = r"""
set -e
mkdir t; cd t
echo hello > out.txt; : > empty
mkdir sub emptydir many; echo in > sub/file
ln -s sub/file inside; ln -s sub subl; ln -s "$PWD/sub/file" absolute
ln -s /etc/passwd out; ln -s /etc outd; ln -s nowhere dangling; ln -s loop loop
mkfifo pipe
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('sock')"
printf '\376\377abc\303\251\001\033\n\t"\\/\177' > raw
head -c 200000 /dev/zero | tr '\0' x > big
truncate -s 5G sparse
echo q > "$(printf 'a b\047"\n\303\251%%&+#?')"
echo x > "$(printf '\377')"
echo e > "$(printf 'esc\033[31m')"
echo p > 'pct%41'; echo plus > 'a+b'; echo blank > 'a b'; echo semi > 'a;b=c'
echo h > hard; ln hard hard2
for mode in 0000 0640 0755 1644 2755 4755; do echo m > m$mode; chmod $mode m$mode; done
mkdir sticky; chmod 1777 sticky
touch -d '1960-01-01 UTC' old; touch -d @2208988800.75 new; touch -d @1.999 frac
for suffix in html json txt.gz png JPG py UNKNOWN; do echo x > x.$suffix; done
cd many; for n in $(seq 500); do : > f$n; done
"""

LISTED_ELSEWHERE = frozenset({"dangling", "loop"})
"""Links that lead to nothing are not listed."""
