"""`python -m spanline`, for who has no `spanline` on the path."""

from spanline.cli import main

main()
