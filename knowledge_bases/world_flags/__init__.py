"""World Flags: what is known about every country and territory with a flag of its own, and questions about it."""
