"""An Aurora-compatible scheduler and a Mesos-compatible master and agents in one process.

It speaks the real wire protocols (Aurora 0.22, Mesos 1.6, the scheduler API of Mesos 1.11) over real sockets
on 127.0.0.1 and runs real processes under the account that started it: unlike a real cluster there is no
change of user unless it is asked for, and no isolation between tasks beyond their own directories. Nothing of
the provider is imported here, so that a mistake in the provider's tables cannot be repeated by the cluster it
is tested against.
"""
