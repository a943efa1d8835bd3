"""Bytes of the Aurora API: Thrift messages in two protocols, and which one a request asks for."""
