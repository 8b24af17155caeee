"""The gateway's configuration: one builder, rendered for the local stack and for Kubernetes."""
