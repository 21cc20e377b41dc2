"""One module a verb: `configure(parser)` adds its options, `run(args, session)` does it."""
