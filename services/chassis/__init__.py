"""The microservice chassis: what is true of every role and of no domain. No domain noun in it."""
