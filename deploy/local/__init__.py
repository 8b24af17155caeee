"""The whole suite on one machine: throw-away keys, an embedded PostgreSQL, the gateway, five roles and simulators of the outside world.

For development, demonstrations and tests; never for patients' data.
"""
