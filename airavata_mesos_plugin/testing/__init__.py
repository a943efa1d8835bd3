"""What people who develop against this package test with: a pytest plugin, and the parts that it is made of.

pytest finds the fixtures of `plugin` by itself when the package is installed. Nothing else of the package
imports this room, and only `plugin` and `scheduler_contract` need pytest.
"""
