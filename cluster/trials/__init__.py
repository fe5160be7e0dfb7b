"""What tests and benchmarks try Sidewire out with: real processes, made-up frames, a judge of what comes out."""
