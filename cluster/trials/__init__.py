"""What tests and benchmarks share to try Sidewire out: processes, made-up frames and feeds, a judge."""
