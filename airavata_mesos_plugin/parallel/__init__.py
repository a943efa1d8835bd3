"""What runs on the nodes of a parallel job.

These modules travel into the sandbox of every node and are run there by whatever Python the agent has, so
they keep to the standard library and to Python 3.6, and import nothing of the rest of the package.

Each node has a waiting side that starts commands for the others. The first node runs the job script under
the ordinary wrapper and watches the others; when the script is over it ends them.
"""
