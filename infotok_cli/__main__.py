"""`python -m infotok_cli` is `infotok`."""

from infotok_cli.cli.app import main

if __name__ == "__main__":
    raise SystemExit(main())
