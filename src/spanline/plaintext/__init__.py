"""What is readable on the wire that should not be: accounts, secrets and services without encryption."""
