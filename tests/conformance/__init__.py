"""A kit that holds any sender or any receiver against docs/protocol.md; see README.md."""
