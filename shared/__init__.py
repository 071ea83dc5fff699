"""What every role of Forebay shares: the domain's words and rules, the wire formats, the adapters."""
