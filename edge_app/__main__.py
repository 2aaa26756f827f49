"""`python -m edge_app` is the `msu` command: the supervisor starts its processes this way, whatever PATH holds."""

from edge_app.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
