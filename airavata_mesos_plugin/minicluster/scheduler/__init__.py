"""The Aurora-compatible scheduler: rules, state machine, placement and the calls of the API, without any
HTTP."""
