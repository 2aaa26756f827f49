"""What is on disk is the truth: paths, ledger, inbox, audit, retention."""
