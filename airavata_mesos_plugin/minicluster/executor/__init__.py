"""The process that runs one task: a small Thermos (Aurora 0.22).

It starts once per task, so it imports only small parts of the standard library and nothing of the rest of the
package.

Unlike Thermos it does not change the user, checks no health, posts to no life-cycle endpoints, writes no
checkpoints, and does not rotate logs; the logger destination `both` writes to the files only.
"""
