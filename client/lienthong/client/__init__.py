"""The client library for integrators: channels, typed errors, receipt verification."""
