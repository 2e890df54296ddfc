"""What is known of addresses: countries, autonomous systems, and the inventory of virtual machines and networks.

It is applied when history is read, so that a corrected inventory corrects it.
"""
