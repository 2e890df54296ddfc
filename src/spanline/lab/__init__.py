"""A mirror to try things on: a client, a server, the switch between them, and the target of the mirror, as namespaces.

Linux and root. Nothing of the lab stands in the network of the machine itself.
"""
