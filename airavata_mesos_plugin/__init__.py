"""Apache Mesos as a compute resource of Apache Airavata."""

__version__ = "0.1.0"
