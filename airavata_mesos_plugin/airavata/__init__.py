"""Airavata's side: what its job scripts and services expect of a compute resource."""
