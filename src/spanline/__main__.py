"""`python -m spanline`, for who has no `spanline` on the path."""

from spanline.cli import main

if __name__ == "__main__":
    main()
